"""Photos of a room whose walls are known, and a network that sees them without error.

The network knows each photo by the colour of its first corner. What it says is in the frame of the
first view of the pass, in a unit that is drawn anew for each pass.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from fast3r.geometry.cameras import Camera, invert_rigid, pixel_grid, rays_through, unproject
from fast3r.geometry.transforms import Similarity, rotation_angle_deg, rotation_exp
from fast3r.models.fast3r import Chunks, Fast3R, Tokens
from fast3r.models.prediction import Pointmap, Prediction
from fast3r.scene.reconstruction import Reconstruction, Scale
from fast3r.scene.refinement.record import ViewRefinement
from fast3r.views.view import View
from tests.scene.playback import TINY

HEIGHT, WIDTH, FOCAL_PX, PITCH = 48, 64, 600.0, 10.0
WALLS = ((2, 5.0), (1, 1.2), (0, 2.0), (0, -2.5), (2, -4.0))
"""Axis and place of each wall; the second is the floor, since y points down."""
LOOKING_DOWN = rotation_exp(torch.tensor([-0.2, 0.0, 0.0]))
"""How all photos are tilted."""


@dataclass(frozen=True)
class Photo:
    """A view with its true camera and depth, in metres."""

    view: View
    camera: Camera
    depth: Tensor


def a_photo(number: int, *, name: str | None = None, room: int = 0) -> Photo:
    """Return one of 16 photos along a room, each a little further than the last.

    Args:
        number: Of the photo.
        name: Of the view.
        room: Others are like the first, a hundred metres away each.
    """
    along = 0.2 * number
    pose = torch.eye(4)
    heading = rotation_exp(torch.tensor([0.0, -0.15 * along, 0.0]))
    pose[:3, :3] = heading @ LOOKING_DOWN
    pose[:3, 3] = torch.tensor([along - 0.8, 0.1 * (-1) ** number, 0.1 * along])
    intrinsics = torch.tensor(
        [[FOCAL_PX, 0, PITCH * WIDTH / 2], [0, FOCAL_PX, PITCH * HEIGHT / 2], [0, 0, 1]]
    )
    network = pixel_grid(HEIGHT, WIDTH).flatten(0, 1)
    rays = rays_through(network * PITCH, intrinsics) @ pose[:3, :3].T
    reach = torch.stack([(place - pose[axis, 3]) / rays[:, axis] for axis, place in WALLS])
    depth = reach.where(reach > 0, torch.inf).amin(dim=0)
    points = pose[:3, 3] + rays * depth[:, None]
    pixels = (127 + 120 * torch.sin(2 * points)).byte().view(HEIGHT, WIDTH, 3)
    pixels[:4, :4] = torch.tensor([16 * number, 16 * room, 0], dtype=torch.uint8)
    pose[0, 3] += 100 * room
    view = View(
        pixels=pixels,
        original_from_network=torch.diag(torch.tensor([PITCH, PITCH, 1.0])),
        name=name or f"{number}.png",
        original_height=int(PITCH * HEIGHT),
        original_width=int(PITCH * WIDTH),
    )
    camera = Camera(intrinsics, pose, view.original_height, view.original_width)
    return Photo(view, camera, depth.view(HEIGHT, WIDTH))


class SeeingModel(Fast3R):
    """A network that sees each of some photos as it is, or with noise."""

    def __init__(self, photos: Sequence[Photo], *, noise: float = 0.0) -> None:
        torch.manual_seed(0)
        super().__init__(replace(TINY, image_size=WIDTH))
        self.eval()
        self._photos = {_key(photo.view.image): photo for photo in photos}
        self._noise = noise
        self.passes: list[list[str]] = []
        """Names of the photos of each pass."""
        self.blind: set[str] = set()
        """Photos of which it has no idea."""

    def tokens(self, images: Any, *more: Any, **options: Any) -> Tokens:
        """Note which photos these are."""
        self._seen = [self._photos[_key(image[0])] for image in images]
        self.passes.append([photo.view.name for photo in self._seen])
        return super().tokens(images, *more, **options)

    def predict(
        self, tokens: Tokens, *, chunks: Chunks | None = None
    ) -> Iterator[tuple[int, Prediction]]:
        """Yield the true pointmaps in the frame of the first photo, in a unit of the pass."""
        random = torch.Generator().manual_seed(len(self.passes))
        unit = 0.2 + 3 * torch.rand(1, generator=random)
        first_from_world = invert_rigid(self._seen[0].camera.world_from_camera)
        for index, photo in enumerate(self._seen):
            noise = self._noise * torch.randn(photo.depth.shape, generator=random)
            depth = photo.depth * noise.exp()
            intrinsics = photo.camera.intrinsics.clone()
            intrinsics[:2] /= PITCH
            local = unproject(depth, intrinsics)
            pose = first_from_world @ photo.camera.world_from_camera
            world = (local @ pose[:3, :3].mT + pose[:3, 3]) / unit
            if photo.view.name in self.blind:
                world, local = torch.randn(2, HEIGHT, WIDTH, 3, generator=random)
            sure = torch.full((1, HEIGHT, WIDTH), 5.0)
            yield index, Prediction(Pointmap(world[None], sure), Pointmap(local[None], sure))


def _key(image: Tensor) -> tuple[int, ...]:
    return tuple((255 / 16 * image[:, 1, 1]).round().int().tolist())


def save_photo(photo: Photo, folder: Path) -> Path:
    """Write a photo at its original size."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(photo.view.pixels.numpy())
    size = (photo.view.original_width, photo.view.original_height)
    picture.resize(size, Image.Resampling.NEAREST).save(folder / photo.view.name)
    return folder / photo.view.name


def a_scene(photos: Sequence[Photo], world_from_room: Similarity | None = None) -> Reconstruction:
    """Return the room as these photos show it, without error."""
    scene = Reconstruction(
        views=[photo.view for photo in photos],
        cameras=[photo.camera for photo in photos],
        depth=[photo.depth for photo in photos],
        confidence=[torch.full((HEIGHT, WIDTH), 5.0) for _ in photos],
        failures=[None] * len(photos),
        skipped=[],
        scale=Scale(),
    )
    return scene if world_from_room is None else scene.transformed(world_from_room)


def camera_of(scene: Reconstruction, name: str) -> Camera:
    """Return the camera of a view by its name."""
    (camera,) = [c for v, c in zip(scene.views, scene.cameras, strict=True) if v.name == name]
    assert camera is not None
    return camera


def assert_same_camera(
    found: Camera | None, true: Camera, *, place: float = 2e-3, turn_deg: float = 0.05
) -> None:
    assert found is not None
    torch.testing.assert_close(
        found.world_from_camera[:3, 3], true.world_from_camera[:3, 3], rtol=0, atol=place
    )
    a, b = (c.world_from_camera[:3, :3].double() for c in (found, true))
    assert rotation_angle_deg(a, b) < turn_deg


def view_record() -> ViewRefinement:
    """Return the record of a view that was refined."""
    return ViewRefinement("refined", None, 0, 20, 2.0, 0.3, 1.0, 0.1, 1.0, 0.01, 0.0, 0.0)
