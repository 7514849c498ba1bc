import pytest

from fast3r.views.resize import plan_resize


@pytest.mark.parametrize(
    ("photo", "network"),
    [
        ((3024, 4032), (384, 512)),
        ((4032, 3024), (512, 384)),
        ((1080, 1920), (288, 512)),
        ((600, 1000), (304, 512)),
        ((500, 333), (512, 336)),
        ((300, 300), (512, 512)),
    ],
)
def test_common_shapes_become_the_known_network_sizes(
    photo: tuple[int, int], network: tuple[int, int]
) -> None:
    plan = plan_resize(*photo)
    assert (plan.height, plan.width) == network


@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (300, 300), (1080, 1920)])
def test_shapes_that_fit_are_not_cropped(shape: tuple[int, int]) -> None:
    assert plan_resize(*shape).box == (0, 0, shape[1], shape[0])


def test_the_long_side_becomes_the_size_asked_for() -> None:
    assert plan_resize(601, 800, size=224, patch=14).width == 224
    assert plan_resize(801, 600, size=224, patch=14).height == 224


def test_the_short_side_is_the_nearest_multiple_of_the_patch() -> None:
    for plan in (plan_resize(height, 1000, size=160, patch=16) for height in range(400, 1001)):
        ideal = 160 * plan.original_height / 1000
        assert plan.height % 16 == 0
        assert abs(plan.height - ideal) < 8.5


@pytest.mark.parametrize("shape", [(2999, 4000), (80, 100), (500, 2000), (1000, 1001)])
def test_a_portrait_is_planned_like_the_landscape_on_its_side(shape: tuple[int, int]) -> None:
    lying, standing = plan_resize(*shape), plan_resize(*shape[::-1])
    assert (lying.height, lying.width) == (standing.width, standing.height)
    left, top, right, bottom = lying.box
    assert standing.box == (top, left, bottom, right)


def test_narrow_photos_are_padded_to_the_narrowest_shape_of_the_training() -> None:
    plan = plan_resize(500, 2000)
    assert (plan.height, plan.width) == (160, 512)
    assert (plan.content_height, plan.content_width, plan.padding) == (128, 512, (0, 16))
    assert plan.box == (0, 0, 2000, 500)


def test_the_narrowest_photo_keeps_two_patches() -> None:
    assert plan_resize(100, 1600).content_height == 32
    with pytest.raises(ValueError, match=r"1601x100 px is too narrow: its sides are 16.0:1, at"):
        plan_resize(100, 1601)


def test_slivers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"3000x4 px is too narrow: .* 750.0:1, at most 16:1"):
        plan_resize(4, 3000)


def test_icons_are_refused() -> None:
    with pytest.raises(ValueError, match="20x15 px is too small: the short side needs 16 px"):
        plan_resize(15, 20)


@pytest.mark.parametrize(("size", "way_out"), [(500, 496), (20, 64), (0, 64)])
def test_sizes_that_are_no_multiple_of_the_patch_are_refused(size: int, way_out: int) -> None:
    with pytest.raises(
        ValueError, match=rf"multiple of the patch \(16 px\).*{size}, try {way_out}"
    ):
        plan_resize(480, 640, size=size)
