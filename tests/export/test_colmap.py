"""COLMAP models: what pycolmap makes of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fast3r.camera_files.colmap_model import ColmapModel
from fast3r.export import colmap, tracks
from fast3r.export.tracks import sightings, surest_of_each_view
from fast3r.scene.reconstruction import Reconstruction
from tests.scenes import SETS, SPHERE_CENTRE, make_scene, without_cameras

WRITERS = {"binary": colmap.write, "text": colmap.write_as_text}


def everything(scene: Reconstruction) -> ColmapModel:
    cloud = scene.point_cloud(min_conf_percentile=0, max_slant_deg=90)
    return colmap.colmap_model(scene, cloud=cloud)


@pytest.mark.parametrize("encoding", WRITERS)
@pytest.mark.parametrize("kinds", SETS.values(), ids=SETS.keys())
def test_pycolmap_reprojects_every_point_onto_its_observations(
    kinds: tuple[str, ...], encoding: str, tmp_path: Path
) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    scene = make_scene(kinds)
    WRITERS[encoding](scene, tmp_path)
    model = pycolmap.Reconstruction(tmp_path)
    assert model.num_points3D() == len(scene.point_cloud())
    count = 0
    for image in model.images.values():
        for seen in image.points2D:
            point = model.points3D[seen.point3D_id]
            assert np.abs(image.project_point(point.xyz) - seen.xy).max() < 0.05
            count += 1
    assert count == model.compute_num_observations() > 1.5 * len(scene.point_cloud())


def test_pycolmap_finds_the_cameras_and_poses_of_the_original_photos(tmp_path: Path) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    scene = without_cameras(make_scene(), 1)
    colmap.write(scene, tmp_path)
    model = pycolmap.Reconstruction(tmp_path)
    assert sorted(image.name for image in model.images.values()) == [
        "day0/IMG_0.jpg",
        "day0/IMG_2.jpg",
        "day1/IMG_3.jpg",
    ]
    for i, view, camera in scene.posed_views():
        image = model.images[i + 1]
        assert (image.camera.width, image.camera.height) == (
            view.original_width,
            view.original_height,
        )
        assert np.array_equal(image.camera.calibration_matrix(), camera.intrinsics.numpy())
        pose = image.cam_from_world().inverse().matrix()
        np.testing.assert_allclose(pose, camera.world_from_camera.numpy()[:3], atol=1e-6)


def test_the_stored_errors_are_those_that_pycolmap_computes(tmp_path: Path) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    colmap.write(make_scene(), tmp_path)
    model = pycolmap.Reconstruction(tmp_path)
    stored = {key: point.error for key, point in model.points3D.items()}
    model.update_point_3d_errors()
    assert all(abs(p.error - stored[k]) < 1e-3 for k, p in model.points3D.items())


def test_views_of_equal_size_and_intrinsics_share_a_camera() -> None:
    scene = make_scene(("landscape", "landscape", "portrait"))
    shared = replace(scene.cameras[1], intrinsics=scene.cameras[0].intrinsics)
    scene = replace(scene, cameras=[scene.cameras[0], shared, scene.cameras[2]])
    model = everything(scene)
    assert [image.camera_id for image in model.images.values()] == [1, 1, 2]
    assert len(model.cameras) == 2


def test_tracks_and_observations_point_at_each_other() -> None:
    model = everything(make_scene())
    points = model.points
    lengths = points.track_starts.diff(append=torch.tensor([len(points.tracks)]))
    owner = points.ids.repeat_interleave(lengths)
    for (image_id, row), point_id in zip(points.tracks.tolist(), owner.tolist(), strict=True):
        assert model.images[image_id].point_ids[row] == point_id
    assert len(points.tracks) == sum(len(image.xy) for image in model.images.values())


def test_a_point_behind_the_sphere_is_not_seen_through_it() -> None:
    scene = make_scene(("landscape",) * 3)
    model = everything(scene)
    positions = model.points.positions
    centre = torch.tensor(SPHERE_CENTRE, dtype=torch.float64)
    for i, _, camera in scene.posed_views():
        seen = positions[model.images[i + 1].point_ids - 1]
        eye = camera.world_from_camera[:3, 3].double()
        rays = seen - eye
        along = ((centre - eye) @ rays.T / rays.norm(dim=-1)).clamp(min=0)
        nearest = eye + rays / rays.norm(dim=-1, keepdim=True) * along[:, None]
        # Well inside its outline the sphere hides the wall; 0.6 of its radius of 0.7 allows
        # for the width of a pixel.
        through = ((nearest - centre).norm(dim=-1) < 0.6) & (rays.norm(dim=-1) > along + 0.1)
        assert not through.any()
        hidden = positions[:, 2] > 4.9
        assert hidden.any()


def test_a_point_that_all_cameras_see_is_tracked_through_all() -> None:
    model = everything(make_scene(("landscape",) * 3))
    lengths = model.points.track_starts.diff(append=torch.tensor([len(model.points.tracks)]))
    assert lengths.max() == 3
    assert (lengths >= 2).float().mean() > 0.7


def test_every_view_gives_an_equal_share_of_the_points() -> None:
    scene = make_scene(("landscape",) * 3)
    drawn = surest_of_each_view(scene.point_cloud(), 300)
    assert drawn.view_index.bincount().tolist() == [100, 100, 100]


def test_surer_points_are_chosen_more_often() -> None:
    scene = make_scene(("landscape",))
    cloud = scene.point_cloud(min_conf_percentile=0)
    drawn = surest_of_each_view(cloud, 200)
    assert drawn.confidence.mean() > cloud.confidence.mean() + 0.5


def test_too_many_sightings_are_thinned_but_each_point_stays_with_the_view_that_gave_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = make_scene(("landscape",) * 6)
    cloud = scene.point_cloud()
    every = sightings(scene, cloud)
    count = sum(len(seen.point_index) for seen in every.values())
    monkeypatch.setattr(tracks, "MAX_SIGHTINGS", count // 2)
    few = sightings(scene, cloud)
    assert len(cloud) < sum(len(seen.point_index) for seen in few.values()) <= count // 2
    for i, seen in few.items():
        assert torch.isin((cloud.view_index == i).nonzero()[:, 0], seen.point_index).all()
        rows = torch.isin(every[i].point_index, seen.point_index).nonzero()[:, 0]
        assert torch.equal(every[i].xy[rows], seen.xy)
        assert len(seen.point_index) > (cloud.view_index == i).sum()


@pytest.mark.parametrize("name", ["a b.jpg", " a.jpg", "a.jpg\n", "\u2028a.jpg"])
def test_text_refuses_a_name_that_it_would_cut(name: str, tmp_path: Path) -> None:
    scene = make_scene()
    named = replace(scene, views=[replace(scene.views[0], name=name), *scene.views[1:]])
    with pytest.raises(ValueError, match="cannot hold the name"):
        colmap.write_as_text(named, tmp_path)
