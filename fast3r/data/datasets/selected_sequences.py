"""Videos that circle around one object each: what CO3Dv2 and WildRGB-D have in common."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float32

from fast3r.data.dataset import check_layout
from fast3r.data.frame import BrokenFrameError, Frame
from fast3r.data.reading import read_json, read_mask
from fast3r.data.sampling import draw_window

_BACKGROUND = 0.1 * 255
"""Masks are levels of belief; this is where the reference's evaluation on CO3D cuts."""


@dataclass(frozen=True)
class SelectedSequences(ABC):
    """The sequences that DUSt3R's preprocessing lists in `selected_seqs_<split>.json`."""

    root: Path
    """Folder of the preprocessed dataset."""

    split: Literal["train", "test"] = "train"
    """Which list of sequences to read."""

    mask_background: bool = True
    """Whether depth counts as unknown off the object, as where poses are evaluated."""

    title: ClassVar[str]
    """What the dataset is called."""

    layout: ClassVar[str]
    """The paths below `root`; `{split}` stands for the split."""

    frame_name: ClassVar[str]
    """Format of a frame's name by its number."""

    def __post_init__(self) -> None:
        index = self.root / f"selected_seqs_{self.split}.json"
        expected = self.layout.format(split=self.split)
        check_layout(self.root, index.is_file(), dataset=self.title, expected=expected)
        if not self._frame_numbers:
            raise ValueError(f"{index} lists no frames; was the preprocessing cut short?")

    @cached_property
    def _frame_numbers(self) -> dict[str, list[int]]:
        """Numbers of the frames of each scene, in order of both."""
        index = self.root / f"selected_seqs_{self.split}.json"
        try:
            return {
                f"{category}/{sequence}": sorted({int(number) for number in numbers})
                for category, sequences in sorted(read_json(index).items())
                for sequence, numbers in sorted(sequences.items())
                if numbers
            }
        except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
            raise BrokenFrameError(
                f"{index}: {error}; expected {{category: {{sequence: [frame numbers]}}}}"
            ) from error

    @property
    def scenes(self) -> tuple[str, ...]:
        """The sequences as `category/sequence`, sorted."""
        return tuple(self._frame_numbers)

    def frames(self, scene: str) -> list[str]:
        """Return the names of a sequence's frames in order of capture."""
        return [self.frame_name.format(number) for number in self._frame_numbers[scene]]

    def draw(self, scene: str, views: int, dice: np.random.Generator) -> list[str]:
        """Return the names of `views` frames from anywhere around the object.

        Equal dice give equal frames. Frames repeat only where there are fewer than `views`.
        """
        names = self.frames(scene)
        return [names[place] for place in draw_window(len(names), views, dice, window=len(names))]

    @abstractmethod
    def read(self, scene: str, frame: str) -> Frame:
        """Return one frame at its stored size.

        Raises:
            BrokenFrameError: It cannot be used.
        """

    def _masked(
        self, depth: Float32[np.ndarray, "height width"], mask_path: Path
    ) -> Float32[np.ndarray, "height width"]:
        if not self.mask_background:
            return depth
        mask = read_mask(mask_path)
        if mask.shape != depth.shape:
            raise BrokenFrameError(
                f"{mask_path}: has {mask.shape[1]}x{mask.shape[0]} px; "
                f"expected {depth.shape[1]}x{depth.shape[0]}, as the depth map has"
            )
        return np.where(mask > _BACKGROUND, depth, np.float32(0))
