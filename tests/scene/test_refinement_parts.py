"""The steps of refinement, each by itself."""

from dataclasses import replace

import pytest
import torch

from fast3r.geometry.transforms import Similarity, rotation_angle_deg, rotation_exp
from fast3r.scene.refinement.depth import align_depth
from fast3r.scene.refinement.features import Features, find_features, import_pycolmap
from fast3r.scene.refinement.matching import likely_pairs, match
from fast3r.scene.refinement.photos import WorkingPhoto, belongs, working_photo
from fast3r.scene.refinement.placement import world_from_model
from fast3r.scene.refinement.search import ladder
from fast3r.scene.refinement.sparse import Sightings, SparseCamera, SparseModel
from tests.scene.corner import HEIGHT, WIDTH, Corner, a_corner


@pytest.fixture(scope="module")
def corner() -> Corner:
    return a_corner(3)


def test_a_pycolmap_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pycolmap.__version__", "4.1.0")
    with pytest.raises(ImportError, match=r"pycolmap 4.2 or newer, found 4.1.0"):
        import_pycolmap()


def random_features(count: int, seed: int) -> Features:
    random = torch.Generator().manual_seed(seed)
    return Features(
        100 * torch.rand(count, 2, generator=random),
        torch.randint(256, (count, 128), generator=random).byte(),
    )


def shuffled(features: Features, order: torch.Tensor) -> Features:
    return Features(features.positions[order], features.descriptors[order])


def test_matching_finds_the_order_that_features_were_shuffled_into() -> None:
    first = random_features(2000, 0)
    order = torch.randperm(2000, generator=torch.Generator().manual_seed(1))
    found = match(first, shuffled(first, order), "usual")
    assert len(found) == 2000
    assert torch.equal(order[found[:, 1]], found[:, 0])


def test_features_that_look_alike_are_not_matched() -> None:
    first = random_features(50, 0)
    twins = Features(first.positions.repeat(2, 1), first.descriptors.repeat(2, 1))
    assert len(match(first, twins, "usual")) == 0


@pytest.mark.parametrize("count", [0, 1])
def test_a_photo_without_features_has_no_match(count: int) -> None:
    assert match(random_features(count, 0), random_features(9, 1), "usual").shape == (0, 2)
    assert match(random_features(9, 1), random_features(count, 0), "usual").shape == (0, 2)


def test_every_pair_of_a_small_set_is_likely() -> None:
    assert likely_pairs([random_features(3, i) for i in range(4)]) == [
        (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3),
    ]  # fmt: skip


def test_of_a_large_set_only_partners_with_features_in_common_are_surely_tried() -> None:
    groups = [random_features(40, i) for i in range(3)]
    features = [groups[i % 3] for i in range(45)]
    pairs = likely_pairs(features)
    assert len(pairs) < 45 * 44 / 2
    assert {(i, j) for i in range(45) for j in range(i + 3, 45, 3)} <= set(pairs)


def test_features_lie_on_what_belongs_to_the_scene(corner: Corner) -> None:
    mask = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    mask[:, :100] = True
    photo = working_photo(replace(corner.views[0], mask=mask), None, max_side_px=1600)
    found = find_features(photo, "usual")
    assert len(found) > 20
    assert (found.positions[:, 0] <= 100).all()


def test_outside_of_the_network_crop_nothing_is_masked(corner: Corner) -> None:
    mask = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    photo = working_photo(replace(corner.views[0], mask=mask), None, max_side_px=1600)
    inside = belongs(photo, torch.tensor([[5.5, 5.5], [-3.0, 5.0]]))
    assert inside.tolist() == [False, True]


def test_features_of_a_smaller_photo_lie_in_its_pixels(corner: Corner) -> None:
    photo = working_photo(corner.views[0], None, max_side_px=WIDTH // 2)
    assert (photo.width, photo.height, photo.pitch) == (WIDTH // 2, HEIGHT // 2, 2.0)
    assert photo.pixels.shape == (HEIGHT // 2, WIDTH // 2, 3)


def test_a_photo_is_never_made_larger_than_it_is(corner: Corner) -> None:
    view = corner.views[0]
    larger = replace(
        view,
        pixels=view.pixels.repeat_interleave(2, 0).repeat_interleave(2, 1),
        original_from_network=torch.diag(torch.tensor([0.5, 0.5, 1])),
    )
    photo = working_photo(view, larger, max_side_px=1600)
    assert (photo.width, photo.height, photo.pitch) == (WIDTH, HEIGHT, 1.0)


def test_a_file_that_is_gone_is_replaced_by_the_pixels_at_hand(corner: Corner, tmp_path) -> None:
    view = replace(corner.views[0], source=tmp_path / "gone.png")
    assert torch.equal(working_photo(view, None, max_side_px=1600).pixels, view.pixels)


def taken_by(corner: Corner, cameras: list[str | None], widths: list[int]) -> list[WorkingPhoto]:
    photo = working_photo(corner.views[0], None, max_side_px=1600)
    pairs = zip(cameras, widths, strict=True)
    return [replace(photo, camera=(camera, HEIGHT, width)) for camera, width in pairs]


@pytest.mark.parametrize(
    ("cameras", "widths", "kinds"),
    [
        (["phone", "phone", "phone"], [300, 300, 300], ["shared"]),
        ([None, None, None], [300, 300, 300], ["shared", "own"]),
        ([None, None, None], [300, 310, 300], ["own"]),
    ],
)
def test_intrinsics_are_shared_as_far_as_it_is_likely(corner, cameras, widths, kinds) -> None:
    tried = ladder(taken_by(corner, cameras, widths), "auto")
    assert list(dict.fromkeys(kind for _, kind in tried)) == kinds


def test_intrinsics_that_were_chosen_are_not_guessed(corner: Corner) -> None:
    tried = ladder(taken_by(corner, ["phone"] * 3, [300] * 3), "own")
    assert tried == [("global", "own"), ("incremental", "own")]


def a_model(corner: Corner, move: Similarity) -> SparseModel:
    """Return the true cameras and some points in another world."""
    cameras, sightings = {}, {}
    for index, camera in enumerate(corner.cameras):
        pose = camera.world_from_camera.double()
        pixels = torch.tensor([[60.5, 40.5], [120.5, 90.5], [200.5, 130.5]], dtype=torch.float64)
        column, row = pixels.long().unbind(-1)
        world = corner.scene().world_points(index)[row, column].double()
        cameras[index] = SparseCamera(225.0, 0.0, move.moved_pose(pose))
        sightings[index] = Sightings(move(world), pixels)
    return SparseModel(cameras, sightings, 9)


def test_a_model_finds_back_to_the_world_of_the_scene(corner: Corner) -> None:
    away = Similarity(
        torch.tensor(3.0, dtype=torch.float64),
        rotation_exp(torch.tensor([0.3, -1.0, 0.5], dtype=torch.float64)),
        torch.tensor([1.0, 2, 3], dtype=torch.float64),
    )
    back = world_from_model(a_model(corner, away), corner.scene(), [1.0] * 3)
    assert back is not None
    torch.testing.assert_close(back.scale, 1 / away.scale, rtol=1e-4, atol=0)
    torch.testing.assert_close(back.rotation, away.rotation.mT, rtol=0, atol=1e-5)
    torch.testing.assert_close(
        back(away.translation[None])[0], torch.zeros(3).double(), atol=1e-4, rtol=0
    )


def test_one_wrong_camera_does_not_turn_the_model(corner: Corner) -> None:
    scene = corner.scene()
    wrong = corner.cameras[2].world_from_camera.clone()
    wrong[:3, :3] = rotation_exp(torch.tensor([0.0, 2.0, 0.0])) @ wrong[:3, :3]
    cameras = [*scene.cameras[:2], replace(corner.cameras[2], world_from_camera=wrong)]
    still = Similarity.identity()
    found = world_from_model(a_model(corner, still), replace(scene, cameras=cameras), [1.0] * 3)
    assert found is not None
    assert rotation_angle_deg(found.rotation, still.rotation) < 0.01


def test_a_model_of_views_without_cameras_lies_nowhere(corner: Corner) -> None:
    lost = replace(corner.scene(), cameras=[None] * 3, failures=["lost"] * 3)
    still = Similarity.identity()
    assert world_from_model(a_model(corner, still), lost, [1.0] * 3) is None


def some_points(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return positions and depths."""
    random = torch.Generator().manual_seed(seed)
    positions = 2 * torch.rand(count, 2, generator=random, dtype=torch.float64) - 1
    return positions, 1 + 4 * torch.rand(count, generator=random, dtype=torch.float64)


def test_depth_takes_the_scale_of_the_points_although_a_third_is_wrong() -> None:
    positions, network = some_points(60)
    sparse = 2.5 * network
    sparse[::3] *= 1 + 3 * torch.rand(20, generator=torch.Generator().manual_seed(1)).double()
    found = align_depth(torch.full((8, 8), 2.0), positions, sparse, network)
    assert found is not None
    assert found.factor == pytest.approx(2.5)
    torch.testing.assert_close(found.depth, torch.full((8, 8), 5.0))


def test_depth_that_is_bent_is_straightened_by_many_points() -> None:
    positions, network = some_points(400)
    sparse = network * (0.3 + 0.4 * positions[:, 0] - 0.2 * positions[:, 1]).exp()
    found = align_depth(torch.full((6, 8), 2.0), positions, sparse, network)
    assert found is not None
    assert found.error < 0.02
    x = (2 * torch.arange(8) + 1) / 8 - 1
    expected = 2 * (0.3 + 0.4 * x - 0.2 * (-1 + 7 / 6)).exp()
    torch.testing.assert_close(found.depth[3, 1:7], expected[1:7], rtol=0.05, atol=0)


def test_noise_does_not_bend_depth() -> None:
    positions, network = some_points(400)
    noise = torch.randn(400, generator=torch.Generator().manual_seed(2)).double()
    found = align_depth(torch.full((6, 8), 2.0), positions, network * (0.1 * noise).exp(), network)
    assert found is not None
    assert found.depth.std() == 0


def test_too_few_points_say_nothing_about_depth() -> None:
    positions, network = some_points(7)
    assert align_depth(torch.ones(4, 4), positions, network, network) is None


def test_points_where_depth_is_unknown_do_not_count() -> None:
    positions, network = some_points(20)
    network[:13] = torch.nan
    assert align_depth(torch.ones(4, 4), positions, 2 * network, network) is None


def test_pixels_without_depth_stay_without() -> None:
    positions, network = some_points(20)
    depth = torch.ones(4, 4)
    depth[1, 2] = 0
    found = align_depth(depth, positions, 2 * network, network)
    assert found is not None
    assert found.depth[1, 2] == 0
