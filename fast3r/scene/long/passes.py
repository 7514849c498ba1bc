"""Passes over some of the views, each of which leaves a file."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.models.fast3r import Chunks, Fast3R
from fast3r.scene.focals import ShareFocal
from fast3r.scene.long.chunking import Chunk
from fast3r.scene.long.focals import chunk_intrinsics, spread_views
from fast3r.scene.long.looking import describe, digest_of, plain, standardised
from fast3r.scene.long.work_folder import WorkFolder
from fast3r.scene.machine import Precision
from fast3r.scene.priors.types import Intrinsics, Priors
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.stages import StageRecorder
from fast3r.views.view import View


@dataclass
class Passes:
    """Runs the network over some of the views at a time, unless an earlier run did so already."""

    views: Sequence[View]
    """All views."""

    model: Fast3R
    """The network."""

    work: WorkFolder
    """Where scenes are kept."""

    recorder: StageRecorder
    """Told how far it is."""

    seed: int
    """Of each pass."""

    size: int
    """Long side in pixels at which the network sees the views."""

    precision: Precision
    """Of encoder and fusion."""

    chunks: Chunks | None
    """How much is worked on at a time."""

    memory_gib: float | None
    """Memory that a pass may take."""

    share_focal: ShareFocal
    """Which views have one focal length in common."""

    keep_world: bool
    """Keep what the world head says."""

    intrinsics: dict[str, Intrinsics] = field(default_factory=dict)
    """What each pass is told, by name."""

    def look(self) -> Float[Tensor, "views channels"]:
        """Look at every view; return what each is like, and refuse to go on with other views."""
        kept = self.work.descriptors()
        digests, found = [], []
        with self.recorder.stage("look at views") as tell:
            for index, view in enumerate(self.views):
                seen = plain(view, size=self.size, patch=self.model.patch)
                digests.append((view.name, digest_of(seen)))
                if kept is None:
                    found.append(describe(seen, self.model))
                tell(index + 1, len(self.views))
        self.work.bind(digests)
        if kept is None:
            kept = torch.stack(found)
            self.work.keep_descriptors(kept)
        return standardised(kept)

    def find_intrinsics(self, known: dict[int, Float[Tensor, "3 3"]], count: int) -> None:
        """Find the focal lengths that all passes are told, by a pass over views from all over."""

        def spread() -> tuple[list[int], Reconstruction]:
            chosen = spread_views(self.views, count)
            with self.recorder.stage("focal lengths"):
                self.run("focals", chosen)
            return chosen, self.work.load("focals")

        self.intrinsics = chunk_intrinsics(self.views, known, self.share_focal, spread)

    def over_chunks(self, chunks: Sequence[Chunk]) -> None:
        """Make the scene of each chunk."""
        with self.recorder.stage("chunks") as tell:
            for index, chunk in enumerate(chunks):
                self.run(chunk_name(index), chunk.views)
                tell(index + 1, len(chunks))

    def run(self, name: str, chosen: Sequence[int]) -> None:
        """Make sure that the scene of some views is there."""
        names = [self.views[index].name for index in chosen]
        self.work.make(name, names, lambda: self._scene(chosen))

    def chunk(self, index: int) -> Reconstruction:
        """Return the scene of a chunk."""
        return self.work.load(chunk_name(index))

    def _scene(self, chosen: Sequence[int]) -> Reconstruction:
        # That module calls this room where one pass is not enough.
        from fast3r.scene.run import reconstruct

        some = [plain(self.views[i], size=self.size, patch=self.model.patch) for i in chosen]
        told = {v.name: self.intrinsics[v.name] for v in some if v.name in self.intrinsics}
        scene = reconstruct(
            some,
            self.model,
            seed=self.seed,
            size=self.size,
            precision=self.precision,
            chunks=self.chunks,
            memory_gib=self.memory_gib,
            share_focal=self.share_focal,
            keep_world=self.keep_world,
            priors=Priors(intrinsics=told) if told else None,
            chunk_views=None,
        )
        return replace(scene, prior_checks=[])


def chunk_name(index: int) -> str:
    """Return the name of the file of a chunk, without ending."""
    return f"chunk-{index:05d}"
