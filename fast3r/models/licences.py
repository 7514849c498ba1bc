"""What the licence of weights allows, for those who need to know before they use them.

The code is Apache-2.0, but weights have licences of their own: the published ones, and what was
trained from them, are not for commercial use.
"""

import re
from collections.abc import Mapping

LICENCE_KEY = "licence"
"""Entry of a safetensors file's metadata that names the licence, an SPDX identifier first."""

COMMERCIAL = ("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0")
"""Licences known to allow commercial use."""

NON_COMMERCIAL_REPOSITORIES = {
    "jedyang97/Fast3R_ViT_Large_512": "the FAIR Noncommercial Research License",
}
"""Repositories on the hub whose licence is known to forbid it; refused before they are fetched."""


def refuse_repository(repository: str) -> None:
    """Accept any repository on the hub but those known to forbid commercial use.

    Raises:
        ValueError: This one does.
    """
    licence = NON_COMMERCIAL_REPOSITORIES.get(repository)
    if licence is not None:
        raise ValueError(
            f"{repository} is published under {licence}, and only weights for commercial use were "
            "asked for; use the bundled model small, or weights that you trained"
        )


def refuse_metadata(source: str, metadata: Mapping[str, str]) -> None:
    """Accept weights that say of themselves that they may be used commercially.

    Raises:
        ValueError: They name another licence, or none.
    """
    licence = metadata.get(LICENCE_KEY, "").strip()
    if re.split(r"[\s;,]", licence)[0] not in COMMERCIAL:
        found = f"their licence is {licence!r}" if licence else "they do not name their licence"
        raise ValueError(
            f"{source} cannot be used where only weights for commercial use were asked for: "
            f"{found}; known to allow it are {', '.join(COMMERCIAL)}. Weights that are yours can "
            f"say so: save_model(model, path, metadata={{'{LICENCE_KEY}': 'Apache-2.0'}})"
        )
