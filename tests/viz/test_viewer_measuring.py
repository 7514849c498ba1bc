"""Measuring between two points, and the scale that follows."""

import pytest
import torch

from fast3r.scene.reconstruction import Reconstruction, Scale
from fast3r.viz.viewer.measuring import nearest_to_ray
from fast3r.viz.viewer.page import Viewer
from tests.scenes import make_scene
from tests.viz.pages import viewing


def ray(x: float, y: float, z: float) -> torch.Tensor:
    return torch.tensor([x, y, z], dtype=torch.float32)


def test_the_foremost_point_near_the_ray_is_picked() -> None:
    points = torch.tensor([[0.0, 0, 5], [0.001, 0, 3], [0.02, 0, 3.01], [1, 0, 1], [0, 0, -2]])
    picked = nearest_to_ray(points, ray(0, 0, 0), ray(0, 0, 2), reach=0.01)
    assert picked is not None
    assert picked.tolist() == points[1].tolist()


@pytest.mark.parametrize("points", [torch.zeros(0, 3), torch.tensor([[1.0, 0, 3], [0, 0, -1]])])
def test_a_ray_that_hits_nothing_picks_nothing(points: torch.Tensor) -> None:
    assert nearest_to_ray(points, ray(0, 0, 0), ray(0, 0, 1), reach=0.01) is None


def pick_two(viewer: Viewer, scene: Reconstruction) -> torch.Tensor:
    """Pick two points by rays from the first camera, and return them."""
    origin = scene.cameras[0].world_from_camera[:3, 3]
    points = viewer.cloud().points[[10, 300]]
    viewer.measure.begin()
    for point in points:
        viewer.measure.pick_along(origin, point - origin, reach=1e-4)
    return points


def test_the_distance_of_two_picked_points_is_told() -> None:
    scene = make_scene(("landscape",))
    with viewing(scene) as viewer:
        first, second = pick_two(viewer, scene)
        expected = (first - second).norm().item()
        assert viewer.measure.distance == pytest.approx(expected, rel=1e-5)
        assert viewer.measure.result.content == f"**{expected:.4g} units**"
        names = viewer._server.scene._handle_from_node_name
        assert {"/measure/1", "/measure/2", "/measure/line", "/measure/label"} <= set(names)


def test_a_known_length_sets_the_scale_of_what_is_saved() -> None:
    scene = make_scene(("landscape",))
    with viewing(scene) as viewer:
        first, second = pick_two(viewer, scene)
        viewer.measure.length.value = 3.0
        viewer.measure.set_scale()
        factor = 3.0 / (first - second).norm().item()
        assert viewer.measure.distance == pytest.approx(3.0)
        assert viewer.measure.result.content == "**3 m**"
        assert viewer.scene.scale == Scale("metric", "a length of 3 m measured in the viewer")
        torch.testing.assert_close(viewer.scene.depth[0], scene.depth[0] * factor)
        assert (viewer.cloud().points - first * factor).norm(dim=-1).min() < 1e-5
        assert "in metres" in viewer.controls.status.content


def test_another_length_replaces_the_first() -> None:
    scene = make_scene(("landscape",))
    with viewing(scene) as viewer:
        pick_two(viewer, scene)
        for length in (3.0, 5.0):
            viewer.measure.length.value = length
            viewer.measure.set_scale()
        assert viewer.measure.distance == pytest.approx(5.0)
        assert viewer.scene.scale.source == "a length of 5 m measured in the viewer"


def test_a_length_before_two_points_are_picked_is_refused() -> None:
    with viewing(make_scene(("landscape",))) as viewer:
        assert viewer.measure.apply.disabled
        with pytest.raises(ValueError, match="pick two points that lie apart"):
            viewer.measure.set_scale()


def test_a_length_of_nothing_is_refused() -> None:
    scene = make_scene(("landscape",))
    with viewing(scene) as viewer:
        pick_two(viewer, scene)
        viewer.measure.length.value = 0.0
        with pytest.raises(ValueError, match="the true length must be positive, got 0"):
            viewer.measure.set_scale()
        assert viewer.scene is scene


def test_a_click_beside_all_points_asks_for_another() -> None:
    with viewing(make_scene(("landscape",))) as viewer:
        viewer.measure.begin()
        viewer.measure.pick_along(ray(0, 0, 0), ray(0, 0, -1), reach=1e-3)
        assert viewer.measure.result.content == "There is no point; click on another."
        assert viewer.measure.distance is None


def test_measuring_again_begins_anew() -> None:
    scene = make_scene(("landscape",))
    with viewing(scene) as viewer:
        pick_two(viewer, scene)
        viewer.measure.begin()
        assert viewer.measure.distance is None
        assert "/measure/line" not in viewer._server.scene._handle_from_node_name
