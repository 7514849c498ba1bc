"""What is known of a scene before it is drawn."""

from dataclasses import replace

import pytest
import torch

from fast3r.models.prediction import Pointmap
from fast3r.viz.viewer.crowding import Crowd
from fast3r.viz.viewer.survey import judged_by, survey
from tests.scenes import make_scene, without_cameras


def test_the_box_of_the_scene_holds_nearly_all_points() -> None:
    scene = make_scene()
    known = survey(scene)
    local = known.local(scene.point_cloud(min_conf_percentile=0).points)
    low, high = torch.tensor(known.extent)
    assert ((local >= low) & (local <= high)).all(dim=-1).float().mean() > 0.97


def test_upright_coordinates_lead_back_to_the_world() -> None:
    known, points = survey(make_scene()), torch.randn(20, 3)
    torch.testing.assert_close(known.world(known.local(points)), points)
    heights = known.local(points)[:, 2] - known.local(torch.zeros(1, 3))[0, 2]
    torch.testing.assert_close(heights, points @ known.frame.up.float())


def test_sureness_is_the_median_confidence_of_each_registered_view() -> None:
    scene = without_cameras(make_scene(), 1)
    expected = [scene.confidence[i].median().item() for i in (0, 2, 3)]
    assert survey(scene).sureness == pytest.approx(expected)


def test_the_world_head_has_its_own_sureness_but_no_other_box() -> None:
    scene = make_scene()
    maps = [Pointmap(scene.world_points(i), scene.confidence[i] + 5) for i in range(4)]
    scene, known = replace(scene, world_pointmaps=maps), survey(scene)
    judged = judged_by(known, scene, "world")
    assert judged.sureness == pytest.approx([value + 5 for value in known.sureness])
    assert judged.extent == known.extent


def test_a_scene_whose_views_saw_nothing_says_so() -> None:
    scene = make_scene()
    for depth in scene.depth:
        depth.zero_()
    with pytest.raises(ValueError, match="no point is left to draw"):
        survey(scene)


@pytest.mark.parametrize("count", [2_000, 32_000])
def test_points_of_a_plane_lie_apart_by_the_root_of_the_area_of_each(count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    plane = torch.rand(count, 3, generator=generator) * 2 - 1
    plane[:, 2] = 0.3
    found = Crowd(plane, 1.0).spacing(plane * 0.8)
    expected = (4 / count) ** 0.5
    assert found.median().item() == pytest.approx(expected, rel=0.35)


def test_where_no_points_are_none_is_near() -> None:
    crowd = Crowd(torch.rand(1000, 3), 1.0)
    assert crowd.spacing(torch.full((3, 3), 50.0)).isinf().all()
