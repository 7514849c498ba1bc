"""What the device does for a visitor: views in, a scene out, stoppable at any time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from fast3r.models.checkpoints import load_model, model_hash
from fast3r.models.fast3r import Fast3R
from fast3r.scene.machine import choose_device, choose_precision, hardware_name
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.refine import refine
from fast3r.scene.report import RunReport
from fast3r.scene.run import reconstruct
from fast3r.scene.stages import StageRecorder
from fast3r.views.fitting import fit_view
from fast3r.views.view import SkippedPhoto, Views
from fast3r.viz.demo_app.line import Job
from fast3r.viz.demo_app.settings import Settings

RUNNING = "encoder and fusion"
"""The stage that takes longest."""


@dataclass(frozen=True)
class Wish:
    """What a visitor wants."""

    model: str
    """As `load_model` takes it."""

    size: int | None
    """Long side at which the network sees the views; None is what it was trained for."""

    num_frames: int = 30
    """Frames of each video."""

    percentile: float = 30.0
    """Share of each photo's points, the least sure ones, that is hidden, in percent."""

    refine: bool = False
    """Whether matches between the photos make the cameras exact afterwards."""


@dataclass(frozen=True)
class Outcome:
    """What a visitor gets."""

    scene: Reconstruction
    """The scene."""

    report: RunReport
    """How it was made."""


class Studio:
    """The device, and the model that is loaded there."""

    def __init__(self, settings: Settings) -> None:
        """Load nothing yet.

        Raises:
            ValueError: There is no such device.
        """
        self._settings = settings
        self._device = choose_device(settings.device)
        self._name = ""
        self._model: Fast3R | None = None
        self._hash = ""

    def reconstruct(self, views: Views, wish: Wish, job: Job) -> Outcome:
        """Return the scene of some views.

        Raises:
            StoppedError: The job was told to stop.
            ValueError: The model cannot be loaded, or no view suits it.
            MemoryError: There are more views than can be fitted into memory.
            ImportError: What refinement needs is not installed.
        """
        recorder = StageRecorder(self._device, watcher=job)
        with recorder.stage("load model"):
            model = self._load(wish.model)
        precision = choose_precision(self._settings.precision, model.device)
        size = wish.size or model.config.image_size
        fitted = _fitted(views, size=size, patch=model.patch)
        with interruptible(model, job, len(fitted)):
            scene = reconstruct(
                fitted,
                model,
                size=wish.size,
                precision=self._settings.precision,
                recorder=recorder,
            )
        if wish.refine:
            # The network sees fewer pixels than there are.
            scene = refine(scene, photos=views, recorder=recorder)
        report = RunReport(
            model=wish.model,
            model_hash=self._hash,
            device=f"{model.device} ({hardware_name(model.device)})",
            precision=precision,
            seed=0,
            options={"size": size, "refine": wish.refine},
            stages=recorder.costs,
        )
        return Outcome(scene, report.as_planned(recorder))

    def _load(self, name: str) -> Fast3R:
        """Return a model, which takes the place of the one that was used before."""
        if self._model is None or self._name != name:
            self._model = None
            model = load_model(name, device=self._device)
            self._name, self._model, self._hash = name, model, model_hash(model)
        return self._model


@contextmanager
def interruptible(model: Fast3R, job: Job, num_views: int) -> Iterator[None]:
    """Let a job end before any layer of the model, and learn how far encoder and fusion are.

    Both count alike in the progress, though the fusion takes longer the more views there are.
    """
    layers, encoded = len(model.fusion.blocks), 0
    steps = 2 * num_views * layers

    def check(*_: Any) -> None:
        job.check()

    def count(_: nn.Module, arguments: tuple[Any, ...]) -> None:
        nonlocal encoded
        job.advanced(RUNNING, encoded * layers, steps)
        encoded += arguments[0].shape[0]

    def tell(depth: int) -> None:
        job.advanced(RUNNING, num_views * (layers + depth), steps)

    handles = [layer.register_forward_pre_hook(check) for layer in model.modules()]
    handles.append(model.encoder.register_forward_pre_hook(count))
    handles += [
        block.register_forward_pre_hook(lambda *_, depth=depth: tell(depth))
        for depth, block in enumerate(model.fusion.blocks)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _fitted(views: Views, *, size: int, patch: int) -> Views:
    """Return the views as the model takes them, those left out that are too narrow for it.

    Raises:
        ValueError: None is left.
    """
    kept, skipped = [], list(views.skipped)
    for view in views:
        try:
            kept.append(fit_view(view, size=size, patch=patch))
        except ValueError as error:
            skipped.append(SkippedPhoto(view.name, str(error)))
    if not kept:
        raise ValueError(f"{skipped[-1].name} cannot be used: {skipped[-1].reason}")
    return Views(kept, skipped)
