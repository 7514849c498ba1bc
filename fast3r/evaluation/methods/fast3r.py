"""Our models, as a user gets their answers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8

from fast3r.evaluation.benchmark import Answer, DenseView
from fast3r.evaluation.methods.answers import answer_of_scene, scene_of
from fast3r.models.checkpoints import load_model, model_hash
from fast3r.models.fast3r import Fast3R
from fast3r.models.prediction import Prediction
from fast3r.scene.ensemble.run import reconstruct_ensemble
from fast3r.scene.machine import Precision, choose_device, choose_precision
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.refine import refine
from fast3r.scene.run import reconstruct
from fast3r.views.fitting import fit_view
from fast3r.views.view import View

Points = Literal["depth", "world", "pointmaps", "refined"]


class Fast3RMethod:
    """`fast3r.reconstruct` with a model."""

    def __init__(
        self,
        model: Fast3R,
        *,
        label: str,
        size: int | None = None,
        seed: int = 0,
        precision: Literal["auto"] | Precision = "auto",
        points: Points = "depth",
        passes: int = 1,
    ) -> None:
        """Choose the model and how it is run.

        Args:
            model: On its device.
            label: Name of the weights in tables.
            size: Long side at network size; by default the one that the model was trained for.
            seed: Of view indices and sampling.
            precision: Of encoder and fusion; "world" points are always made in float32.
            points: "depth" unprojects the depth maps of the reconstruction, which come from the
                local pointmaps; "world" takes the world pointmaps as the network makes them;
                "pointmaps" is as "depth", but does without matches to find cameras;
                "refined" is the first after `fast3r.refine`, which sees the whole photos.
            passes: More than one are fused by `reconstruct_ensemble`, for "depth".
        """
        self._model, self._label, self._seed, self._points = model, label, seed, points
        self._passes = passes
        self._size = model.config.image_size if size is None else size
        in_float32: Precision = "float32"
        chosen = in_float32 if points == "world" else precision
        self._precision: Precision = choose_precision(chosen, model.device)
        self._hash = model_hash(model)

    @property
    def name(self) -> str:
        """Name in tables and of its folder of results."""
        endings = {"world": "-world-points", "pointmaps": "-pointmaps", "refined": "-refined"}
        passes = "" if self._passes == 1 else f"-{self._passes}-passes"
        return f"fast3r-{self._label}{endings.get(self._points, '')}{passes}"

    @property
    def settings(self) -> Mapping[str, str | int | float | None]:
        """Everything that decides the answer."""
        return {
            "weights": self._hash,
            "size": self._size,
            "seed": self._seed,
            "precision": self._precision,
            "device": self._model.device.type,
        }

    def __call__(self, photos: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Answer:
        """Return the cameras and surfaces of a reconstruction."""
        views = [view_of(photo, index) for index, photo in enumerate(photos)]
        if self._points == "world":
            return self._world_answer(views)
        scene = self._scene(views)
        if self._points == "refined":
            scene = refine(scene, photos=views, seed=self._seed)
        return answer_of_scene(scene)

    def _scene(self, views: Sequence[View]) -> Reconstruction:
        if self._passes == 1 or len(views) == 1:
            return reconstruct(
                views,
                self._model,
                seed=self._seed,
                size=self._size,
                precision=self._precision,
                pose_recipe="pointmaps" if self._points == "pointmaps" else "robust",
            )
        return reconstruct_ensemble(
            views,
            self._model,
            passes=self._passes,
            seed=self._seed,
            size=self._size,
            precision=self._precision,
        )

    def _world_answer(self, views: Sequence[View]) -> Answer:
        """Return cameras as `reconstruct` finds them, and the world pointmaps as points."""
        fitted = [fit_view(view, size=self._size, patch=self._model.patch) for view in views]
        with torch.inference_mode():
            predictions = self._model(
                [view.image[None] for view in fitted], seed=self._seed, output_device="cpu"
            )
        scene = scene_of(predictions, fitted, device=self._model.device, seed=self._seed)
        answer = answer_of_scene(scene)
        dense = [
            None if view is None else _with_world_points(view, prediction)
            for view, prediction in zip(answer.dense, predictions, strict=True)
        ]
        return Answer(answer.world_from_camera, answer.intrinsics, dense)


def open_fast3r(
    model: str,
    *,
    points: Points = "depth",
    passes: int = 1,
    device: str = "auto",
    precision: Literal["auto"] | Precision = "auto",
    size: int | None = None,
    seed: int = 0,
) -> Fast3RMethod:
    """Return the method of a model by name or path.

    Raises:
        ValueError: There is no such model, or an option does not fit it.
    """
    loaded = load_model(model, device=choose_device(device))
    return Fast3RMethod(
        loaded,
        label=_label(model),
        size=size,
        seed=seed,
        precision=precision,
        points=points,
        passes=passes,
    )


def view_of(photo: UInt8[np.ndarray, "height width 3"], index: int) -> View:
    """Return a photo as a view of its own size; networks fit it to theirs."""
    height, width = photo.shape[:2]
    return View(
        pixels=torch.tensor(photo),
        original_from_network=torch.eye(3),
        name=f"{index:05}.png",
        original_height=height,
        original_width=width,
    )


def _with_world_points(dense: DenseView, prediction: Prediction) -> DenseView:
    return DenseView(
        points=prediction.world.points[0].numpy(),
        depth=dense.depth,
        confidence=prediction.world.confidence[0].numpy() * (dense.confidence > 0),
        photo_from_grid=dense.photo_from_grid,
    )


def _label(model: str) -> str:
    """Return a short name: that of the file or folder, or of the repository."""
    path = Path(model)
    return path.stem if path.is_file() else path.resolve().name
