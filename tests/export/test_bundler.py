"""Bundler files: read back as their format says, points land on the pixels that saw them."""

from dataclasses import replace

import pytest
import torch

from fast3r.export.bundler import write
from fast3r.geometry.cameras import Camera
from fast3r.scene.reconstruction import Reconstruction
from tests.scenes import SETS, make_scene


def read(folder) -> tuple[list, list]:
    """Return cameras (f, k1, k2, R, t) and points (position, colour, track)."""
    words = iter((folder / "bundle.out").read_text().split("\n", 1)[1].split())
    cameras_count, points_count = int(next(words)), int(next(words))

    def numbers(count: int) -> torch.Tensor:
        return torch.tensor([float(next(words)) for _ in range(count)], dtype=torch.float64)

    cameras = [(numbers(3), numbers(9).view(3, 3), numbers(3)) for _ in range(cameras_count)]
    points = []
    for _ in range(points_count):
        position, color = numbers(3), numbers(3)
        points.append((position, color, [numbers(4) for _ in range(int(next(words)))]))
    assert next(words, None) is None
    return cameras, points


def with_centred_cameras(scene: Reconstruction) -> Reconstruction:
    """Return the scene with cameras such as Bundler knows."""

    def centred(camera: Camera) -> Camera:
        intrinsics = camera.intrinsics.clone()
        intrinsics[1, 1] = intrinsics[0, 0]
        intrinsics[0, 2], intrinsics[1, 2] = camera.width / 2, camera.height / 2
        return replace(camera, intrinsics=intrinsics)

    return replace(scene, cameras=[centred(camera) for camera in scene.cameras])


@pytest.fixture
def scene() -> Reconstruction:
    return with_centred_cameras(make_scene(SETS["landscape"]))


def test_points_land_where_they_were_seen(scene, tmp_path):
    write(scene, tmp_path)
    cameras, points = read(tmp_path)
    assert len(cameras) == 3
    assert any(len(track) > 1 for _, _, track in points)
    for position, _, track in points[::7]:
        for camera, _, x, y in track:
            (focal, k1, k2), rotation, translation = cameras[int(camera)]
            seen = rotation @ position + translation
            flat = -seen[:2] / seen[2]
            squared = flat @ flat
            pixel = focal * (1 + k1 * squared + k2 * squared**2) * flat
            torch.testing.assert_close(pixel, torch.stack((x, y)), atol=0.05, rtol=0)


def test_photos_are_listed_in_order(scene, tmp_path):
    write(scene, tmp_path)
    names = (tmp_path / "list.txt").read_text().splitlines()
    assert names == [view.name for view in scene.views]


def test_cameras_that_bundler_does_not_know_are_refused(scene, tmp_path):
    shifted = [replace(c, intrinsics=c.intrinsics.clone()) for c in scene.cameras]
    shifted[1].intrinsics[0, 2] += 200
    with pytest.raises(ValueError, match=r"the principal point at \(2200\.0, 1500\.0\)"):
        write(replace(scene, cameras=shifted), tmp_path)
