"""Links from pages to files of the repository that are no pages of the site become plain text.

Pages are read in the repository as well, where such links lead somewhere.
"""

from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform


class FileNames(SphinxTransform):
    """Replaces links that leave the folder of the site, before Sphinx looks for their targets."""

    default_priority = 5

    def apply(self) -> None:
        """Replace them in one page."""
        for kind in (addnodes.pending_xref, addnodes.download_reference):
            for link in list(self.document.findall(kind)):
                if self._leaves(link):
                    link.replace_self(nodes.inline("", "", *link.children))

    def _leaves(self, link: nodes.Element) -> bool:
        target = link["reftarget"]
        if target.startswith("../"):
            return True
        return target.startswith("/") and not target.startswith(f"{Path(self.env.srcdir)}/")


def setup(app) -> dict[str, bool]:
    """Register the transform."""
    app.add_transform(FileNames)
    return {"parallel_read_safe": True}
