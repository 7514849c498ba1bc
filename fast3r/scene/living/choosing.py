"""Photos as users name them, and the views of a scene that tell most about them."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.models.fast3r import Fast3R
from fast3r.scene.living.likeness import best_for_all, likeness, patch_features
from fast3r.scene.living.removing import indices_of
from fast3r.scene.reconstruction import Reconstruction
from fast3r.views.load import load_views
from fast3r.views.view import View
from fast3r.views.views import Views

Photos = str | Path | View | Sequence[str | Path] | Sequence[View]
"""Views, or what `fast3r.load_views` reads: a folder, files, a pattern, a video."""


def photos_as_views(photos: Photos, model: Fast3R, size: int | None) -> Views:
    """Return photos as views at the size for a model.

    Raises:
        ValueError: There are none, or none can be read.
    """
    if isinstance(photos, View):
        return Views([photos])
    if isinstance(photos, Views):
        return photos
    if not isinstance(photos, str | Path) and any(isinstance(p, View) for p in photos):
        return Views(p for p in photos if isinstance(p, View))
    named: str | Path | list[str | Path] = (
        photos if isinstance(photos, str | Path) else [p for p in photos if not isinstance(p, View)]
    )
    return load_views(named, size=size or model.config.image_size, patch=model.patch)


class References:
    """Chooses the views of a scene that the network sees beside new photos."""

    def __init__(
        self,
        scene: Reconstruction,
        model: Fast3R,
        *,
        count: int,
        size: int | None,
        fixed: Sequence[str | int] | None = None,
    ) -> None:
        """Look at a scene.

        Args:
            scene: That stands.
            model: Whose encoder compares photos.
            count: At most so many are chosen.
            size: At which the network sees the views.
            fixed: Views to take always, instead of choosing any.

        Raises:
            ValueError: No view has a camera, `count` is too small, or a fixed one is unknown.
        """
        if count < 2:
            raise ValueError(
                f"max_references must be at least 2, got {count}: with one, nothing vouches for "
                "the place of a photo"
            )
        scene.posed_views()
        self._scene, self._model, self._count, self._size = scene, model, count, size
        self._fixed = None if fixed is None else _fixed(scene, fixed)
        self._features: dict[int, Tensor] = {}

    def of(self, photos: Sequence[View]) -> list[int]:
        """Return references for some photos, those most like them first.

        A scene that has no more views than are wanted is taken whole; the first is what most photos
        would take, since its frame is the one that the network works in.
        """
        if self._fixed is not None:
            return self._fixed
        return best_for_all(self.likeness_of(photos), self._count)

    def likeness_of(self, photos: Sequence[View]) -> Float[Tensor, "photos views"]:
        """Return how alike photos are to views of the scene; -inf for views without a camera."""
        for index in self._scene.registered:
            if index not in self._features:
                view = self._scene.views[index]
                (self._features[index],) = patch_features([view], self._model, size=self._size)
        indices = sorted(self._features)
        features = patch_features(photos, self._model, size=self._size)
        scores = torch.full((len(photos), len(self._scene.views)), -torch.inf)
        scores[:, indices] = likeness(features, [self._features[i] for i in indices])
        return scores

    def grown(self, scene: Reconstruction) -> None:
        """Look at the same scene with more views at its end."""
        self._scene = scene


def _fixed(scene: Reconstruction, views: Sequence[str | int]) -> list[int]:
    fixed = indices_of(scene, views, what="references")
    for index in fixed:
        if scene.cameras[index] is None:
            name, reason = scene.views[index].name, scene.failures[index]
            raise ValueError(f"references: {name} has no camera ({reason}); name another view")
    return fixed
