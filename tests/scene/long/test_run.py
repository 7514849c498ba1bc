"""A walk round a corridor, seen by a network whose every pass has a frame and a unit of its own."""

import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.simulated_walk import HEIGHT, WIDTH, Errors, SimulatedNetwork, Walk, walk
from fast3r.geometry.transforms import fit_similarity, rotation_angle_deg
from fast3r.scene.long import reconstruct_long
from fast3r.scene.priors.types import Distance, Intrinsics, Poses, Priors
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.stages import StageRecorder, Watcher

EXACT = Errors(turn_deg=0, place=0, drift_deg=0, drift_scale=0, depth=0)
DRIFTING = Errors(drift_deg=0.2, drift_scale=0.01)
CHUNKS = {"chunk_views": 16, "overlap": 4}
WALK = walk(72)
SHORT = WALK.views[:40]


def errors(scene: Reconstruction, truth: Walk = WALK) -> tuple[float, float]:
    """Mean error of places, in units of the truth, and of turns in degrees, of posed views."""
    poses = torch.stack([c.world_from_camera for c in scene.cameras if c is not None]).double()
    true = truth.world_from_camera[scene.registered]
    fit = fit_similarity(poses[:, :3, 3], true[:, :3, 3])
    place = (fit(poses[:, :3, 3]) - true[:, :3, 3]).norm(dim=-1).mean()
    turned = fit.rotation @ poses[:, :3, :3]
    return place.item(), rotation_angle_deg(turned, true[:, :3, :3]).mean().item()


def assert_equal(one: Reconstruction, other: Reconstruction) -> None:
    assert one.failures == other.failures
    assert one.long == other.long
    for a, b in zip(one.cameras, other.cameras, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            assert torch.equal(a.world_from_camera, b.world_from_camera)
            assert torch.equal(a.intrinsics, b.intrinsics)
    for parts in ("depth", "confidence"):
        for a, b in zip(getattr(one, parts), getattr(other, parts), strict=True):
            assert torch.equal(a, b)
    for a, b in zip(one.views, other.views, strict=True):
        assert a.name == b.name
        assert torch.equal(a.pixels, b.pixels)


class StoppedError(Exception):
    """Someone pressed Ctrl+C."""


class Interrupting(SimulatedNetwork):
    """Is interrupted at the start of its n-th pass."""

    def __init__(self, truth: Walk, passes: int) -> None:
        super().__init__(truth, DRIFTING)
        self._allowed = passes

    def tokens(self, *arguments: object, **options: object):
        if self.passes == self._allowed:
            raise StoppedError
        return super().tokens(*arguments, **options)  # pyright: ignore


@pytest.fixture(scope="module")
def drifting(tmp_path_factory: pytest.TempPathFactory) -> Reconstruction:
    folder = tmp_path_factory.mktemp("drifting")
    return reconstruct_long(WALK.views, SimulatedNetwork(WALK, DRIFTING), folder=folder, **CHUNKS)


@pytest.fixture(scope="module")
def short() -> Reconstruction:
    return reconstruct_long(SHORT, SimulatedNetwork(WALK, DRIFTING), **CHUNKS)


@pytest.fixture(scope="module")
def exact() -> Reconstruction:
    return reconstruct_long(WALK.views, SimulatedNetwork(WALK, EXACT), **CHUNKS)


def test_exact_passes_join_exactly(exact: Reconstruction) -> None:
    place, turn_deg = errors(exact)
    assert len(exact.registered) == 72
    assert place < 0.01
    assert turn_deg < 0.2


def test_all_chunks_have_one_unit(exact: Reconstruction) -> None:
    pairs = zip(WALK.depth, exact.depth, strict=True)
    units = torch.stack([truth.median() / seen.median() for truth, seen in pairs])
    assert units.log().std() < 0.005


def test_one_chunk_is_enough_for_few_views() -> None:
    network = SimulatedNetwork(WALK, EXACT)
    scene = reconstruct_long(WALK.views[:10], network, **CHUNKS)
    assert scene.long is not None
    assert len(scene.long.chunks) == 1
    assert len(scene.registered) == 10


def test_closing_the_loop_cuts_the_drift(drifting: Reconstruction) -> None:
    network = SimulatedNetwork(WALK, DRIFTING)
    open_ended = reconstruct_long(WALK.views, network, close_loops=False, **CHUNKS)
    assert drifting.long is not None
    assert any(link.kind == "loop" and link.kept for link in drifting.long.links)
    assert errors(drifting)[0] < 0.7 * errors(open_ended)[0]


def test_a_loop_that_only_looks_closed_is_left_out() -> None:
    """Half way round the corridor looks the same, and the network takes it for the same place."""
    twin = walk(72, periods=2)
    network = SimulatedNetwork(twin, confused_about=math.pi)
    scene = reconstruct_long(twin.views, network, order="given", **CHUNKS)
    assert scene.long is not None
    loops = [link for link in scene.long.links if link.kind == "loop"]
    wrong = [link for link in loops if link.reason == "the other links contradict it"]
    assert wrong
    assert all(link.inlier_ratio > 0.9 for link in wrong)
    assert all(link.second - link.first > 4 for link in loops if link.kept)
    assert errors(scene, twin)[0] < 0.2


def test_a_chunk_that_cannot_be_joined_is_told_and_not_guessed() -> None:
    network = SimulatedNetwork(WALK, EXACT, blind_to=range(20, 30))
    scene = reconstruct_long(WALK.views, network, **CHUNKS)
    assert scene.long is not None
    lost = [index for index in range(72) if scene.cameras[index] is None]
    assert set(range(20, 30)) <= set(lost)
    assert all(scene.failures[index] is not None for index in lost)
    apart = [chunk for chunk in scene.long.chunks if not chunk.joined]
    assert apart
    assert all("shared views has a camera in both" in (chunk.reason or "") for chunk in apart)
    told = [reason for reason in scene.failures if reason and "was not joined" in reason]
    assert told
    assert all(not scene.depth[index].any() for index in lost)
    assert errors(scene)[0] < 0.01


def test_the_larger_part_is_kept() -> None:
    network = SimulatedNetwork(WALK, EXACT, blind_to=range(12, 22))
    scene = reconstruct_long(WALK.views, network, **CHUNKS)
    assert scene.cameras[0] is None
    assert scene.cameras[71] is not None


def test_photos_in_no_order_are_grouped_by_what_they_show() -> None:
    order = torch.randperm(72, generator=torch.Generator().manual_seed(0)).tolist()
    mixed = Walk([WALK.views[i] for i in order], WALK.world_from_camera[order], WALK.depth[order])
    scene = reconstruct_long(mixed.views, SimulatedNetwork(mixed, EXACT), chunk_views=24, overlap=6)
    assert scene.long is not None
    assert scene.long.order == "similarity"
    assert [view.name for view in scene.views] == [view.name for view in mixed.views]
    assert len(scene.registered) == 72
    assert errors(scene, mixed)[0] < 0.02


def test_all_chunks_have_one_focal_length(drifting: Reconstruction) -> None:
    focals = {c.intrinsics[0, 0].item() for c in drifting.cameras if c is not None}
    assert len(focals) == 1


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path, short: Reconstruction) -> None:
    with pytest.raises(StoppedError):
        reconstruct_long(SHORT, Interrupting(WALK, 3), folder=tmp_path, **CHUNKS)
    network = SimulatedNetwork(WALK, DRIFTING)
    scene = reconstruct_long(SHORT, network, folder=tmp_path, **CHUNKS)
    assert_equal(scene, short)
    # One for the focal lengths and three chunks, of which three passes were done.
    assert network.passes == 1


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    scene = reconstruct_long(WALK.views[:30], SimulatedNetwork(WALK), folder=tmp_path, **CHUNKS)
    network = SimulatedNetwork(WALK)
    again = reconstruct_long(WALK.views[:30], network, folder=tmp_path, **CHUNKS)
    assert network.passes == 0
    assert_equal(scene, again)


_KILLED = """
import os, signal, sys
from pathlib import Path
from benchmarks.simulated_walk import Errors, SimulatedNetwork, walk
from fast3r.scene import staging
from fast3r.scene.long import reconstruct_long

renames = os.replace
def kill_while_writing(source, target):
    if Path(target).name == "chunk-00002.npz":
        os.kill(os.getpid(), signal.SIGKILL)
    renames(source, target)
staging.os.replace = kill_while_writing

truth = walk(72)
views = truth.views[:40]
network = SimulatedNetwork(truth, Errors(drift_deg=0.2, drift_scale=0.01))
reconstruct_long(views, network, chunk_views=16, overlap=4, folder=Path(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_run_that_was_killed_while_it_wrote_goes_on_to_the_same_result(
    tmp_path: Path, short: Reconstruction
) -> None:
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", _KILLED, str(tmp_path)]
    killed = subprocess.run(command, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "chunk-00001.npz").exists()
    assert not (tmp_path / "chunk-00002.npz").exists()
    assert list(tmp_path.glob(".fast3r-*"))
    network = SimulatedNetwork(WALK, DRIFTING)
    assert_equal(reconstruct_long(SHORT, network, folder=tmp_path, **CHUNKS), short)
    assert not list(tmp_path.glob(".fast3r-*"))


@pytest.fixture(scope="module")
def used_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("used")
    network = SimulatedNetwork(WALK, EXACT)
    reconstruct_long(WALK.views[:20], network, folder=folder, **CHUNKS)
    return folder


def test_a_changed_photo_is_refused(used_folder: Path) -> None:
    views = list(WALK.views[:20])
    views[7] = replace(views[7], pixels=255 - views[7].pixels)
    with pytest.raises(
        ValueError, match=r"1 of 20 have changed, such as frame_00007.png; to go on"
    ):
        reconstruct_long(views, SimulatedNetwork(WALK, EXACT), folder=used_folder, **CHUNKS)


def test_a_changed_mask_is_refused(used_folder: Path) -> None:
    views = list(WALK.views[:20])
    mask = torch.ones(HEIGHT, WIDTH, dtype=torch.bool)
    mask[:3] = False
    views[3] = replace(views[3], mask=mask)
    with pytest.raises(ValueError, match=r"1 of 20 have changed, such as frame_00003.png"):
        reconstruct_long(views, SimulatedNetwork(WALK, EXACT), folder=used_folder, **CHUNKS)


def test_more_photos_are_refused(used_folder: Path) -> None:
    with pytest.raises(ValueError, match="holds passes made with 20 views, now 21"):
        reconstruct_long(
            WALK.views[:21], SimulatedNetwork(WALK, EXACT), folder=used_folder, **CHUNKS
        )


def test_other_options_are_refused(used_folder: Path) -> None:
    with pytest.raises(ValueError, match="overlap=4, now 5; to go on, use what was used before"):
        reconstruct_long(
            WALK.views[:20],
            SimulatedNetwork(WALK, EXACT),
            folder=used_folder,
            chunk_views=16,
            overlap=5,
        )


def test_another_model_is_refused(used_folder: Path) -> None:
    network = SimulatedNetwork(WALK, EXACT)
    with torch.no_grad():
        network.encoder.norm.weight += 1
    with pytest.raises(ValueError, match=r"holds passes made with another model \("):
        reconstruct_long(WALK.views[:20], network, folder=used_folder, **CHUNKS)


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scene.npz").write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"holds \.npz files of something else; use an empty"):
        reconstruct_long(WALK.views[:20], SimulatedNetwork(WALK, EXACT), folder=tmp_path, **CHUNKS)
    assert (tmp_path / "scene.npz").read_bytes() == b"mine"


def test_a_damaged_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match=r"manifest.json is damaged.*delete"):
        reconstruct_long(WALK.views[:20], SimulatedNetwork(WALK, EXACT), folder=tmp_path, **CHUNKS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("chunk-00001", r"chunk-00001\.npz is of other views; delete it, and this pass is made ag"),
        ("focals", r"focals\.npz is of other views"),
        ("descriptors", r"descriptors\.npz is damaged: it holds no descriptors of 20 views"),
    ],
)
def test_a_file_of_other_views_is_refused(
    name: str, message: str, used_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(used_folder, tmp_path / "chunks")
    shutil.copy(used_folder / "chunk-00000.npz", tmp_path / "chunks" / f"{name}.npz")
    network = SimulatedNetwork(WALK, EXACT)
    with pytest.raises(ValueError, match=message):
        reconstruct_long(WALK.views[:20], network, folder=tmp_path / "chunks", **CHUNKS)


def test_a_damaged_pass_is_refused_with_the_way_out(used_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(used_folder, tmp_path / "chunks")
    chunk = tmp_path / "chunks" / "chunk-00001.npz"
    chunk.write_bytes(chunk.read_bytes()[:-100])
    network = SimulatedNetwork(WALK, EXACT)
    with pytest.raises(
        ValueError, match=r"chunk-00001\.npz is damaged.*; delete it, and this pass"
    ):
        reconstruct_long(WALK.views[:20], network, folder=tmp_path / "chunks", **CHUNKS)
    chunk.unlink()
    reconstruct_long(WALK.views[:20], network, folder=tmp_path / "chunks", **CHUNKS)
    assert network.passes == 1


def test_without_a_folder_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scene = reconstruct_long(WALK.views[:30], SimulatedNetwork(WALK, EXACT), **CHUNKS)
    assert not list(tmp_path.glob("fast3r-long-*"))
    assert all(depth.isfinite().all() for depth in scene.depth)


def test_tensors_of_the_scene_live_in_the_folder(tmp_path: Path) -> None:
    scene = reconstruct_long(
        WALK.views[:30], SimulatedNetwork(WALK, EXACT), folder=tmp_path, **CHUNKS
    )
    kept = sum(file.stat().st_size for file in (tmp_path / "scene").iterdir())
    assert kept == 30 * HEIGHT * WIDTH * (4 + 4 + 3)
    assert len(list((tmp_path / "scene").iterdir())) < 30
    assert scene.depth[0].isfinite().all()


def test_known_poses_become_the_world() -> None:
    pairs = list(zip(SHORT, WALK.world_from_camera[:40], strict=True))
    known = Poses({view.name: pose for view, pose in pairs})
    network = SimulatedNetwork(WALK, EXACT)
    scene = reconstruct_long(SHORT, network, priors=Priors(poses=known), **CHUNKS)
    assert scene.world.axes == "known poses"
    for camera, (_, truth) in zip(scene.cameras, pairs, strict=True):
        assert camera is not None
        torch.testing.assert_close(camera.world_from_camera.double(), truth, rtol=0, atol=1e-4)


def test_a_distance_between_far_chunks_makes_the_scene_metric() -> None:
    first, last = 0, 38
    places: Tensor = WALK.world_from_camera[:, :3, 3]
    metres = 3 * (places[first] - places[last]).norm().item()
    between = (WALK.views[first].name, WALK.views[last].name)
    scene = reconstruct_long(
        SHORT,
        SimulatedNetwork(WALK, EXACT),
        priors=Priors(distances=[Distance(metres, between)]),
        **CHUNKS,
    )
    assert scene.scale.kind == "metric"
    found = [scene.cameras[index] for index in (first, last)]
    centres = [c.world_from_camera[:3, 3] for c in found if c is not None]
    assert math.isclose((centres[0] - centres[1]).norm().item(), metres, rel_tol=1e-3)


def test_known_intrinsics_are_kept_in_every_chunk() -> None:
    known = {"*": Intrinsics(31.0)}
    scene = reconstruct_long(
        SHORT,
        SimulatedNetwork(WALK, EXACT),
        priors=Priors(intrinsics=known),
        **CHUNKS,
    )
    for camera in scene.cameras:
        assert camera is not None
        assert math.isclose(camera.intrinsics[0, 0].item(), 31.0, rel_tol=1e-6)


def test_a_prior_of_no_view_is_refused_before_the_work() -> None:
    network = SimulatedNetwork(WALK, EXACT)
    with pytest.raises(ValueError, match=r"other\.png"):
        reconstruct_long(
            WALK.views[:20],
            network,
            priors=Priors(intrinsics={"other.png": Intrinsics(30.0)}),
            **CHUNKS,
        )
    assert network.passes == 0


def test_points_of_the_world_head_are_kept_on_request() -> None:
    scene = reconstruct_long(
        WALK.views[:30], SimulatedNetwork(WALK, EXACT), keep_world=True, **CHUNKS
    )
    for index in range(30):
        by_depth = scene.world_points(index)
        by_head = scene.points_at(index, torch.arange(HEIGHT * WIDTH), head="world")
        torch.testing.assert_close(by_head.view_as(by_depth), by_depth, rtol=0, atol=0.1)


def test_the_record_is_saved_with_the_scene(tmp_path: Path, short: Reconstruction) -> None:
    short.save(tmp_path / "scene.npz")
    assert_equal(Reconstruction.load(tmp_path / "scene.npz"), short)


def test_progress_is_told_stage_by_stage() -> None:
    steps: dict[str, tuple[int, int]] = {}

    class Told(Watcher):
        def advanced(self, stage: str, done: int, steps_: int) -> None:
            steps[stage] = (done, steps_)

    recorder = StageRecorder(watcher=Told())
    reconstruct_long(SHORT, SimulatedNetwork(WALK, EXACT), recorder=recorder, **CHUNKS)
    assert steps["look at views"] == (40, 40)
    assert steps["chunks"] == (3, 3)
    assert [cost.name for cost in recorder.costs] == [
        "look at views",
        "focal lengths",
        "chunks",
        "join chunks",
        "close loops",
        "assemble",
    ]


def test_no_views_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one view is needed, got none"):
        reconstruct_long([], SimulatedNetwork(WALK), **CHUNKS)
