"""Photos of the textured corner of a room, with everything that is to be found again."""

from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from fast3r.geometry.cameras import Camera, pixel_grid, rays_through
from fast3r.geometry.transforms import rotation_exp
from fast3r.scene.reconstruction import Reconstruction, Scale
from fast3r.views.view import View

HEIGHT, WIDTH, FOCAL_PX = 180, 240, 225.0


@dataclass(frozen=True)
class Corner:
    """Views with true cameras and depth."""

    views: list[View]
    cameras: list[Camera]
    depth: list[Tensor]

    def scene(self) -> Reconstruction:
        """Return a perfect reconstruction."""
        return Reconstruction(
            views=self.views,
            cameras=list(self.cameras),
            depth=list(self.depth),
            confidence=[torch.ones(HEIGHT, WIDTH) for _ in self.views],
            failures=[None] * len(self.views),
            skipped=[],
            scale=Scale(),
        )


@cache
def a_corner(count: int = 5, *, spread: float = 1.6, seed: int = 0) -> Corner:
    """Return photos from places beside each other, all looking into the corner."""
    textures = corner_textures(seed)
    intrinsics = torch.tensor([[FOCAL_PX, 0, WIDTH / 2], [0, FOCAL_PX, HEIGHT / 2], [0, 0, 1]])
    rays = rays_through(pixel_grid(HEIGHT, WIDTH).flatten(0, 1), intrinsics)
    views, cameras, depths = [], [], []
    for index, pose in enumerate(corner_poses(count, spread=spread)):
        depth, pixels = corner_seen(rays.view(HEIGHT, WIDTH, 3), pose, textures)
        name = f"{index}.png"
        views.append(View(pixels, torch.eye(3), name, HEIGHT, WIDTH))
        cameras.append(Camera(intrinsics, pose, HEIGHT, WIDTH))
        depths.append(depth)
    return Corner(views, cameras, depths)


def two_rooms() -> Reconstruction:
    """Return a perfect reconstruction of three photos each of two corners that share no wall."""
    here, there = a_corner(3), a_corner(3, seed=9)
    apart = torch.eye(4)
    apart[:3, 3] = torch.tensor([10.0, 0.0, 4.0])
    views = [replace(view, name=f"there/{view.name}") for view in there.views]
    elsewhere = [replace(c, world_from_camera=apart @ c.world_from_camera) for c in there.cameras]
    cameras, depth = [*here.cameras, *elsewhere], [*here.depth, *there.depth]
    return Corner([*here.views, *views], cameras, depth).scene()


def corner_poses(count: int, *, spread: float = 1.6) -> list[Tensor]:
    """Return the `world_from_camera` of photos beside each other."""
    poses = []
    for index in range(count):
        centre = torch.tensor([spread * (index / max(count - 1, 1) - 0.5), 0.1 * (-1) ** index, 0])
        pose = torch.eye(4)
        pose[:3, :3] = rotation_exp(torch.tensor([0.1, -centre[0].item() / 4, 0.02 * index]))
        pose[:3, 3] = centre
        poses.append(pose)
    return poses


def corner_textures(seed: int = 0) -> list[Tensor]:
    """Return the pattern of each wall."""
    random = torch.Generator().manual_seed(seed)
    return [_texture(random) for _ in range(3)]


def shaken(scene: Reconstruction, *, turned_deg: float, moved: float) -> Reconstruction:
    """Return a scene whose cameras, all but the first, are wrong by so much."""
    random = torch.Generator().manual_seed(5)
    cameras = list(scene.cameras)
    for index in range(1, len(cameras)):
        camera = scene.camera(index)
        turn, shift = torch.nn.functional.normalize(torch.randn(2, 3, generator=random), dim=-1)
        pose = camera.world_from_camera.clone()
        pose[:3, :3] = rotation_exp(turn * torch.tensor(turned_deg).deg2rad()) @ pose[:3, :3]
        pose[:3, 3] += moved * shift
        cameras[index] = replace(camera, world_from_camera=pose)
    return replace(scene, cameras=cameras)


@cache
def a_shaken_corner() -> Reconstruction:
    """Return the corner with cameras that are clearly wrong."""
    return shaken(a_corner().scene(), turned_deg=4.0, moved=0.2)


def corner_seen(camera_rays: Tensor, pose: Tensor, textures: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return depth and colours of a back wall (z = 5), a floor (y = 1.2) and a wall (x = 2).

    Depth is in units of the rays (height, width, 3), which is along z where theirs is 1.
    """
    height, width = camera_rays.shape[:2]
    rays = camera_rays.flatten(0, 1) @ pose[:3, :3].T
    walls = ((2, 5.0), (1, 1.2), (0, 2.0))
    reach = torch.stack([(d - pose[axis, 3]) / rays[:, axis] for axis, d in walls])
    depth, wall = reach.where(reach > 0, torch.inf).min(dim=0)
    points = pose[:3, 3] + rays * depth[:, None]
    grey = torch.zeros(len(rays))
    for index, (axis, _) in enumerate(walls):
        on_wall = points[:, [a for a in range(3) if a != axis]]
        grid = (on_wall / 7)[None, None]
        shade = torch.nn.functional.grid_sample(textures[index], grid, align_corners=False)[0, 0, 0]
        grey = shade.where(wall == index, grey)
    grey = (grey.clamp(0, 1) * 255).byte().view(height, width)
    return depth.view(height, width), grey[..., None].expand(-1, -1, 3).contiguous()


def _texture(random: torch.Generator) -> Tensor:
    texture = torch.zeros(1, 1, 512, 512)
    for cells in (12, 32, 96):
        coarse = torch.rand(1, 1, cells, cells, generator=random) - 0.5
        texture += torch.nn.functional.interpolate(coarse, (512, 512), mode="bicubic") * 0.7
    return texture + 0.5
