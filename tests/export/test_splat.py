"""The folder that splatting starts from: upright straight photos, and cameras that fit them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fast3r.camera_files.colmap_reader import read_model
from fast3r.export.splat import write
from fast3r.geometry.cameras import Camera, pinhole
from fast3r.scene.reconstruction import Reconstruction, Scale
from fast3r.views.load import load_views

PHOTOS = Path(__file__).parents[2] / "examples/photos/buddha"
ORIENTATION = 0x0112


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a plain photo, one that lies on its side, one with transparency, and a WebP."""
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(PHOTOS / "00006.jpg", folder / "a.jpg")
    picture = opened(PHOTOS / "00007.jpg")
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    picture.transpose(Image.Transpose.ROTATE_90).save(folder / "b.jpg", exif=exif)
    alpha = Image.new("L", picture.size, 255)
    alpha.paste(0, (0, 0, picture.width // 2, picture.height))
    picture.putalpha(alpha)
    picture.save(folder / "c.png")
    opened(PHOTOS / "00010.jpg").save(folder / "d.webp")
    return folder


def scene_of(folder: Path) -> Reconstruction:
    views = list(load_views(folder, size=64, patch=8))
    cameras: list[Camera | None] = []
    for i, view in enumerate(views):
        focal = torch.tensor(1.2 * view.original_width)
        pose = torch.eye(4)
        pose[0, 3] = 0.1 * i
        intrinsics = pinhole(focal, view.original_height, view.original_width)
        cameras.append(Camera(intrinsics, pose, view.original_height, view.original_width))
    depth = [torch.full((v.height, v.width), 2.0) for v in views]
    sure = [torch.full((v.height, v.width), 2.0) for v in views]
    return Reconstruction(views, cameras, depth, sure, [None] * len(views), [], Scale())


def opened(path: Path) -> Image.Image:
    """Return a picture, read whole."""
    with Image.open(path) as picture:
        picture.load()
        return picture


def test_photos_stand_upright_and_have_the_size_of_their_cameras(photos, tmp_path):
    scene = scene_of(photos)
    write(scene, tmp_path / "splat")
    model = read_model(tmp_path / "splat/sparse/0")
    assert [image.name for image in model.images.values()] == [
        "a.jpg",
        "b.jpg",
        "c.png",
        "d.webp.jpg",
    ]
    for image in model.images.values():
        camera = model.cameras[image.camera_id]
        picture = opened(tmp_path / "splat/images" / image.name)
        assert picture.getexif().get(ORIENTATION, 1) == 1
        assert picture.size == (camera.width, camera.height)
        assert camera.model == "PINHOLE"


def test_a_plain_photo_is_copied_bit_by_bit(photos, tmp_path):
    write(scene_of(photos), tmp_path / "splat")
    assert (tmp_path / "splat/images/a.jpg").read_bytes() == (photos / "a.jpg").read_bytes()


def test_a_turned_photo_shows_what_it_showed(photos, tmp_path):
    write(scene_of(photos), tmp_path / "splat")
    written = np.asarray(opened(tmp_path / "splat/images/b.jpg")).astype(float)
    upright = np.asarray(opened(PHOTOS / "00007.jpg")).astype(float)
    assert abs(written - upright).mean() < 3


def test_nerfstudio_finds_photos_and_masks(photos, tmp_path):
    write(scene_of(photos), tmp_path / "splat")
    frames = json.loads((tmp_path / "splat/transforms.json").read_text())["frames"]
    for frame in frames:
        photo = opened(tmp_path / "splat" / frame["file_path"])
        mask = opened(tmp_path / "splat" / frame["mask_path"])
        assert photo.size == mask.size == (frame["w"], frame["h"])
    half = np.asarray(opened(tmp_path / "splat" / frames[2]["mask_path"])) > 0
    middle = half.shape[1] // 2
    assert not half[:, middle - 100 : middle - 10].any()
    assert half[:, middle + 10 :].all()


def test_photos_that_are_gone_are_written_as_the_network_saw_them(photos, tmp_path):
    scene = scene_of(photos)
    shutil.rmtree(photos)
    write(scene, tmp_path / "splat")
    model = read_model(tmp_path / "splat/sparse/0")
    for image, view in zip(model.images.values(), scene.views, strict=True):
        camera = model.cameras[image.camera_id]
        assert (camera.width, camera.height) == (view.width, view.height)
        # The same rays as before, in other pixels.
        ratio = view.original_from_network[0, 0].item()
        assert camera.parameters[0] * ratio == pytest.approx(1.2 * view.original_width, rel=1e-3)


def test_points_are_seen_where_they_project(photos, tmp_path):
    write(scene_of(photos), tmp_path / "splat")
    model = read_model(tmp_path / "splat/sparse/0")
    for image in model.images.values():
        fx, fy, cx, cy = model.cameras[image.camera_id].parameters
        points = model.points.positions[model.points.ids.argsort()][image.point_ids - 1]
        seen = points @ image.camera_from_world[:3, :3].T + image.camera_from_world[:3, 3]
        pixel = torch.stack(
            (fx * seen[:, 0] / seen[:, 2] + cx, fy * seen[:, 1] / seen[:, 2] + cy), dim=-1
        )
        assert (pixel - image.xy).abs().max() < 0.05


def test_nerfstudio_reads_photos_cameras_masks_and_points(photos, tmp_path):
    parser = pytest.importorskip("nerfstudio.data.dataparsers.nerfstudio_dataparser")
    scene = scene_of(photos)
    write(scene, tmp_path / "splat")
    config = parser.NerfstudioDataParserConfig(
        data=tmp_path / "splat",
        load_3D_points=True,
        downscale_factor=1,
        orientation_method="none",
        center_method="none",
        auto_scale_poses=False,
        eval_mode="all",
    )
    read = config.setup().get_dataparser_outputs(split="train")
    opengl_from_opencv = torch.diag(torch.tensor([1.0, -1, -1, 1]))
    for i, camera in enumerate(scene.cameras):
        pose = camera.world_from_camera @ opengl_from_opencv
        torch.testing.assert_close(read.cameras.camera_to_worlds[i], pose[:3])
        assert opened(read.image_filenames[i]).size == opened(read.mask_filenames[i]).size
        assert read.cameras.fx[i].item() == pytest.approx(1.2 * read.cameras.width[i].item())
    assert len(read.metadata["points3D_xyz"]) > 1000
