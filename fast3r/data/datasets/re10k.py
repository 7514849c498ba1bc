"""RealEstate10K: clips of house tours with cameras (Zhou et al., SIGGRAPH 2018)."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from fast3r.data.dataset import check_layout
from fast3r.data.datasets.cameras import intrinsics_matrix, inverse_rigid, numbers
from fast3r.data.frame import BrokenFrameError, Frame, checked_frame
from fast3r.data.reading import read_image, read_lines

_LAYOUT = """
test/0000cc6d8b108390.txt                     cameras, as downloaded
frames/test/0000cc6d8b108390/52553000.jpg     photos named by their timestamp; or .png
Photos may lie in frames/test, videos/test or test. They are cut from videos by the user: the
download has links to them only.
"""

_COLUMNS = 19
"""Timestamp, fx fy cx cy over the photo's sides, two zeros, 3x4 camera from world."""


class Re10k:
    """The test clips that have photos; a frame is named by its timestamp in microseconds."""

    def __init__(self, root: Path, *, clips: Path | None = None) -> None:
        """Find the clips.

        Args:
            root: Folder of the dataset.
            clips: File with the name of a clip a line; None takes all that have photos.

        Raises:
            ValueError: The folder is laid out differently, or none of the listed clips is there.
        """
        self.root = root
        self.cameras = root / "test"
        places = (root / "frames" / "test", root / "videos" / "test")
        self.photos = next((place for place in places if place.is_dir()), self.cameras)
        found = sorted(
            p.stem for p in self.cameras.glob("*.txt") if (self.photos / p.stem).is_dir()
        )
        check_layout(root, bool(found), dataset="RealEstate10K", expected=_LAYOUT)
        listed = found if clips is None else _listed(clips)
        self.scenes = tuple(sorted(set(found) & set(listed)))
        self.missing = tuple(sorted(set(listed) - set(found)))
        """Listed clips without photos or cameras: videos vanish from their site."""
        if not self.scenes:
            raise ValueError(
                f"{clips}: none of its {len(listed)} clips is in {root}, which has {found[:3]}"
            )

    def frames(self, scene: str) -> Sequence[str]:
        """Return the names of a clip's frames that have a photo, in order of capture.

        Raises:
            BrokenFrameError: The file of cameras cannot be read, or no frame has both.
        """
        stems = {path.stem for path in (self.photos / scene).iterdir()}
        cameras = _cameras(self.cameras / f"{scene}.txt")
        names = [name for name in cameras if name in stems]
        if not names:
            raise BrokenFrameError(
                f"{self.photos / scene}: has no photo of the {len(cameras)} frames with a camera, "
                f"such as {next(iter(cameras), 'TIMESTAMP')}.jpg"
            )
        return names

    def read(self, scene: str, frame: str) -> Frame:
        """Return one frame; it has no depth.

        Raises:
            BrokenFrameError: It cannot be used.
        """
        source = self.cameras / f"{scene}.txt"
        camera = _cameras(source).get(frame)
        if camera is None:
            raise BrokenFrameError(f"{source}: has no camera of frame {frame}")
        photo = self.photos / scene / f"{frame}.jpg"
        image = read_image(photo if photo.exists() else photo.with_suffix(".png"))
        height, width = image.shape[:2]
        sides = np.array([width, height, width, height])
        camera_from_world = np.concatenate((camera[6:].reshape(3, 4), [[0, 0, 0, 1]]))
        return checked_frame(
            name=frame,
            image=image,
            depth=None,
            intrinsics=intrinsics_matrix(*(camera[:4] * sides)),
            world_from_camera=inverse_rigid(camera_from_world),
            source=source,
        )


def _listed(path: Path) -> list[str]:
    return [line for line in read_lines(path) if line]


@lru_cache(maxsize=16)
def _cameras(path: Path) -> Mapping[str, Float[np.ndarray, "18"]]:
    """Return the 18 numbers of each frame by its timestamp; the first line is the video's link."""
    cameras = {}
    for line in read_lines(path)[1:]:
        words = line.split()
        if len(words) != _COLUMNS:
            raise BrokenFrameError(f"{path}: has a line of {len(words)} words; expected {_COLUMNS}")
        cameras[words[0]] = numbers(words[1:], source=path)
    return cameras
