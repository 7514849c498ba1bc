"""A pass through the network: views in, their pointmaps on the host out."""

from collections.abc import Sequence

import torch

from fast3r.models.fast3r import Fast3R, Tokens
from fast3r.models.prediction import Prediction
from fast3r.scene.inputs import lazy_images, masks_of
from fast3r.scene.outputs import Keep, kept_prediction, on_host
from fast3r.scene.plan.need import Setting
from fast3r.scene.stages import StageRecorder
from fast3r.views.view import View


class NetworkPass:
    """One pass over some views. Where memory ran out, it can go on from what it has."""

    def __init__(
        self, views: Sequence[View], model: Fast3R, *, seed: int, recorder: StageRecorder
    ) -> None:
        self._views, self._model = views, model
        self._seed, self._recorder = seed, recorder
        self._tokens: Tokens | None = None
        self._found: dict[int, Prediction] = {}
        self._setting: Setting | None = None

    def predictions(self, setting: Setting, keep: Keep) -> list[Prediction]:
        """Return the pointmaps of each view; what an earlier call has done is not done again."""
        before, self._setting = self._setting, setting
        if before is not None and before.precision != setting.precision:
            self._tokens = None
            self._found.clear()
        elif before is not None and before.outputs != setting.outputs:
            for index, prediction in self._found.items():
                self._found[index] = kept_prediction(prediction, index, keep)
        if len(self._found) < len(self._views):
            self._tokens = self._tokens or self._make_tokens(setting)
            self._make_pointmaps(self._tokens, setting, keep)
        self._tokens = None
        return [self._found[index] for index in range(len(self._views))]

    # Not inference_mode, in which autocast would convert all weights again for every chunk.
    @torch.no_grad()
    def _make_tokens(self, setting: Setting) -> Tokens:
        device = self._model.device.type
        half = setting.precision == "bfloat16"
        with (
            self._recorder.stage("encoder and fusion"),
            torch.autocast(device, dtype=torch.bfloat16, enabled=half),
        ):
            return self._model.tokens(
                lazy_images(self._views),
                seed=self._seed,
                masks=masks_of(self._views),
                chunks=setting.chunks,
            )

    # The heads run without autocast: in bfloat16 their last layer would round each coordinate to 1
    # part in 256, a noise of one pixel. In float32 the pointmaps are four times less rough.
    @torch.no_grad()
    def _make_pointmaps(self, tokens: Tokens, setting: Setting, keep: Keep) -> None:
        made = self._model.predict(tokens, chunks=setting.chunks)
        with self._recorder.stage("pointmaps") as tell:
            for index, prediction in on_host(made, keep, self._model.device):
                self._found[index] = prediction
                tell(len(self._found), len(self._views))
