"""depth/NAME.npz and .png."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fast3r.export import depth_maps
from fast3r.export.depth_maps import depth_names
from fast3r.scene.reconstruction import Scale
from tests.scenes import make_scene, without_cameras


def test_the_npz_is_exact_and_lifts_to_the_points_of_the_scene(tmp_path: Path) -> None:
    scene = make_scene(("cropped", "portrait"))
    depth_maps.write(scene, tmp_path)
    for i, view, camera in scene.posed_views():
        found = np.load(tmp_path / f"{view.name[:-4]}.npz", allow_pickle=False)
        assert np.array_equal(found["depth"], scene.depth[i].numpy())
        assert np.array_equal(found["confidence"], scene.confidence[i].numpy())
        assert np.array_equal(found["original_from_network"], view.original_from_network.numpy())
        assert str(found["units"]) == "arbitrary"
        rows, columns = np.mgrid[: view.height, : view.width] + 0.5
        pixels = np.stack([columns, rows, np.ones_like(rows)])
        rays = np.einsum("ij,jhw->hwi", np.linalg.inv(found["intrinsics"]), pixels)
        points = rays * found["depth"][..., None] @ found["world_from_camera"][:3, :3].T
        points += found["world_from_camera"][:3, 3]
        np.testing.assert_allclose(points, scene.world_points(i).numpy(), atol=1e-4)
        through_photo = found["original_from_network"] @ found["intrinsics"]
        np.testing.assert_allclose(through_photo, camera.intrinsics.numpy(), rtol=1e-5, atol=1e-3)


def test_the_png_holds_the_depth_in_steps_of_its_scale(tmp_path: Path) -> None:
    scene = make_scene(("landscape",))
    depth_maps.write(scene, tmp_path)
    png = Image.open(tmp_path / "day0/IMG_0.png")
    scale = float(png.text["depth_scale"])
    assert scale == np.load(tmp_path / "day0/IMG_0.npz")["png_scale"]
    steps = np.array(png)
    assert steps.max() == 65535
    np.testing.assert_allclose(steps * scale, scene.depth[0].numpy(), atol=0.51 * scale)


def test_the_png_is_0_only_where_there_is_no_depth(tmp_path: Path) -> None:
    scene = make_scene(("landscape",))
    scene.depth[0][0, :5] = torch.tensor([torch.nan, torch.inf, 0, -1, 1e-9])
    mask = torch.ones(24, 32, dtype=torch.bool)
    mask[5] = False
    scene = replace(scene, views=[replace(scene.views[0], mask=mask)])
    depth_maps.write(scene, tmp_path)
    steps = np.array(Image.open(tmp_path / "day0/IMG_0.png"))
    expected = np.ones((24, 32), dtype=bool)
    expected[0, :4] = expected[5] = False
    assert np.array_equal(steps > 0, expected)
    assert np.array_equal(np.load(tmp_path / "day0/IMG_0.npz")["mask"], mask.numpy())


def test_a_view_that_saw_nothing_gives_an_empty_map(tmp_path: Path) -> None:
    scene = make_scene(("landscape",))
    scene.depth[0].zero_()
    depth_maps.write(scene, tmp_path)
    assert np.array(Image.open(tmp_path / "day0/IMG_0.png")).max() == 0


def test_only_registered_views_are_written(tmp_path: Path) -> None:
    depth_maps.write(without_cameras(make_scene(), 0, 2), tmp_path)
    assert {p.stem for p in tmp_path.rglob("*.*")} == {"IMG_1", "IMG_3"}


def test_metric_depth_says_so(tmp_path: Path) -> None:
    scene = replace(make_scene(("landscape",)), scale=Scale("metric", "GPS"))
    depth_maps.write(scene, tmp_path)
    assert str(np.load(tmp_path / "day0/IMG_0.npz")["units"]) == "metric"
    assert Image.open(tmp_path / "day0/IMG_0.png").text["units"] == "metric"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a/x.jpg", "b/x.jpg"], ["a/x", "b/x"]),
        (["x.jpg", "x.png", "y.jpg"], ["x.jpg", "x.png", "y"]),
        (["x.jpg", "X.png"], ["x.jpg", "X.png"]),
        (["a.jpg", "a.png", "a.jpg.jpg"], ["a.jpg", "a.png", "a.jpg.jpg"]),
        (["video.mp4#12", "v1.2/x"], ["video", "v1.2/x"]),
        (["video.mp4#12", "video.mp4#13"], ["video.mp4#12", "video.mp4#13"]),
        (["plain"], ["plain"]),
    ],
)
def test_names_lose_their_ending_unless_two_would_be_one(
    names: list[str], expected: list[str]
) -> None:
    assert depth_names(names) == expected
    assert len({name.casefold() for name in expected}) == len(names)


@pytest.mark.parametrize("name", ["../x.jpg", "/etc/x.jpg", "a/../../x.jpg"])
def test_names_that_lead_out_of_the_folder_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="view names must stay inside the folder"):
        depth_names([name])
