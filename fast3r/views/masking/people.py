"""People in photos, by a segmentation network of the transformers library."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from fast3r.views.masking.regions import grown

if TYPE_CHECKING:
    from transformers import Pipeline

DEFAULT_MODEL = "openmmlab/upernet-convnext-tiny"
"""ConvNeXt and UPerNet, trained on ADE20K: 60 M parameters."""

_PEOPLE = {"person", "people", "human", "rider", "pedestrian"}
"""What ADE20K, COCO, Pascal VOC, Cityscapes and Mapillary call people."""

_MARGIN = 0.006
"""Share of the longer side by which outlines are grown: networks cut hair and shadows close."""


class FindPeople:
    """Takes a photo and returns where it shows people."""

    def __init__(self, model: str = DEFAULT_MODEL) -> None:
        """Load a network.

        Args:
            model: Any network for semantic, instance or panoptic segmentation: its name on the
                hub, from where it is fetched once, or a folder. It has a licence of its own.

        Raises:
            ValueError: The network knows no people, or cannot be found.
            ImportError: transformers is not installed.
        """
        self._segment = _pipeline(model)
        labels = [str(label) for label in self._segment.model.config.id2label.values()]
        self._people = {label for label in labels if _names(label) & _PEOPLE}
        if not self._people:
            raise ValueError(
                f"{model} knows no people, only {', '.join(labels[:6])}; "
                f"take another network, such as {DEFAULT_MODEL}"
            )

    def __call__(
        self, photo: UInt8[np.ndarray, "height width 3"]
    ) -> Bool[np.ndarray, "height width"]:
        """Return where an upright photo shows people."""
        found: Any = self._segment(Image.fromarray(photo))
        people = np.zeros(photo.shape[:2], bool)
        for part in found:
            if part["label"] in self._people:
                people |= np.asarray(part["mask"]) > 0
        return grown(people, round(_MARGIN * max(people.shape)))


def import_transformers() -> Any:
    """Return the library.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise ImportError("people need transformers: pip install 'fast3r[masks]'") from error
    return transformers


def _pipeline(model: str) -> "Pipeline":
    try:
        return import_transformers().pipeline("image-segmentation", model=model)
    except OSError as error:
        raise ValueError(
            f"the network {model} for people is neither on this machine nor to be had from the "
            f"hub: {str(error).splitlines()[0]}"
        ) from error


def _names(label: str) -> set[str]:
    """Return the names of a label, which may be several: "person, individual, someone"."""
    return {name.strip().lower() for name in label.replace(";", ",").split(",")}
