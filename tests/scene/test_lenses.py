"""Scenes of photos through known lenses."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import torch

from fast3r.camera_files.cameras_json import read_cameras
from fast3r.camera_files.colmap import read_colmap
from fast3r.camera_files.transforms_json import read_transforms
from fast3r.export import cameras_json, colmap, depth_maps, transforms_json
from fast3r.geometry.cameras import invert_rigid, project
from fast3r.geometry.lenses import Lens, ideal_from_photo, photo_from_ideal
from fast3r.geometry.transforms import rotation_angle_deg
from fast3r.scene.priors.applying import with_priors
from fast3r.scene.priors.camera_files import read_known_cameras
from fast3r.scene.priors.types import Distance, Intrinsics, Priors, Spot
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.refine import refine
from fast3r.scene.run import reconstruct
from fast3r.views.load import load_views
from tests.scene.bent_corner import LENSES, exact_scene, save_bent, seen_by
from tests.scene.corner import shaken
from tests.scene.playback import SIZE, PlayedBack

ALL = pytest.mark.parametrize("lens", LENSES.values(), ids=lambda lens: lens.model)


@cache
def photos(model: str) -> tuple[Path, list[torch.Tensor]]:
    folder = Path(mkdtemp())
    return folder, save_bent(LENSES[model], folder)


@cache
def scene_of(lens: Lens, size: int = 96) -> Reconstruction:
    """Return a perfect scene of photos through a lens."""
    folder, poses = photos(lens.model)
    return exact_scene(load_views(folder, size=size, patch=8, lenses=lens), poses)


def through_the_lens(scene: Reconstruction, index: int, points: torch.Tensor) -> torch.Tensor:
    camera = scene.camera(index)
    ideal, _ = project(
        points.double(), camera.intrinsics.double(), invert_rigid(camera.world_from_camera.double())
    )
    return photo_from_ideal(ideal, camera.lens)


@ALL
def test_a_known_lens_gives_exact_cameras_and_points(lens: Lens) -> None:
    truth = scene_of(lens)
    scene = reconstruct(truth.views, PlayedBack(seen_by(truth)), size=SIZE)
    for found, true in zip(scene.cameras, truth.cameras, strict=True):
        assert found.lens == lens
        torch.testing.assert_close(found.intrinsics, lens.intrinsics.float())
        torch.testing.assert_close(
            found.world_from_camera, true.world_from_camera, rtol=0, atol=1e-3
        )


@ALL
def test_points_project_onto_their_pixels_of_the_photo(lens: Lens) -> None:
    scene = scene_of(lens)
    cloud = scene.point_cloud(min_conf_percentile=0)
    for index in range(len(scene.views)):
        own = cloud.view_index == index
        pixels = through_the_lens(scene, index, cloud.points[own])
        torch.testing.assert_close(pixels.float(), cloud.pixel[own], rtol=0, atol=0.01)
        assert (pixels.amin(dim=0) > 0).all()
        assert (pixels.amax(dim=0) < torch.tensor([lens.width, lens.height])).all()


@ALL
def test_a_point_is_where_the_photo_saw_it(lens: Lens) -> None:
    """The ray of its pixel, by the lens alone, hits the wall that it is part of."""
    scene = scene_of(lens)
    cloud = scene.point_cloud(min_conf_percentile=0)
    own = cloud.view_index == 1
    camera = scene.camera(1)
    rays = lens.undistort(cloud.pixel[own].double()) @ camera.world_from_camera[:3, :3].double().mT
    offsets = cloud.points[own].double() - camera.world_from_camera[:3, 3].double()
    along = (offsets * rays).sum(dim=-1, keepdim=True) * rays
    torch.testing.assert_close(along, offsets, rtol=0, atol=1e-4)


@ALL
def test_colmap_reads_the_model_and_finds_no_error(lens: Lens, tmp_path: Path) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    colmap.write(scene_of(lens), tmp_path)
    model = pycolmap.Reconstruction(tmp_path)
    (camera,) = model.cameras.values()
    assert camera.model.name == lens.model
    np.testing.assert_allclose(camera.params, lens.parameters)
    errors, shared = [], 0
    for image in model.images.values():
        seen = [p for p in image.points2D if p.has_point3D()]
        for point in seen:
            projected = image.project_point(model.points3D[point.point3D_id].xyz)
            errors.append(np.linalg.norm(projected - point.xy))
            shared += model.points3D[point.point3D_id].track.length() > 1
    assert len(errors) > 1000
    assert shared > 1000
    assert max(errors) < 0.01


@ALL
def test_written_lenses_are_read_again(lens: Lens, tmp_path: Path) -> None:
    scene = scene_of(lens)
    colmap.write_as_text(scene, tmp_path / "sparse")
    cameras_json.write(scene, tmp_path / "cameras.json")
    transforms_json.write(scene, tmp_path / "transforms.json")
    for records in (
        read_colmap(tmp_path / "sparse"),
        read_cameras(tmp_path / "cameras.json"),
        read_transforms(tmp_path / "transforms.json", photo_size=lambda name: (0, 0)),
    ):
        found = records[0].calibration.known_lens(records[0].name)
        pixels = torch.rand(50, 2, dtype=torch.float64) * torch.tensor([240, 180])
        torch.testing.assert_close(
            found.undistort(pixels), lens.undistort(pixels), rtol=0, atol=1e-6
        )


@ALL
def test_a_scene_with_its_lens_is_saved_whole(lens: Lens, tmp_path: Path) -> None:
    scene_of(lens).save(tmp_path / "scene.npz")
    again = Reconstruction.load(tmp_path / "scene.npz")
    assert [view.lens for view in again.views] == [lens] * 4
    assert [camera.lens for camera in again.cameras if camera] == [lens] * 4


def test_depth_maps_tell_the_lens(tmp_path: Path) -> None:
    lens = LENSES["OPENCV"]
    depth_maps.write(scene_of(lens), tmp_path)
    with np.load(tmp_path / "0.npz") as stored:
        assert str(stored["lens_model"]) == "OPENCV"
        assert stored["lens_parameters"].tolist() == list(lens.parameters)


def test_a_transforms_json_has_one_camera_model(tmp_path: Path) -> None:
    first, second = scene_of(LENSES["OPENCV"]), scene_of(LENSES["OPENCV_FISHEYE"])
    mixed = replace(
        first,
        views=[*first.views[:1], *second.views[1:]],
        cameras=[*first.cameras[:1], *second.cameras[1:]],
        depth=[*first.depth[:1], *second.depth[1:]],
        confidence=[*first.confidence[:1], *second.confidence[1:]],
    )
    with pytest.raises(ValueError, match=r"one camera model .* 1\.png is of a fisheye"):
        transforms_json.write(mixed, tmp_path / "transforms.json")


def test_a_transforms_json_has_no_rational_lenses(tmp_path: Path) -> None:
    scene = scene_of(LENSES["OPENCV"])
    rational = Lens("FULL_OPENCV", (*LENSES["OPENCV"].parameters, 0.0, 0.1, 0.0, 0.0), 240, 180)
    views = [replace(view, lens=rational) for view in scene.views]
    with pytest.raises(ValueError, match=r"cannot hold k4 of the lens of 0\.png \(FULL_OPENCV\)"):
        transforms_json.write(replace(scene, views=views), tmp_path / "transforms.json")


@ALL
def test_refinement_keeps_the_lens_and_finds_the_cameras(lens: Lens) -> None:
    pytest.importorskip("pycolmap")
    refined = refine(shaken(scene_of(lens), turned_deg=4.0, moved=0.2))
    assert refined.refinement.after_px < 0.3
    found = torch.stack([c.world_from_camera for c in refined.cameras if c is not None]).double()
    truth = torch.stack([c.world_from_camera for c in scene_of(lens).cameras if c]).double()
    made = found[:, None, :3, :3].mT @ found[:, :3, :3]
    true = truth[:, None, :3, :3].mT @ truth[:, :3, :3]
    assert rotation_angle_deg(made, true).max() < 0.3
    for camera in refined.cameras:
        assert camera.lens == lens
        torch.testing.assert_close(camera.intrinsics, lens.intrinsics.float())


def test_a_distance_is_between_pixels_of_the_photo() -> None:
    scene = scene_of(LENSES["OPENCV"])
    pixels = scene.original_pixels(0, torch.tensor([40 * 96 + 10, 40 * 96 + 85]))
    ends = scene.points_at(0, torch.tensor([40 * 96 + 10, 40 * 96 + 85]))
    (x0, y0), (x1, y1) = pixels.tolist()
    metres = 3 * (ends[0] - ends[1]).norm().item()
    known = Distance(metres, (Spot("0.png", (x0, y0)), Spot("0.png", (x1, y1))))
    scaled = with_priors(scene, Priors(distances=[known]))
    assert scaled.scale.kind == "metric"
    assert scaled.depth[0].median().item() == pytest.approx(
        3 * scene.depth[0].median().item(), rel=1e-3
    )


def test_lenses_come_from_a_camera_file(tmp_path: Path) -> None:
    lens = LENSES["OPENCV"]
    scene = scene_of(lens)
    cameras_json.write(scene, tmp_path / "cameras.json")
    known = read_known_cameras(tmp_path / "cameras.json")
    folder, _ = photos("OPENCV")
    views = load_views(folder, size=96, patch=8, lenses=known.lenses)
    found = reconstruct(views, PlayedBack(seen_by(scene)), priors=known, size=SIZE)
    assert all(camera is not None and camera.lens is not None for camera in found.cameras)
    assert all(check.status == "agrees" for check in found.prior_checks)


def test_a_known_lens_that_the_views_were_loaded_without_is_refused() -> None:
    lens = LENSES["OPENCV"]
    folder, _ = photos("OPENCV")
    views = load_views(folder, size=96, patch=8)
    with pytest.raises(ValueError, match=r"of 0\.png: its lens \(OPENCV\).*lenses=priors\.lenses"):
        reconstruct(
            views,
            PlayedBack(seen_by(scene_of(lens))),
            size=SIZE,
            priors=Priors(intrinsics={"*": lens}),
        )


@pytest.mark.parametrize("known", [Intrinsics(400.0), LENSES["SIMPLE_RADIAL"]])
def test_intrinsics_that_contradict_the_lens_are_refused(known: Intrinsics | Lens) -> None:
    scene = scene_of(LENSES["OPENCV"])
    with pytest.raises(ValueError, match=r"of 0\.png: they are not those that it was loaded with"):
        with_priors(scene, Priors(intrinsics={"*": known}))


def test_lenses_need_names() -> None:
    with pytest.raises(ValueError, match="by name or pattern"):
        _ = Priors(intrinsics=[LENSES["OPENCV"]]).lenses


@ALL
def test_the_pixel_of_a_point_leads_back_to_its_pixel_of_the_view(lens: Lens) -> None:
    scene = scene_of(lens)
    cloud = scene.point_cloud(min_conf_percentile=0)
    for index, view in enumerate(scene.views):
        affine = view.original_from_network.double().inverse()
        ideal = ideal_from_photo(cloud.pixel[cloud.view_index == index].double(), lens)
        network = ideal @ affine[:2, :2].mT + affine[:2, 2]
        torch.testing.assert_close(network, network.floor() + 0.5, rtol=0, atol=1e-3)
