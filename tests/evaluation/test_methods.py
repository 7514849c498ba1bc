"""Methods: what they say of photos whose truth is known, and how they are opened."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fast3r.evaluation.benchmark import Answer
from fast3r.evaluation.methods.adapter import open_adapter
from fast3r.evaluation.methods.answers import (
    answer_of_cameras,
    answer_of_pointmaps,
    on_common_grid,
)
from fast3r.evaluation.methods.catalog import METHODS, open_methods
from fast3r.evaluation.methods.colmap import Colmap
from fast3r.evaluation.methods.fast3r import Fast3RMethod
from fast3r.evaluation.methods.trivial import Trivial
from fast3r.evaluation.running import check_answer
from fast3r.geometry.cameras import invert_rigid, unproject
from tests.evaluation.fakes import frame, truth
from tests.scene.playback import PlayedBack, Truth, a_random_model, a_view, nonsense, predicted

# Photos of network size: what is predicted of them is about their own pixels.
HEIGHT, WIDTH = 72, 96


@pytest.fixture
def truths() -> list[Truth]:
    return [a_view(seed, HEIGHT, WIDTH, 85.0) for seed in range(3)]


@pytest.fixture
def photos() -> list[np.ndarray]:
    return [np.zeros((HEIGHT, WIDTH, 3), np.uint8) for _ in range(3)]


def assert_true(answer: Answer, truths: list[Truth]) -> None:
    check_answer(answer, len(truths))
    for place, truth_of_view in enumerate(truths):
        pose, dense = answer.world_from_camera[place], answer.dense[place]
        assert pose is not None
        assert dense is not None
        np.testing.assert_allclose(pose, truth_of_view.world_from_camera, atol=2e-3)
        np.testing.assert_allclose(dense.depth, truth_of_view.depth, rtol=5e-3)
        world = unproject(
            truth_of_view.depth, truth_of_view.intrinsics, truth_of_view.world_from_camera
        )
        np.testing.assert_allclose(dense.points, world, atol=2e-2)


# --- ours ------------------------------------------------------------------------------------


@pytest.mark.parametrize("points", ["depth", "world"])
def test_perfect_pointmaps_are_a_true_answer(truths, photos, points) -> None:
    model = PlayedBack([predicted(truth) for truth in truths])
    method = Fast3RMethod(model, label="tiny", points=points)
    answer = method(photos)
    assert_true(answer, truths)
    assert answer.intrinsics[0][0, 0] == pytest.approx(85, rel=5e-3)


def test_world_points_are_those_of_the_world_head(truths, photos) -> None:
    predictions = [predicted(truth, noise=0.01) for truth in truths]
    method = Fast3RMethod(PlayedBack(predictions), label="tiny", points="world")
    dense = method(photos).dense[1]
    np.testing.assert_array_equal(dense.points, predictions[1].world.points[0])


def test_a_photo_without_pose_has_no_answer(truths, photos) -> None:
    lost = nonsense(truths[2].view)
    model = PlayedBack([predicted(truths[0]), predicted(truths[1]), lost])
    answer = Fast3RMethod(model, label="tiny")(photos)
    assert answer.world_from_camera[2] is None
    assert answer.intrinsics[2] is None
    assert answer.dense[2] is None


def test_photos_of_any_size_come_back_in_their_own_pixels() -> None:
    method = Fast3RMethod(a_random_model(), label="tiny", size=64)
    answer = method([np.zeros((150, 200, 3), np.uint8), np.zeros((200, 150, 3), np.uint8)])
    check_answer(answer, 2)


def test_settings_tell_weights_and_options_apart() -> None:
    model = a_random_model()
    settings = [
        Fast3RMethod(model, label="a", seed=seed, size=size).settings
        for seed, size in ((0, None), (1, None), (0, 64))
    ]
    assert len({tuple(each.items()) for each in settings}) == 3
    assert Fast3RMethod(model, label="a").settings == settings[0]


def test_names_tell_models_and_points_apart() -> None:
    model = a_random_model()
    assert Fast3RMethod(model, label="small").name == "fast3r-small"
    assert Fast3RMethod(model, label="x", points="world").name == "fast3r-x-world-points"


# --- trivial ---------------------------------------------------------------------------------


def test_the_trivial_answer_is_a_flat_wall_before_cameras_in_a_row() -> None:
    answer = Trivial()([np.zeros((20, 40, 3), np.uint8), np.zeros((40, 20, 3), np.uint8)])
    check_answer(answer, 2)
    assert answer.world_from_camera[1][:3, 3].tolist() == [1, 0, 0]
    for pose in answer.world_from_camera:
        np.testing.assert_array_equal(pose[:3, :3], np.eye(3))
    dense = answer.dense[1]
    np.testing.assert_array_equal(dense.points[..., 2], 1)
    corner = dense.photo_from_grid @ [dense.depth.shape[1], dense.depth.shape[0], 1]
    assert (corner[:2] >= (20, 40)).all()


# --- COLMAP ----------------------------------------------------------------------------------


def textured_views(count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return photos of two slanted textured planes, and their world_from_camera."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (90, 90), dtype=np.uint8)
    texture = np.asarray(Image.fromarray(noise).resize((720, 720), Image.Resampling.BICUBIC))
    height, width, focal_px = 240, 320, 300.0
    x, y = np.meshgrid(np.arange(width) + 0.5 - width / 2, np.arange(height) + 0.5 - height / 2)
    rays = np.stack((x / focal_px, y / focal_px, np.ones_like(x)), axis=-1)
    photos, poses = [], []
    for index in range(count):
        pose = np.eye(4)
        turn = np.radians(-6.0 * index)
        pose[:3, :3] = [
            [np.cos(turn), 0, np.sin(turn)],
            [0, 1, 0],
            [-np.sin(turn), 0, np.cos(turn)],
        ]
        pose[:3, 3] = (0.45 * index, 0.1 * index, 0)
        directions = rays @ pose[:3, :3].T
        # The planes z = 4 + 0.6 x and z = 4 - 0.6 x; the nearer one is seen.
        hits = []
        for slope in (0.6, -0.6):
            reach = (4 + slope * pose[0, 3] - pose[2, 3]) / (
                directions[..., 2] - slope * directions[..., 0]
            )
            hits.append(np.where(reach > 0, reach, np.inf))
        points = pose[:3, 3] + np.minimum(*hits)[..., None] * directions
        u, v = ((points[..., axis] * 90 + 360).astype(int) % 720 for axis in (0, 1))
        photos.append(np.repeat(texture[v, u][..., None], 3, axis=2))
        poses.append(pose)
    return photos, poses


@pytest.mark.parametrize("mapping", ["incremental", "global"])
def test_colmap_finds_the_cameras_of_two_photos(mapping) -> None:
    from fast3r.evaluation.metrics.poses import relative_pose_errors

    photos, poses = textured_views(4)
    answer = Colmap(mapping)(photos[::3])
    made = [None if pose is None else torch.from_numpy(pose) for pose in answer.world_from_camera]
    errors = relative_pose_errors(made, torch.from_numpy(np.stack(poses[::3])))
    assert max(errors).item() < 10


@pytest.mark.parametrize("mapping", ["incremental", "global"])
def test_colmap_finds_the_cameras_of_textured_photos(mapping, monkeypatch) -> None:
    from fast3r.evaluation.metrics.poses import pose_score, relative_pose_errors

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    photos, poses = textured_views(5)
    answer = Colmap(mapping)(photos)
    check_answer(answer, 5)
    made = [None if pose is None else torch.from_numpy(pose) for pose in answer.world_from_camera]
    score = pose_score(*relative_pose_errors(made, torch.from_numpy(np.stack(poses))))
    assert score.auc5 > 0.8
    assert answer.intrinsics[0][0, 0] == pytest.approx(300, rel=0.1)
    assert answer.dense == [None] * 5
    assert answer.host_peak_gib > 0.01


def test_colmap_fails_on_photos_of_nothing() -> None:
    with pytest.raises(RuntimeError, match="COLMAP found no model: too few matches"):
        Colmap("incremental")([np.full((64, 64, 3), 90, np.uint8)] * 2)


def test_a_colmap_that_dies_is_a_failure_with_its_last_words(monkeypatch, tmp_path) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho first >&2; echo last words >&2; exit 3\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with pytest.raises(RuntimeError, match=r"COLMAP ended with code 3: first\nlast words"):
        Colmap("global")([np.zeros((64, 64, 3), np.uint8)] * 2)


# --- any other -------------------------------------------------------------------------------

ADAPTER = """
import numpy as np
from fast3r.evaluation.methods.answers import answer_of_cameras, on_common_grid

def walk(photos):
    images, photo_from_grid = on_common_grid(photos, size=64, patch=8)
    poses = np.tile(np.eye(4), (len(photos), 1, 1))
    poses[:, 0, 3] = -np.arange(len(photos))
    intrinsics = np.tile(np.array([[60.0, 0, 32], [0, 60, 24], [0, 0, 1]]), (len(photos), 1, 1))
    return answer_of_cameras(
        photo_from_grid,
        poses=poses[:, :3],
        poses_are="camera_from_world",
        intrinsics=intrinsics,
        depth=images[:, 0] * 0 + 4,
    )
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the current folder, as a user has it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    name = f"adapter_of_{os.getpid()}_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(ADAPTER)
    return name


def test_a_function_of_ten_lines_is_a_method(module: str) -> None:
    method = open_adapter(f"python:{module}:walk")
    photos = [np.zeros((96, 128, 3), np.uint8) for _ in range(3)]
    answer = method(photos)
    check_answer(answer, 3)
    assert answer.world_from_camera[2][:3, 3].tolist() == [2, 0, 0]
    # The grid is half the photo's size.
    np.testing.assert_allclose(answer.intrinsics[0], [[120, 0, 64], [0, 120, 48], [0, 0, 1]])
    dense = answer.dense[2]
    np.testing.assert_allclose(dense.points[24, 32], [2 + 0.5 / 60 * 4, 0.5 / 60 * 4, 4])
    assert method.name == f"{module}-walk"
    assert set(method.settings) == {"function", "source"}


@pytest.mark.parametrize(
    ("specification", "message"),
    [
        ("python:", "expected python:MODULE:FUNCTION, got 'python:'"),
        ("python:math", "expected python:MODULE:FUNCTION"),
        ("python:no_such_module:walk", "cannot import no_such_module"),
        ("python:math:walk", "math has no function walk"),
    ],
)
def test_a_wrong_adapter_is_explained(specification: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_adapter(specification)


def test_pointmaps_alone_are_an_answer(truths, photos) -> None:
    predictions = [predicted(truth) for truth in truths]
    answer = answer_of_pointmaps(
        photos,
        [np.eye(3)] * 3,
        world_points=torch.cat([p.world.points for p in predictions]),
        confidence=torch.cat([p.world.confidence for p in predictions]),
        local_points=torch.cat([p.local.points for p in predictions]),
        local_confidence=torch.cat([p.local.confidence for p in predictions]),
    )
    assert_true(answer, truths)


def test_world_pointmaps_alone_are_an_answer(truths, photos) -> None:
    frame_0 = invert_rigid(truths[0].world_from_camera)
    moved = [
        Truth(t.view, t.focal_px, frame_0 @ t.world_from_camera, t.depth, t.local_unit)
        for t in truths
    ]
    predictions = [predicted(truth, local=False) for truth in moved]
    answer = answer_of_pointmaps(
        photos,
        [np.eye(3)] * 3,
        world_points=torch.cat([p.world.points for p in predictions]).numpy(),
        confidence=torch.cat([p.world.confidence for p in predictions]).numpy(),
    )
    assert_true(answer, moved)


def test_depth_and_cameras_are_an_answer() -> None:
    frames = [frame(0), frame(1)]
    expected = truth(frames)
    answer = answer_of_cameras(
        [np.eye(3)] * 2,
        poses=torch.stack([torch.from_numpy(f.world_from_camera) for f in frames]),
        poses_are="world_from_camera",
        intrinsics=np.stack([f.intrinsics for f in frames]),
        depth=np.stack([f.depth for f in frames]),
    )
    for made, true in zip(answer.dense, expected.dense, strict=True):
        np.testing.assert_allclose(made.points, true.points)
    assert (answer.dense[0].confidence == 1).all()


def test_unknown_depth_has_no_confidence() -> None:
    depth = np.full((1, 4, 6), 2.0)
    depth[0, 0, 0], depth[0, 1, 1] = np.nan, -1
    answer = answer_of_cameras(
        [np.eye(3)],
        poses=np.eye(4)[None],
        poses_are="world_from_camera",
        intrinsics=np.eye(3)[None],
        depth=depth,
    )
    dense = answer.dense[0]
    assert dense.depth[0, 0] == dense.depth[1, 1] == 0
    assert dense.confidence.sum() == 22
    assert np.isfinite(dense.points).all()


def test_numbers_of_photos_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="poses and intrinsics of 2 photos, got 1 and 2"):
        answer_of_cameras(
            [np.eye(3)] * 2,
            poses=np.eye(4)[None],
            poses_are="world_from_camera",
            intrinsics=np.tile(np.eye(3), (2, 1, 1)),
        )


def test_photos_of_any_sizes_become_one_batch_without_stretching() -> None:
    wide = np.zeros((100, 200, 3), np.uint8)
    wide[:, :100] = 255
    tall = np.zeros((300, 150, 3), np.uint8)
    tall[:150] = 255
    images, maps = on_common_grid([wide, tall], size=64, patch=16)
    assert images.shape == (2, 3, 32, 64)
    # The edge between white and black is in the middle of both.
    assert images[0, 0, 16, 31] > 0.9 > 0.1 > images[0, 0, 16, 32]
    assert images[1, 0, 15, 32] > 0.9 > 0.1 > images[1, 0, 16, 32]
    np.testing.assert_allclose(maps[0] @ [32, 16, 1], [100, 50, 1])
    np.testing.assert_allclose(maps[1] @ [32, 16, 1], [75, 150, 1])
    assert maps[1][0, 0] == maps[1][1, 1]


# --- the list --------------------------------------------------------------------------------


def test_every_listed_method_can_be_opened() -> None:
    names = [name for name in METHODS if not name.startswith("python:")]
    methods = open_methods(names, models=["small"], device="cpu")
    assert [method.name for method in methods] == [
        "fast3r-small",
        "fast3r-small-world-points",
        "fast3r-small-pointmaps",
        "fast3r-small-refined",
        "fast3r-small-4-passes",
        "colmap-incremental",
        "colmap-global",
        "trivial",
    ]


def test_an_unknown_method_is_answered_with_the_list() -> None:
    with pytest.raises(ValueError, match=r"no method 'colmap'; there are\n  fast3r: "):
        open_methods(["colmap"], models=["small"])


def test_a_method_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="two methods are called trivial"):
        open_methods(["trivial", "trivial"], models=[])
