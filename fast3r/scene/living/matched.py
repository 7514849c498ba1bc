"""Where a photo was taken, to a fraction of a degree, by features that it shares with a scene.

A feature of the photo that two or more references show is triangulated by their cameras, which have
to be exact for that; the camera of the photo is what explains where it shows these points (PnP). No
network is asked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fast3r.geometry.cameras import Camera
from fast3r.geometry.triangulation import triangulate
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.features import (
    FEATURE_SIDE_PX,
    Features,
    find_features,
    import_pycolmap,
)
from fast3r.scene.refinement.matching import match, verify
from fast3r.scene.refinement.photos import (
    USUAL_FOCAL,
    WorkingPhoto,
    network_pixels,
    working_photo,
)
from fast3r.scene.stages import StageRecorder
from fast3r.views.view import View

_MIN_POINTS = 12
"""That a camera must explain to be trusted: a pose has six numbers."""

_MAX_ERROR_PX = 4.0
"""Working pixels within which references have to agree on a point, and the camera to show it."""

_MIN_ANGLE_DEG = 1.0
"""Between the rays of a point, whose distance is unknown below."""


@dataclass(frozen=True)
class MatchedCamera:
    """The camera of a photo by its matches."""

    camera: Camera
    """In pixels of the original photo and in the world of the scene."""

    references: list[int]
    """Views that it was matched with."""

    points: Float[Tensor, "points 3"]
    """What it rests on, in float64."""

    pixels: Float[Tensor, "points 2"]
    """Where the photo shows them."""

    def depth_factor(self, view: View, depth: Float[Tensor, "height width"]) -> float | None:
        """Return what brings a depth map of the view to the points; None where nothing tells it."""
        pose = self.camera.world_from_camera.double()
        column, row, inside = network_pixels(view, self.pixels)
        ratio = ((self.points - pose[:3, 3]) @ pose[:3, 2]) / depth[row, column].double()
        ratio = ratio[inside & ratio.isfinite() & (ratio > 0)]
        return ratio.median().item() if len(ratio) else None


class _Looked(NamedTuple):
    """A photo and its features."""

    photo: WorkingPhoto
    features: Features


class Matcher:
    """Finds photos in a scene by features; remembers those of the views."""

    def __init__(
        self, scene: Reconstruction, *, seed: int = 0, recorder: StageRecorder | None = None
    ) -> None:
        """Look at a scene.

        Raises:
            ImportError: pycolmap is not installed.
        """
        import_pycolmap("exact localization")
        self.scene = scene
        """May be replaced by the same scene with more views at its end."""
        self._seed = seed
        self._recorder = recorder or StageRecorder()
        self._looked: dict[int, _Looked] = {}

    def place(self, view: View, references: Sequence[int]) -> MatchedCamera | None:
        """Return the camera of a photo by what references show of it; None if that is too little.

        At least 12 of its features have to be shown by two references in one place, and the camera
        has to show as many of them where they are.
        """
        with self._recorder.stage("features and matches") as tell:
            new = _look(view)
            sightings = self._sightings(new, references, tell)
        points, known = self._points(sightings, references)
        if len(points) < _MIN_POINTS:
            return None
        pixels = new.features.positions[known].double() * new.photo.pitch
        intrinsics = self._intrinsics(view, references)
        max_error_px = _MAX_ERROR_PX * new.photo.pitch
        camera, inside = _pose(view, intrinsics, points, pixels, max_error_px, self._seed)
        if camera is None or inside.sum() < _MIN_POINTS:
            return None
        return MatchedCamera(camera, list(references), points[inside], pixels[inside])

    def _sightings(
        self, new: _Looked, references: Sequence[int], tell: Callable[[int, int], None]
    ) -> Float[Tensor, "features views 2"]:
        """Return where references show the features of a photo; nan where they do not."""
        sightings = torch.full((len(new.features), len(references), 2), torch.nan).double()
        for place, index in enumerate(references):
            if index not in self._looked:
                self._looked[index] = _look(self.scene.views[index])
            looked = self._looked[index]
            matches = self._matches(new, looked, index)
            shown = looked.features.positions[matches[:, 1]].double() * looked.photo.pitch
            sightings[matches[:, 0], place] = shown
            tell(place + 1, len(references))
        return sightings

    def _matches(self, new: _Looked, looked: _Looked, index: int) -> Int[Tensor, "matches 2"]:
        camera = self.scene.camera(index)
        focal_px = camera.intrinsics[0, 0].item() / looked.photo.pitch
        photos = (new.photo, replace(looked.photo, focal_px=focal_px))
        features = (new.features, looked.features)
        pair = verify(photos, features, match(*features, "usual"), seed=self._seed)
        return torch.zeros(0, 2, dtype=torch.long) if pair is None else pair.matches

    def _points(
        self, sightings: Float[Tensor, "features views 2"], references: Sequence[int]
    ) -> tuple[Float[Tensor, "points 3"], Int[Tensor, " points"]]:
        """Return points that references agree on, and of which features they are."""
        seen = sightings.isfinite().all(dim=-1)
        often = (seen.sum(dim=1) >= 2).nonzero()[:, 0]
        cameras = [self.scene.cameras[index] for index in references]
        found = triangulate(
            sightings[often].nan_to_num(0),
            torch.arange(len(references)).expand(len(often), -1),
            torch.stack([c.intrinsics for c in cameras if c is not None]),
            torch.stack([c.world_from_camera for c in cameras if c is not None]),
            mask=seen[often],
        )
        pitch = max(self._looked[index].photo.pitch for index in references)
        good = found.reprojection_px < _MAX_ERROR_PX * pitch
        good &= (found.angle_deg > _MIN_ANGLE_DEG) & found.points.isfinite().all(dim=-1)
        return found.points[good].double(), often[good]

    def _intrinsics(self, view: View, references: Sequence[int]) -> Float[Tensor, "3 3"] | None:
        """Return the intrinsics that a view shares with a reference, or that are known."""
        if view.known_intrinsics is not None:
            return view.known_intrinsics
        key = (view.camera_key, view.original_height, view.original_width)
        for index in references:
            other, camera = self.scene.views[index], self.scene.cameras[index]
            if (other.camera_key, other.original_height, other.original_width) == key:
                assert camera is not None
                return camera.intrinsics.double()
        return None


def _look(view: View) -> _Looked:
    photo = working_photo(view, None, max_side_px=FEATURE_SIDE_PX)
    return _Looked(photo, find_features(photo, "usual"))


def _pose(
    view: View,
    known: Float[Tensor, "3 3"] | None,
    points: Float[Tensor, "points 3"],
    pixels: Float[Tensor, "points 2"],
    max_error_px: float,
    seed: int,
) -> tuple[Camera | None, Bool[Tensor, " points"]]:
    """Return the camera of most points, and which these are; its focal length where not known."""
    pycolmap = import_pycolmap()
    width, height = view.original_width, view.original_height
    focal_px = view.exif_focal_px or USUAL_FOCAL * max(width, height)
    numbers = [focal_px, focal_px, width / 2, height / 2]
    if known is not None:
        numbers = [known[0, 0].item(), known[1, 1].item(), known[0, 2].item(), known[1, 2].item()]
    camera = pycolmap.Camera(model="PINHOLE", width=width, height=height, params=numbers)
    options = pycolmap.AbsolutePoseEstimationOptions()
    options.ransac.max_error, options.ransac.random_seed = max_error_px, seed
    options.estimate_focal_length = known is None and view.exif_focal_px is None
    refinement = pycolmap.AbsolutePoseRefinementOptions()
    refinement.refine_focal_length = known is None
    # Near the origin, for digits.
    middle = points.median(dim=0).values
    answer = pycolmap.estimate_and_refine_absolute_pose(
        pixels.numpy(), (points - middle).numpy(), camera, options, refinement
    )
    if answer is None:
        return None, torch.zeros(len(points), dtype=torch.bool)
    camera_from_world = answer["cam_from_world"]
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3] = torch.from_numpy(np.array(camera_from_world.inverse().matrix()))
    pose[:3, 3] += middle
    (fx, fy, cx, cy) = camera.params.tolist()
    intrinsics = torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    found = Camera(intrinsics, pose.float(), height, width, view.lens)
    return found, torch.from_numpy(np.array(answer["inlier_mask"], dtype=bool))
