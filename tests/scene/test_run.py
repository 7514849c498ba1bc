"""From views and a network to a scene."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fast3r.models.fast3r import Chunks, Fast3R
from fast3r.scene.run import reconstruct
from fast3r.scene.stages import StageRecorder
from fast3r.views.view import SkippedPhoto, View, Views
from tests.scene.playback import PlayedBack, a_random_model, a_view, photos, predicted


@pytest.fixture
def model() -> Fast3R:
    return a_random_model()


def test_a_scene_has_the_cameras_that_the_pointmaps_were_made_from() -> None:
    truths = [a_view(seed, 480, 640, 560.0) for seed in range(3)]
    scene = reconstruct([t.view for t in truths], PlayedBack([predicted(t) for t in truths]))
    for camera, truth in zip(scene.cameras, truths, strict=True):
        torch.testing.assert_close(
            camera.world_from_camera, truth.world_from_camera, rtol=0, atol=1e-3
        )


def test_a_single_view_has_a_camera() -> None:
    truth = a_view(0, 480, 640, 560.0)
    scene = reconstruct([truth.view], PlayedBack([predicted(truth)]))
    assert scene.registered == [0]


def test_points_of_the_scene_are_those_of_the_world_pointmaps() -> None:
    truth = a_view(1, 300, 1600, 900.0)
    prediction = predicted(truth)
    scene = reconstruct([truth.view], PlayedBack([prediction]))
    seen = scene.valid(0)
    torch.testing.assert_close(
        scene.world_points(0)[seen], prediction.world.points[0][seen], rtol=0, atol=0.01
    )


def doubled(view: View) -> View:
    """Return the same photo, loaded at twice the size."""
    affine = view.original_from_network @ torch.diag(torch.tensor([0.5, 0.5, 1]))
    pixels = view.pixels.repeat_interleave(2, 0).repeat_interleave(2, 1)
    return replace(view, pixels=pixels, original_from_network=affine)


def test_views_larger_than_the_model_knows_are_made_smaller_and_cameras_stay_right() -> None:
    truth = a_view(0, 480, 640, 560.0)
    scene = reconstruct([doubled(truth.view)], PlayedBack([predicted(truth)]))
    camera = scene.camera(0)
    assert scene.views[0].pixels.shape == truth.view.pixels.shape
    assert camera.intrinsics[0].tolist() == pytest.approx([560, 0, 320], rel=0.005)


def test_another_size_can_be_asked_for(model: Fast3R) -> None:
    views = [doubled(view) for view in photos()]
    scene = reconstruct(views, model, size=192)
    assert [tuple(depth.shape) for depth in scene.depth] == [(144, 192)] * 3


def test_views_that_find_no_place_are_listed_with_a_reason(model: Fast3R) -> None:
    scene = reconstruct(photos(), model)
    assert scene.registered == []
    assert all("no pose fits its points" in str(failure) for failure in scene.failures)


def test_skipped_photos_are_handed_on(model: Fast3R) -> None:
    skipped = [SkippedPhoto("broken.jpg", "the file is cut short")]
    assert reconstruct(Views(photos(), skipped), model).skipped == skipped


def test_pointmaps_of_the_world_head_are_kept_only_when_asked_for(model: Fast3R) -> None:
    assert reconstruct(photos(), model).world_pointmaps is None
    scene = reconstruct(photos(), model, keep_world=True)
    images = [view.image[None] for view in scene.views]
    for kept, said in zip(scene.world_pointmaps, model(images, seed=0), strict=True):
        torch.testing.assert_close(kept.points, said.world.points[0])
        torch.testing.assert_close(kept.confidence, said.world.confidence[0])


def test_the_same_seed_gives_the_same_scene(model: Fast3R) -> None:
    first, second = (reconstruct(photos(), model, seed=5) for _ in range(2))
    for a, b in zip(first.confidence, second.confidence, strict=True):
        assert torch.equal(a, b)


def test_another_seed_gives_another_scene(model: Fast3R) -> None:
    first, second = (reconstruct(photos(), model, seed=seed) for seed in (0, 1))
    assert not torch.equal(first.confidence[0], second.confidence[0])


def test_chunks_do_not_change_the_scene(model: Fast3R) -> None:
    chunks = Chunks(encoder_views=1, fusion_tokens=64, head_views=1)
    whole, parts = reconstruct(photos(), model), reconstruct(photos(), model, chunks=chunks)
    for a, b in zip(whole.confidence, parts.confidence, strict=True):
        torch.testing.assert_close(a, b)


def test_masked_pixels_do_not_change_the_scene(model: Fast3R) -> None:
    view, *others = photos()
    mask = torch.ones(view.height, view.width, dtype=torch.bool)
    mask[:, :16] = False
    repainted = view.pixels.clone()
    repainted[:, :16] = 255
    scenes = [
        reconstruct([replace(view, pixels=pixels, mask=mask), *others], model)
        for pixels in (view.pixels, repainted)
    ]
    for a, b in zip(scenes[0].confidence, scenes[1].confidence, strict=True):
        torch.testing.assert_close(a, b)


def test_in_bfloat16_the_pointmaps_are_still_in_float32(model: Fast3R) -> None:
    exact = reconstruct(photos(), model, precision="float32").confidence[0]
    rough = reconstruct(photos(), model, precision="bfloat16").confidence[0]
    assert not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, rtol=0.05, atol=0)
    # Were the last layer in bfloat16, its numbers would fall on a few hundred steps.
    assert len(rough.unique()) > 0.9 * rough.numel()


def test_weights_in_bfloat16_run(model: Fast3R) -> None:
    scene = reconstruct(photos(), model.to(torch.bfloat16))
    assert scene.confidence[0].dtype == torch.float32


def test_the_tensors_of_a_scene_can_be_optimised(model: Fast3R) -> None:
    truth = a_view(0, 480, 640, 560.0)
    scene = reconstruct([truth.view], PlayedBack([predicted(truth)]))
    camera = scene.camera(0)
    for tensor in (scene.depth[0], scene.confidence[0], camera.world_from_camera):
        tensor.requires_grad_().square().sum().backward()
        assert tensor.grad is not None


def test_stages_are_measured_in_order(model: Fast3R) -> None:
    recorder = StageRecorder()
    reconstruct(photos(), model, recorder=recorder)
    assert [cost.name for cost in recorder.costs] == ["encoder and fusion", "pointmaps", "cameras"]


def test_no_views_are_refused(model: Fast3R) -> None:
    with pytest.raises(ValueError, match=r"at least one view is needed, got none; .*load_views"):
        reconstruct([], model)


def test_a_negative_seed_is_refused(model: Fast3R) -> None:
    with pytest.raises(ValueError, match=r"seed must be between 0 and 2\*\*64 - 1, got -1"):
        reconstruct(photos(), model, seed=-1)


def test_other_faults_of_the_network_stay_what_they_are(
    model: Fast3R, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(model, "tokens", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        reconstruct(photos(), model)


def test_a_set_can_be_reconstructed_in_chunks(model: Fast3R) -> None:
    recorder = StageRecorder()
    scene = reconstruct(photos(9), model, chunk_views=5, recorder=recorder)
    assert len(scene.views) == 9
    assert recorder.plan.chunk_views == 5


def test_a_run_in_chunks_goes_on_where_it_was_interrupted(
    model: Fast3R, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = reconstruct(photos(9), model, chunk_views=5)
    passes, tokens = [], model.tokens

    def interrupted(*arguments: object, **options: object) -> object:
        passes.append(arguments)
        if len(passes) == 2:
            raise KeyboardInterrupt
        return tokens(*arguments, **options)

    monkeypatch.setattr(model, "tokens", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reconstruct(photos(9), model, chunk_views=5, folder=tmp_path)
    again = reconstruct(photos(9), model, chunk_views=5, folder=tmp_path)
    monkeypatch.setattr(model, "tokens", tokens)
    assert all(torch.equal(a, b) for a, b in zip(whole.depth, again.depth, strict=True))
    passes_of_a_whole_run = len(passes) - 1
    passes.clear()
    monkeypatch.setattr(model, "tokens", lambda *a, **o: passes.append(a) or tokens(*a, **o))
    reconstruct(photos(9), model, chunk_views=5)
    assert len(passes) == passes_of_a_whole_run


def test_chunks_of_too_few_views_are_refused(model: Fast3R) -> None:
    with pytest.raises(ValueError, match="chunk_views must be at least 4, got 3"):
        reconstruct(photos(), model, chunk_views=3)
