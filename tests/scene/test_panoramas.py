"""Scenes of panoramas, whose faces are views."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import torch

from fast3r.camera_files.colmap import read_colmap
from fast3r.export import cameras_json, colmap
from fast3r.geometry.transforms import rotation_exp
from fast3r.scene.panoramas import panoramas, tied_faces
from fast3r.scene.priors.applying import with_priors
from fast3r.scene.priors.types import Poses, Priors
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.refine import refine
from fast3r.scene.run import reconstruct
from fast3r.views.load import load_views
from fast3r.views.view import View
from tests.scene.bent_corner import exact_scene, save_panoramas, seen_by
from tests.scene.corner import shaken
from tests.scene.playback import SIZE, PlayedBack


@cache
def panorama_scene() -> Reconstruction:
    folder = Path(mkdtemp())
    poses = save_panoramas(160, folder)
    views = load_views(folder, size=96, patch=8, lenses="equirectangular")
    return exact_scene(views, [face_pose(view, poses) for view in views])


def face_pose(view: View, poses: list[torch.Tensor]) -> torch.Tensor:
    pose = poses[int(view.face.panorama[0])].clone()
    pose[:3, :3] = pose[:3, :3] @ view.face.panorama_from_face.float()
    return pose


def test_the_faces_of_a_panorama_are_in_place() -> None:
    truth = panorama_scene()
    scene = reconstruct(truth.views, PlayedBack(seen_by(truth)), size=SIZE)
    first, second = panoramas(scene)
    assert (first.views, second.views) == (list(range(8)), list(range(8, 16)))
    for panorama, true in zip((first, second), panoramas(truth), strict=True):
        torch.testing.assert_close(
            panorama.world_from_camera, true.world_from_camera, rtol=0, atol=1e-3
        )
    centres = torch.stack([c.world_from_camera[:3, 3] for c in scene.cameras if c is not None])
    assert (centres[:8] == centres[0]).all()
    for index, depth in enumerate(truth.depth):
        near = depth < 20
        torch.testing.assert_close(scene.depth[index][near], depth[near], rtol=1e-3, atol=0)


def test_points_of_all_faces_lie_on_the_walls() -> None:
    cloud = panorama_scene().point_cloud(min_conf_percentile=0, margin=0)
    walls = torch.tensor([2.0, 1.2, 5.0])
    near = (cloud.points - walls).abs().amin(dim=1)
    sure = near[(cloud.points.abs() < 20).all(dim=1)]
    assert len(sure) > 10_000
    assert sure.max() < 1e-3


def test_one_wrong_face_is_put_right_by_the_others() -> None:
    scene = panorama_scene()
    cameras = list(scene.cameras)
    wrong = cameras[2]
    pose = wrong.world_from_camera.clone()
    pose[:3, :3] = rotation_exp(torch.tensor([0.0, 1.5, 0.3])) @ pose[:3, :3]
    cameras[2] = replace(wrong, world_from_camera=pose)
    cameras[4] = None
    for index, found in tied_faces(scene.views, cameras).items():
        true = scene.cameras[index]
        torch.testing.assert_close(
            found.world_from_camera, true.world_from_camera, rtol=0, atol=1e-5
        )


def test_faces_that_do_not_agree_have_no_place() -> None:
    scene = panorama_scene()
    cameras = [None] * 16
    for index in (0, 1):
        camera = scene.camera(index)
        pose = camera.world_from_camera.clone()
        pose[:3, :3] = rotation_exp(torch.tensor([0.0, 1.5 * index, 0.0])) @ pose[:3, :3]
        cameras[index] = replace(camera, world_from_camera=pose)
    found = tied_faces(scene.views, cameras)
    assert found[0] == "the faces of its panorama do not agree on where it is"
    assert isinstance(found[15], str)


def test_faces_stay_tied_where_one_of_each_panorama_is_known() -> None:
    scene = panorama_scene()
    poses = {}
    for name, index in (("0.png#face2", 2), ("1.png#face0", 8)):
        camera = scene.camera(index)
        poses[name] = camera.world_from_camera.double().clone()
    # The network and the user disagree on how far apart the panoramas are turned.
    turn = rotation_exp(torch.tensor([0.0, 0.1, 0.0], dtype=torch.float64))
    poses["1.png#face0"][:3, :3] = turn @ poses["1.png#face0"][:3, :3]
    moved = with_priors(scene, Priors(poses=Poses(poses, metric=True)))
    for index, found in tied_faces(moved.views, moved.cameras).items():
        camera = moved.cameras[index]
        tied = found.world_from_camera
        torch.testing.assert_close(camera.world_from_camera, tied, rtol=0, atol=1e-5)
    known = moved.camera(8)
    torch.testing.assert_close(
        known.world_from_camera.double(), poses["1.png#face0"], rtol=0, atol=1e-6
    )
    names = [check.prior for check in moved.prior_checks]
    assert "rotations of panorama 1.png" in names
    assert "places of panorama 1.png" in names


def test_refined_faces_are_tied() -> None:
    pytest.importorskip("pycolmap")
    refined = refine(shaken(panorama_scene(), turned_deg=4.0, moved=0.2))
    poses = [panorama.world_from_camera for panorama in panoramas(refined)]
    assert all(pose is not None for pose in poses)
    centres = torch.stack([c.world_from_camera[:3, 3] for c in refined.cameras if c is not None])
    assert (centres[:8] == centres[0]).all()


def test_panoramas_are_written_as_a_whole_and_by_their_faces(tmp_path: Path) -> None:
    scene = panorama_scene()
    cameras_json.write(scene, tmp_path / "cameras.json")
    document = json.loads((tmp_path / "cameras.json").read_text())
    first, second = document["panoramas"]
    assert (first["name"], first["model"]) == ("0.png", "EQUIRECTANGULAR")
    assert (first["width"], first["height"]) == (320, 160)
    assert second["faces"] == [f"1.png#face{i}" for i in range(8)]
    face = next(view for view in document["views"] if view["name"] == "0.png#face0")
    np.testing.assert_allclose(first["world_from_camera"], face["world_from_camera"], atol=1e-6)
    colmap.write(scene, tmp_path / "sparse")
    records = read_colmap(tmp_path / "sparse")
    assert len(records) == 16
    assert all(record.calibration.model == "PINHOLE" for record in records)
