"""`fast3r batch`: which scenes there are, what is made of them, and what is not made again."""

import json
import os
import pickle
import shutil
import signal
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import fast3r as door
from fast3r.cli.batch import _Part
from fast3r.cli.many import worker
from fast3r.cli.options.batch import Batch
from fast3r.cluster.peers import PeersLostError
from fast3r.models.fast3r import Fast3R
from tests.commands import REPOSITORY, Outcome, run_jobs_here
from tests.scene.playback import PlayedBack, a_view, predicted, save_photos

TRUTHS = [a_view(seed, 480, 640, 560.0) for seed in range(3)]


@pytest.fixture(autouse=True)
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Models that were loaded; all of them see the truth in the photos of this file."""
    names = []

    def load(name: str, **_: object) -> Fast3R:
        names.append(name)
        return PlayedBack([predicted(truth) for truth in TRUTHS])

    monkeypatch.setattr("fast3r.cli.many.worker.load_model", load)
    worker._loaded.cache_clear()
    return names


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """A folder of two scenes, one of which has its photos where many tools put them."""
    save_photos(TRUTHS, tmp_path / "scenes/hall")
    save_photos(TRUTHS, tmp_path / "scenes/yard/images")
    (tmp_path / "scenes/notes").mkdir()
    (tmp_path / "scenes/README.md").write_text("not a scene")
    (tmp_path / "scenes/.hidden").mkdir()
    return tmp_path / "scenes"


@pytest.fixture
def batch(fast3r, scenes, tmp_path):
    """Runs `fast3r batch` on these scenes."""

    def run(*options: object, manifest: Path = scenes) -> Outcome:
        return fast3r("batch", manifest, "--output", tmp_path / "out", *options)

    return run


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def summary(folder: Path) -> dict[str, str]:
    """Return the states of scenes by their names."""
    document = json.loads((folder / "batch.json").read_text())
    states = {scene["name"]: scene["status"] for scene in document["scenes"]}
    for state in ("finished", "failed", "missing"):
        assert document[state] == list(states.values()).count(state)
    return states


def report(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


def age(folder: Path, *, hours: int) -> None:
    """Make a folder and all in it so old."""
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (time.time() - 3600 * hours, time.time() - 3600 * hours))


# --- Which scenes ----------------------------------------------------------------------------


def test_folders_with_photos_are_scenes(batch, tmp_path, loads) -> None:
    outcome = batch()
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"{tmp_path / 'out/batch.json'}\n"
    assert summary(tmp_path / "out") == {"hall": "finished", "yard": "finished"}
    assert (tmp_path / "out/yard/scene.ply").is_file()
    assert loads == ["small"]
    assert "hall: 3 of 3 photos placed in" in outcome.err
    assert "2 finished, 0 failed, 0 missing" in outcome.err


def test_lines_name_scenes_and_may_have_options_of_their_own(batch, scenes, tmp_path) -> None:
    photos = [f"hall/{index}.png" for index in range(3)]
    rows = [{"photos": "hall"}, {"photos": photos, "name": "b/few", "seed": 7, "format": ["glb"]}]
    outcome = batch("--seed", 5, manifest=lines(scenes / "scenes.jsonl", *rows))
    assert outcome.code == 0, outcome.err
    assert summary(tmp_path / "out") == {"hall": "finished", "b/few": "finished"}
    assert report(tmp_path / "out/hall")["seed"] == 5
    assert report(tmp_path / "out/b/few")["seed"] == 7
    assert (tmp_path / "out/b/few/scene.glb").is_file()
    assert not (tmp_path / "out/hall/scene.glb").exists()


def test_results_inside_the_folder_of_scenes_are_no_scenes(fast3r, scenes) -> None:
    for _ in range(2):
        outcome = fast3r("batch", scenes, "--output", scenes / "out", "--format", "still")
        assert outcome.code == 0, outcome.err
        assert list(summary(scenes / "out")) == ["hall", "yard"]


HALL = {"photos": "hall"}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["hall"], ["line 1 must be a scene", "'hall'"]),
        ([HALL, {"photos": "yard", "fsp": 2}], ["line 2: there is no key fsp", "mean fps"]),
        ([{"photos": "hall", "fps": "two"}], ["fps must be", "'two'"]),
        ([{"name": "hall"}], ["photos must be a path or a list of paths, got None"]),
        ([{"photos": [1]}], ["photos must be a path or a list of paths, got [1]"]),
        ([{**HALL, "model": "large"}], ["model is for all scenes: give it on the command line"]),
        ([HALL, HALL], ["two scenes are called hall"]),
        ([HALL, {**HALL, "name": "hall/a"}], ["of hall/a would lie inside those of hall"]),
        ([{**HALL, "name": "../up"}], ["becomes a folder inside the output, got '../up'"]),
        ([{**HALL, "name": ""}], ["becomes a folder inside the output, got ''"]),
        ([], ["names no scenes"]),
    ],
)
def test_lines_that_make_no_scene_are_refused(batch, scenes, rows, words) -> None:
    outcome = batch("--quiet", manifest=lines(scenes / "scenes.jsonl", *rows))
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count("fast3r: ") == 1
    for word in words:
        assert word in outcome.err


def test_a_line_that_is_not_json_is_refused(batch, scenes) -> None:
    (scenes / "scenes.csv").write_text("photos,name\nhall,hall\n")
    outcome = batch(manifest=scenes / "scenes.csv")
    assert outcome.code == 2
    assert 'line 1 is not JSON (Expecting value): each line is one scene, such as {"' in outcome.err


def test_a_folder_without_scenes_is_refused(batch, scenes) -> None:
    outcome = batch(manifest=scenes / "hall")
    assert outcome.code == 2
    assert "holds no scenes" in outcome.err
    assert "use 'fast3r reconstruct'" in outcome.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--shard", "3/2"], ["--shard must be like 1/4", "'3/2'"]),
        (["--jobs", 0], ["--jobs must be at least 1, got 0"]),
        (["--jobs", 2, "--devices", "cpu", "cpu"], ["choose one of the two"]),
        (["--slurm", "gpu", "--shard", "1/2"], ["leave out --shard"]),
        (["--slurm", "gpu"], ["there is no sbatch"]),
    ],
)
def test_options_that_do_not_go_together_are_refused(batch, tmp_path, options, words) -> None:
    outcome = batch(*options, "--quiet")
    assert (outcome.code, outcome.out) == (2, "")
    for word in words:
        assert word in outcome.err


# --- What is made again ----------------------------------------------------------------------


def test_finished_scenes_are_not_made_again(batch, scenes, tmp_path, loads) -> None:
    age(scenes, hours=1)
    batch()
    written = (tmp_path / "out/hall/report.json").stat().st_mtime_ns
    outcome = batch()
    assert outcome.code == 0
    assert "2 of 2 scenes are finished already" in outcome.err
    assert (tmp_path / "out/hall/report.json").stat().st_mtime_ns == written
    assert loads == ["small"]


def redone(batch, scenes: Path, tmp_path: Path, change, *options: object) -> list[str]:
    """Return which scenes are made again after a change."""
    age(scenes, hours=2)
    batch("--format", "glb")
    folders = {name: tmp_path / "out" / name for name in ("hall", "yard")}
    age(tmp_path / "out", hours=1)
    change()
    outcome = batch(*(options or ("--format", "glb")))
    assert outcome.code == 0, outcome.err
    recent = time.time() - 1800
    return [n for n, path in folders.items() if (path / "report.json").stat().st_mtime > recent]


def test_other_options_make_all_scenes_again(batch, scenes, tmp_path) -> None:
    change = partial(int)
    options = ("--format", "glb", "--seed", 3)
    assert redone(batch, scenes, tmp_path, change, *options) == ["hall", "yard"]


def test_options_that_change_nothing_make_nothing_again(batch, scenes, tmp_path) -> None:
    options = ("--format", "glb", "--device", "cpu", "--quiet")
    change = partial(age, scenes / "hall", hours=3)
    assert redone(batch, scenes, tmp_path, change, *options) == []


@pytest.mark.parametrize("lost", ["report.json", "scene.glb", "cameras.json"])
def test_a_scene_that_was_cut_short_is_made_again(batch, scenes, tmp_path, lost) -> None:
    change = (tmp_path / "out/hall" / lost).unlink
    assert redone(batch, scenes, tmp_path, change) == ["hall"]


def test_a_scene_whose_photos_changed_is_made_again(batch, scenes, tmp_path) -> None:
    change = (scenes / "hall/0.png").touch
    assert redone(batch, scenes, tmp_path, change) == ["hall"]


def test_a_scene_whose_folder_changed_is_made_again(batch, scenes, tmp_path) -> None:
    def change() -> None:
        (scenes / "hall/note.txt").write_text("its folder has changed")

    assert redone(batch, scenes, tmp_path, change) == ["hall"]


# --- What fails ------------------------------------------------------------------------------


def test_a_scene_that_fails_does_not_stop_the_others_and_is_tried_again(batch, scenes) -> None:
    out = scenes.parent / "out"
    manifest = lines(scenes / "scenes.jsonl", {"photos": "gone"}, {"photos": "hall"})
    outcome = batch(manifest=manifest)
    assert outcome.code == 2
    assert "gone does not exist" in outcome.err.splitlines()[-1]
    assert outcome.err.splitlines()[-1].startswith("fast3r: 1 of 2 scenes failed; gone failed: ")
    assert "Traceback" not in outcome.err
    assert summary(out) == {"gone": "failed", "hall": "finished"}
    assert json.loads((out / "gone/failure.json").read_text())["traceback"] == []
    save_photos(TRUTHS, scenes / "gone")
    assert batch(manifest=manifest).code == 0
    assert summary(out) == {"gone": "finished", "hall": "finished"}
    assert not (out / "gone/failure.json").exists()


def test_a_bug_does_not_stop_the_others_and_is_kept_with_its_way(
    batch, tmp_path, monkeypatch
) -> None:
    real = worker.make_scene

    def break_at_hall(request, *rest):
        if request.options.output.name == "hall":
            raise RuntimeError("index out of range")
        return real(request, *rest)

    monkeypatch.setattr("fast3r.cli.many.worker.make_scene", break_at_hall)
    assert batch().code == 1
    assert summary(tmp_path / "out") == {"hall": "failed", "yard": "finished"}
    failure = json.loads((tmp_path / "out/hall/failure.json").read_text())
    assert failure["reason"] == "RuntimeError: index out of range"
    assert "in break_at_hall" in "".join(failure["traceback"])


def test_a_format_that_cannot_be_written_fails_its_scene(batch, tmp_path, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> list[Path]:
        raise ValueError("glb cannot hold so many points")

    real = worker.make_scene
    monkeypatch.setattr("fast3r.viz.results.write_formats", refuse)
    assert batch().code == 2
    assert set(summary(tmp_path / "out").values()) == {"failed"}
    assert real is worker.make_scene


def test_ctrl_c_leaves_what_is_finished(batch, tmp_path, monkeypatch) -> None:
    real = worker.make_scene

    def interrupt_at_yard(request, *rest):
        if request.options.output.name == "yard":
            raise KeyboardInterrupt
        return real(request, *rest)

    monkeypatch.setattr("fast3r.cli.many.worker.make_scene", interrupt_at_yard)
    assert batch().code == 130
    assert report(tmp_path / "out/hall")["views"]["registered"] == 3
    monkeypatch.setattr("fast3r.cli.many.worker.make_scene", real)
    outcome = batch()
    assert outcome.code == 0
    assert "1 of 2 scenes are finished already" in outcome.err


def test_lost_processes_stop_the_run_instead_of_failing_all_scenes(
    batch, tmp_path, monkeypatch
) -> None:
    def lose(*_: object) -> None:
        raise PeersLostError("process 2 of 2 (cuda:1) ended with SIGKILL")

    monkeypatch.setattr("fast3r.cli.many.worker.make_scene", lose)
    outcome = batch()
    assert outcome.code == 2
    assert "process 2 of 2 (cuda:1) ended with SIGKILL" in outcome.err
    assert not list((tmp_path / "out").rglob("failure.json"))


# --- Many at a time --------------------------------------------------------------------------


def test_parts_together_are_the_whole(batch, tmp_path) -> None:
    assert batch("--shard", "1/2").code == 0
    assert summary(tmp_path / "out") == {"hall": "finished", "yard": "missing"}
    assert batch("--shard", "2/2").code == 0
    assert summary(tmp_path / "out") == {"hall": "finished", "yard": "finished"}


@pytest.fixture
def real_scenes(tmp_path: Path) -> Path:
    """Photos that the bundled model can do something with, in a process without our model."""
    for name in ("a", "b"):
        (tmp_path / "real" / name).mkdir(parents=True)
        for photo in ("00006.jpg", "00007.jpg"):
            shutil.copy(REPOSITORY / "examples/photos/buddha" / photo, tmp_path / "real" / name)
    return tmp_path / "real"


def test_processes_make_scenes_at_the_same_time(batch, real_scenes, tmp_path) -> None:
    outcome = batch("--jobs", 2, manifest=real_scenes)
    assert outcome.code == 0, outcome.err
    assert summary(tmp_path / "out") == {"a": "finished", "b": "finished"}


def test_jobs_of_a_cluster_make_scenes(batch, tmp_path, monkeypatch) -> None:
    asked = run_jobs_here(monkeypatch)
    options = ("--slurm", "gpu", "--jobs", 2, "--hours", 2, "--device", "cpu")
    outcome = batch(*options)
    assert outcome.code == 0, outcome.err
    assert summary(tmp_path / "out") == {"hall": "finished", "yard": "finished"}
    (config,) = asked
    assert (config.partition, config.hours, config.jobs_at_once) == ("gpu", 2, 2)
    assert config.gpus_per_node == 0


def test_a_job_that_ends_early_is_told_of(batch, monkeypatch) -> None:
    submitit = pytest.importorskip("submitit")

    def fail(*_: object, **__: object) -> None:
        raise submitit.core.utils.FailedJobError("job 7 ran out of time")

    monkeypatch.setattr("fast3r.cluster.slurm.slurm_executor", lambda *_: None)
    monkeypatch.setattr("fast3r.cluster.slurm.map_shards", fail)
    outcome = batch("--slurm", "gpu")
    assert outcome.code == 2
    assert "the same command goes on with what is not finished. job 7" in outcome.err


@dataclass(frozen=True)
class StoppedOnce(_Part):
    """A part that is told in its first life that its time is up."""

    def __call__(self, numbers: list[int]) -> list[int]:
        mark = self.options.output / "first life"
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGUSR2)
        return super().__call__(numbers)


def test_a_job_whose_time_is_up_is_queued_again_and_goes_on(
    real_scenes, tmp_path, monkeypatch
) -> None:
    submitit = pytest.importorskip("submitit")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    options = Batch(scenes=real_scenes, output=tmp_path, device="cpu")
    executor = submitit.LocalExecutor(tmp_path / "jobs", max_num_timeout=3)
    job = executor.submit(StoppedOnce(options), [1])
    assert job.result() == [1]
    assert str(job.stdout()).count("Requeued job") == 1
    assert report(tmp_path / "a")["views"]["used"] == 2
    assert report(tmp_path / "b")["views"]["used"] == 2


# --- Workers ---------------------------------------------------------------------------------


def test_a_worker_pickles_and_makes_the_scene_of_a_row(scenes, tmp_path, loads) -> None:
    made = door.SceneWorker(tmp_path / "out", model="small", format=["glb"])
    copy = pickle.loads(pickle.dumps(made))
    outcome = copy({"name": "x", "photos": str(scenes / "hall")})
    seconds = outcome.pop("seconds")
    assert seconds > 0
    assert outcome == {
        "name": "x",
        "status": "finished",
        "reason": "",
        "bug": False,
        "views": 3,
        "registered": 3,
    }
    assert (tmp_path / "out/x/scene.glb").is_file()
    assert made({"name": "x", "photos": str(scenes / "hall")})["seconds"] == seconds
    assert loads == ["small"]


def test_the_model_is_loaded_once_in_a_process(scenes, tmp_path, loads) -> None:
    for name in ("a", "b"):
        door.SceneWorker(tmp_path)({"name": name, "photos": str(scenes / "hall")})
    assert loads == ["small"]


def test_rows_may_hold_what_ray_makes_of_them(scenes, tmp_path) -> None:
    paths = np.array([str(scenes / f"hall/{index}.png") for index in range(3)], dtype=object)
    row = {"name": np.str_("x"), "photos": paths, "seed": np.int64(4), "fps": None}
    assert door.SceneWorker(tmp_path)(row)["status"] == "finished"
    assert report(tmp_path / "x")["seed"] == 4


def test_a_row_that_fails_is_told_of_in_its_outcome(tmp_path) -> None:
    outcome = door.SceneWorker(tmp_path)({"photos": "nowhere"})
    assert outcome["status"] == "failed"
    assert outcome["reason"].endswith("nowhere does not exist")


def test_a_worker_refuses_what_no_command_line_would_take() -> None:
    with pytest.raises(ValueError, match="there is no key modle; did you mean model"):
        door.SceneWorker("out", modle="large")
    with pytest.raises(ValueError, match="start one worker for each"):
        door.SceneWorker("out", devices=["cpu", "cpu"])
