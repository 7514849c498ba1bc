"""What the colours of points tell."""

from dataclasses import replace

import pytest
import torch

from fast3r.export.framing import Framing, framing
from fast3r.scene.point_cloud import PointCloud
from fast3r.scene.reconstruction import Reconstruction, Scale
from fast3r.viz.coloring import coloring
from fast3r.viz.colormaps import magma
from tests.scenes import make_scene, without_cameras


def drawn(scene: Reconstruction) -> tuple[Reconstruction, PointCloud, Framing]:
    cloud = scene.point_cloud()
    return scene, cloud, framing(scene, cloud)


def luminance(colors: torch.Tensor) -> torch.Tensor:
    return colors.float() @ torch.tensor([0.2126, 0.7152, 0.0722])


def test_a_photo_needs_no_legend_and_keeps_its_colours() -> None:
    scene, cloud, frame = drawn(make_scene())
    painted = coloring(scene, cloud, frame, "photo")
    assert painted.legend is None
    assert torch.equal(painted.colors, cloud.colors)


def test_the_sure_are_bright_and_the_legend_tells_between_which_confidences() -> None:
    scene, cloud, frame = drawn(make_scene())
    cloud = replace(cloud, confidence=torch.linspace(1, 101, len(cloud)))
    painted = coloring(scene, cloud, frame, "confidence")
    brightness = luminance(painted.colors)
    assert (brightness.diff() > -1).all()
    assert torch.equal(painted.colors[-1], magma(torch.tensor(1.0)))
    assert painted.legend is not None
    assert (painted.legend.low, painted.legend.high) == ("confidence 3", "99")


def test_equal_confidences_have_one_colour() -> None:
    scene, cloud, frame = drawn(make_scene())
    cloud = replace(cloud, confidence=torch.full((len(cloud),), 2.0))
    assert len(coloring(scene, cloud, frame, "confidence").colors.unique(dim=0)) == 1


def test_the_high_are_bright_whatever_axis_is_up() -> None:
    scene, cloud, frame = drawn(make_scene())
    painted = coloring(scene, cloud, frame, "height")
    height = (cloud.points.double() - frame.centre) @ frame.up
    brightness = luminance(painted.colors)[height.argsort()]
    assert (brightness.diff() > -1).all()
    assert brightness[-1] > brightness[0] + 100


@pytest.mark.parametrize(("kind", "unit"), [("metric", " m"), ("arbitrary", "")])
def test_heights_are_in_metres_only_where_the_scene_is(kind: str, unit: str) -> None:
    scene = replace(make_scene(), scale=Scale(kind))
    legend = coloring(*drawn(scene), "height").legend
    assert legend is not None
    assert legend.low == "height 0"
    assert legend.high == legend.high.rstrip(" m") + unit


def test_each_view_has_its_colour_and_the_legend_the_numbers_of_first_and_last() -> None:
    scene, cloud, frame = drawn(without_cameras(make_scene(("landscape",) * 5), 0, 3))
    painted = coloring(scene, cloud, frame, "view")
    seen = {
        tuple(painted.colors[cloud.view_index == i].unique(dim=0)[0].tolist()) for i in (1, 2, 4)
    }
    assert len(seen) == len(painted.colors.unique(dim=0)) == 3
    assert painted.legend is not None
    assert (painted.legend.low, painted.legend.high) == ("photo 2", "5")
