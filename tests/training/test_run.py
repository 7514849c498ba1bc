"""A run does what it should from first step to last, and a stop in between changes nothing."""

import csv
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import fast3r
from fast3r.cluster.signals import Preempted
from fast3r.data.sample import Sample
from fast3r.training.callbacks import last_checkpoint
from fast3r.training.compose import compose
from fast3r.training.config import TrainingConfig
from fast3r.training.module import TrainingModule
from fast3r.training.pictures import scene_views
from fast3r.training.run import Outcome, on_cluster, train
from tests.datasets.room import HEIGHT, WIDTH, depth_of_walls, look
from tests.training.tiny import TINY, plane_sample, tiny_config

REPOSITORY = Path(__file__).parents[2]


def stored(config: TrainingConfig) -> dict[str, Any]:
    return torch.load(last_checkpoint(config.output), weights_only=True)


def assert_same(one: TrainingConfig, two: TrainingConfig) -> None:
    """Weights and the optimisers' memory are equal to the bit."""
    left, right = stored(one), stored(two)
    for key in left["state_dict"]:
        assert torch.equal(left["state_dict"][key], right["state_dict"][key]), key
    for a, b in zip(left["optimizer_states"], right["optimizer_states"], strict=True):
        for index, values in a["state"].items():
            for name, value in values.items():
                assert torch.equal(torch.as_tensor(value), torch.as_tensor(b["state"][index][name]))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    """A run of eight steps with everything on, that nothing interrupts."""
    config = tiny_config(
        tmp_path_factory.mktemp("run") / "whole",
        "steps=8", "accumulate=2", "ema_decay=0.9", "validation.every_steps=4",
        "validation.batches=1", "validation.scenes=1", "validation.pictures=1",
        "checkpoints.keep_every_steps=4", "log.tensorboard=true",
    )  # fmt: skip
    outcome = train(config, quiet=True)
    assert outcome == Outcome(8, True, last_checkpoint(config.output))
    return config


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_writes_its_log(finished: TrainingConfig) -> None:
    rows = read_csv(finished.output / "training.csv")
    assert [row["step"] for row in rows] == ["2", "4", "6", "8"]
    assert {
        "loss", "world_loss", "local_loss", "matching", "attention", "normals", "pose_consistency",
        "gradient_norm", "rate_adamw", "views_per_s", "waiting", "skipped",
    } <= set(rows[0])  # fmt: skip
    assert all(0 <= float(row["waiting"]) <= 1 for row in rows)
    measured = read_csv(finished.output / "validation.csv")
    assert [row["step"] for row in measured] == ["4", "8"]
    assert {"rra15", "rta15", "auc30", "depth_abs_rel", "focal_error", "pointmap"} <= set(
        measured[0]
    )


def test_a_run_draws_pictures(finished: TrainingConfig) -> None:
    names = sorted(path.name for path in (finished.output / "pictures").iterdir())
    assert names == [
        f"000000{step}-validation-0-{kind}.png" for step in (4, 8) for kind in ("depth", "points")
    ]
    assert list((finished.output / "tensorboard").glob("events*"))


def test_a_checkpoint_is_a_model(finished: TrainingConfig) -> None:
    model = fast3r.load_model(last_checkpoint(finished.output), device="cpu")
    assert model.config == finished.model
    weights = stored(finished)["state_dict"]
    torch.testing.assert_close(
        model.state_dict()["fusion.embed.bias"], weights["model.fusion.embed.bias"]
    )


def test_checkpoints_are_kept_for_good_where_asked(finished: TrainingConfig) -> None:
    names = sorted(path.name for path in (finished.output / "checkpoints").iterdir())
    assert names == ["last.ckpt", "step-0000004.ckpt", "step-0000008.ckpt"]


def test_a_finished_run_is_left_alone(finished: TrainingConfig) -> None:
    before = last_checkpoint(finished.output).stat().st_mtime_ns
    assert train(finished, quiet=True).finished
    assert last_checkpoint(finished.output).stat().st_mtime_ns == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_preempted_run_goes_on_exactly(
    number: signal.Signals,
    finished: TrainingConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = replace(finished, output=tmp_path)
    begin = TrainingModule.on_train_batch_start

    def strike(module: TrainingModule, batch: Sample, batch_idx: int) -> None:
        if module.progress.step == 2 and batch_idx % 2 == 0:
            os.kill(os.getpid(), number)
        begin(module, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "on_train_batch_start", strike)
        with pytest.raises(Preempted, match="stopped by SIGTERM; the same command goes on"):
            train(config, quiet=True)
    assert 2 <= stored(config)["progress"]["step"] < 8
    assert train(config, quiet=True).finished
    assert_same(config, finished)
    steps = [row["step"] for row in read_csv(tmp_path / "training.csv")]
    assert steps == sorted(set(steps), key=int)


def test_a_preempted_run_leaves_no_process_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strike(module: TrainingModule, batch: Sample, batch_idx: int) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(TrainingModule, "on_train_batch_start", strike)
    with pytest.raises(Preempted) as stopped:
        train(tiny_config(tmp_path, "steps=8", "data.workers=1"), quiet=True)
    assert stopped.value.received == signal.SIGTERM
    # Python would wait for it for ever at its own exit: it ignores signals.
    assert not multiprocessing.active_children()


def test_a_killed_run_goes_on_exactly(finished: TrainingConfig, tmp_path: Path) -> None:
    options = [
        "steps=8", "accumulate=2", "ema_decay=0.9", "validation.every_steps=4",
        "checkpoints.every_steps=1",
    ]  # fmt: skip
    config = tiny_config(tmp_path, *options)
    slow = "from fast3r.training import module; import time; f = module.TrainingModule._read;"
    slow += "module.TrainingModule._read = lambda s, n: (time.sleep(0.3), f(s, n))[1];"
    program = f"{slow} from fast3r.cli import main; import sys; main(sys.argv[1:])"
    command = [sys.executable, "-c", program, "train", *TINY, *options, f"output={tmp_path}"]
    running = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not last_checkpoint(tmp_path).exists() and time.monotonic() < until:
        time.sleep(0.02)
    running.kill()
    running.wait()
    assert 1 <= stored(config)["progress"]["step"] < 8
    assert train(config, quiet=True).finished
    assert_same(config, finished)


def test_a_run_may_pause_after_some_time(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, "steps=4", "stop_after_minutes=1e-9")
    assert train(config, quiet=True) == Outcome(1, False, last_checkpoint(tmp_path))
    assert train(config, quiet=True).step == 2


def test_a_run_of_minutes_ends_with_them(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, "minutes=0.02")
    outcome = train(config, quiet=True)
    place = stored(config)["progress"]
    assert outcome.finished
    assert place["spent_s"] >= 1.2
    assert place["step"] == outcome.step > 0


def test_the_loss_falls(tmp_path: Path) -> None:
    train(tiny_config(tmp_path, "steps=24", "log.every_steps=4"), quiet=True)
    losses = [float(row["loss"]) for row in read_csv(tmp_path / "training.csv")]
    assert losses[-1] < 0.8 * losses[0]


def test_a_gradient_that_is_not_finite_is_skipped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, seen = TrainingModule._clip, []

    def broken(module: TrainingModule) -> torch.Tensor:
        if module.progress.step == 1:
            seen.append(module.model.fusion.embed.weight.detach().clone())
            module.model.fusion.embed.weight.grad.fill_(torch.nan)
        if module.progress.step == 2:
            seen.append(module.model.fusion.embed.weight.detach().clone())
        return clip(module)

    monkeypatch.setattr(TrainingModule, "_clip", broken)
    config = tiny_config(tmp_path, "steps=3")
    train(config, quiet=True)
    assert stored(config)["progress"]["skipped"] == 1
    assert torch.equal(*seen)
    assert all(value.isfinite().all() for value in stored(config)["state_dict"].values())


def test_adapters_are_trained_alone(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, "steps=2", "lora.rank=2", "loss.matching=0")
    train(config, quiet=True)
    weights = stored(config)["state_dict"]
    torch.manual_seed(config.seed)
    fresh = fast3r.Fast3R(config.model).state_dict()
    assert torch.equal(weights["model.fusion.embed.weight"], fresh["fusion.embed.weight"])
    assert weights["model.fusion.blocks.0.qkv.up"].abs().sum() > 0
    merged = fast3r.load_model(last_checkpoint(tmp_path), device="cpu").state_dict()
    assert merged.keys() == fresh.keys()
    assert not torch.equal(
        merged["fusion.blocks.0.qkv.weight"], fresh["fusion.blocks.0.qkv.weight"]
    )


def write_photos(folder: Path) -> None:
    """Write five photos before a wall as a posed RGB-D scene."""
    cameras = {f"{i}.png": look(0.4 * i, 0) for i in range(5)}
    views = []
    for name, camera in cameras.items():
        for part in ("images", "depth"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / "images" / name)
        np.save(folder / "depth" / name.replace("png", "npy"), depth_of_walls(camera, (4.0,)))
        pose, matrix = camera.world_from_camera.tolist(), camera.intrinsics.tolist()
        size = {"name": name, "width": WIDTH, "height": HEIGHT}
        views.append(size | {"intrinsics": matrix, "world_from_camera": pose})
    (folder / "cameras.json").write_text(
        json.dumps({"version": 1, "views": views, "depth_scale": 1.0})
    )


def test_photos_of_ones_own_are_trained_on(tmp_path: Path) -> None:
    write_photos(tmp_path / "mine" / "scene")
    tiny = [o for o in TINY if not o.startswith(("preset", "data.rendered", "validation"))]
    config = compose(
        ["preset=finetune", "model=tiny", *tiny, f"output={tmp_path / 'run'}", "steps=2",
         "start.path=null", f"data.photos.sources.mine.root={tmp_path / 'mine'}",
         "data.photos.shapes=[{height:32,width:40}]", "data.views=[2,3]", "lora.rank=2",
         "validation.batches=1", "validation.every_steps=2"]
    )  # fmt: skip
    assert train(config, quiet=True).finished
    rows = read_csv(tmp_path / "run" / "validation.csv")
    assert float(rows[0]["world_error"]) > 0


def test_a_module_reconstructs_photos(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    module = TrainingModule(config, fast3r.Fast3R(config.model)).train()
    scene = module.reconstruct(scene_views(plane_sample(8), 0), size=48)
    assert len(scene.cameras) == 2
    assert module.model.training


def test_on_a_cluster_the_job_says_how_many_processes_there_are(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, "launcher=slurm", "slurm.gpus_per_node=4", "slurm.nodes=2")
    job = on_cluster(config)
    assert (job.launcher, job.hardware.devices, job.hardware.nodes) == ("local", 4, 2)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["hardware.accelerator=cuda"], "torch finds no such device"),
        (["optimizer.name=muon", "hardware.strategy=fsdp2"], "muon needs whole matrices"),
        (["hardware.strategy=deepspeed"], "pip install deepspeed"),
        (["hardware.strategy=deepspeed", "accumulate=2"], "takes accumulate=1 only"),
        (["start.path=nowhere.ckpt"], "there is no model 'nowhere.ckpt'"),
        (["data.rendered=null", "data.photos.sources={}"], "no datasets to train on"),
    ],
)
def test_what_cannot_work_is_refused(overrides, message, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    config = tiny_config(tmp_path, *overrides)
    with pytest.raises(ValueError, match=message):
        train(config, quiet=True)


def test_a_missing_logger_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match=r"pip install wandb, or take log\.wandb=null"):
        train(tiny_config(tmp_path, "log.wandb=mine"), quiet=True)


@pytest.mark.slow
def test_a_compiled_run_learns_the_same(tmp_path: Path) -> None:
    options = ["steps=3", "optimizer.warmup=0", "optimizer.learning_rate=1e-4"]
    config = tiny_config(tmp_path / "plain", *options)
    train(config, quiet=True)
    # Not here, where shapes are checked at run time, which the compiler does not see through.
    command = [sys.executable, "-m", "fast3r", "train", *TINY, *options, "hardware.compile=true"]
    subprocess.run([*command, f"output={tmp_path / 'compiled'}"], cwd=REPOSITORY, check=True)
    torch.manual_seed(config.seed)
    fresh = fast3r.Fast3R(config.model).state_dict()
    plain, compiled = (
        fast3r.load_model(tmp_path / name / "checkpoints" / "last.ckpt", device="cpu").state_dict()
        for name in ("plain", "compiled")
    )
    moved, gap = (
        sum((plain[name] - other[name]).abs().sum() for name in plain)
        for other in (fresh, compiled)
    )
    assert gap < 0.01 * moved
