"""What cannot be true is refused before the network runs, with what is probably meant."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fast3r.scene.priors.binding import BoundPriors, bind
from fast3r.scene.priors.checks import rigid
from fast3r.scene.priors.types import (
    DepthMaps,
    Distance,
    Gps,
    Gravity,
    Intrinsics,
    Poses,
    Priors,
    Rig,
    Spot,
)
from fast3r.scene.run import reconstruct
from tests.scene.playback import a_random_model, a_view

VIEWS = [a_view(seed, 3000, 4000, 3500.0).view for seed in range(3)]
BERN = (46.95, 7.45, 540.0)


def bound(**priors: object) -> BoundPriors:
    return bind(Priors(**priors), VIEWS)  # pyright: ignore[reportArgumentType]


def pose(*, scale: float = 1.0, shift: tuple[float, float, float] = (0, 0, 0)) -> torch.Tensor:
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] *= scale
    matrix[:3, 3] = torch.tensor(shift)
    return matrix


def test_a_wrong_count_is_refused() -> None:
    with pytest.raises(ValueError, match="intrinsics: 2 are given for 3 views"):
        bound(intrinsics=[Intrinsics(3500.0)] * 2)


def test_an_unknown_name_is_refused_beside_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"poses: no view is named 'b\.jpg'; the 3 views are 0\.j"):
        bound(poses=Poses({"b.jpg": pose()}))


def test_an_unknown_name_is_passed_over_only_where_there_are_other_photos() -> None:
    known = Poses({"0.jpg": pose(), "b.jpg": pose(shift=(1, 0, 0))})
    assert list(bound(poses=known, other_photos=True).poses) == [0]
    with pytest.raises(ValueError, match="no view is named"):
        bound(poses=Poses({"b.jpg": pose()}), other_photos=True)


def test_a_pattern_that_is_like_no_view_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no view is named like 'left/\*'"):
        bound(intrinsics={"left/*": Intrinsics(3500.0)})


def test_an_exact_name_goes_before_a_pattern_and_a_pattern_before_all() -> None:
    known = {"*": Intrinsics(1000.0), "[01].jpg": Intrinsics(2000.0), "0.jpg": Intrinsics(3000.0)}
    focals = {i: k[0, 0].item() for i, k in bound(intrinsics=known).intrinsics.items()}
    assert focals == {0: 3000, 1: 2000, 2: 1000}


@pytest.mark.parametrize("name", ["images/0.jpg", "./images/0.jpg", "0", "../x/0.jpg"])
def test_names_of_other_programs_find_their_view(name: str) -> None:
    assert list(bound(poses=Poses({name: pose()})).poses) == [0]


def test_the_same_name_in_another_folder_is_another_photo() -> None:
    views = [replace(VIEWS[0], name="left/0.jpg")]
    with pytest.raises(ValueError, match="no view is named"):
        bind(Priors(poses=Poses({"right/0.jpg": pose()})), views)


def test_two_names_of_one_view_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'0\.jpg' and 'images/0\.jpg' are the same view"):
        bound(poses=Poses({"0.jpg": pose(), "images/0.jpg": pose()}))


def test_a_rotation_that_is_not_orthogonal_is_refused_with_its_deviation() -> None:
    bent = pose()
    bent[0, 1] = 0.1
    with pytest.raises(
        ValueError, match=r"pose of 0\.jpg: the rotation is not orthogonal, off by 0\.1"
    ):
        bound(poses=Poses({"0.jpg": bent}))


def test_a_scaled_rotation_is_told_by_how_much() -> None:
    with pytest.raises(ValueError, match="it is a rotation times 2: divide by that"):
        bound(poses=Poses({"0.jpg": pose(scale=2)}))


def test_a_mirrored_rotation_is_refused() -> None:
    with pytest.raises(ValueError, match="the rotation mirrors"):
        bound(poses=Poses({"0.jpg": torch.diag(torch.tensor([1.0, 1, -1, 1]))}))


def test_a_pose_that_was_inverted_elsewhere_may_be_rounded() -> None:
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[3] = torch.tensor([-6e-17, 1e-17, 0, 1 + 2e-16])
    assert torch.equal(rigid(matrix, what="pose"), torch.eye(4, dtype=torch.float64))


def test_a_transposed_pose_is_refused() -> None:
    with pytest.raises(ValueError, match="is it transposed"):
        bound(poses=Poses({"0.jpg": pose(shift=(1, 2, 3)).mT}))


def test_positions_far_from_the_origin_are_refused() -> None:
    far = {f"{i}.jpg": pose(shift=(500_000 + i, 5_200_000, 400)) for i in range(3)}
    with pytest.raises(ValueError, match="subtract a common offset"):
        bound(poses=Poses(far))


@pytest.mark.parametrize("focal", [35.0, 450.0])
def test_a_focal_length_in_millimetres_or_network_pixels_is_refused(focal: float) -> None:
    with pytest.raises(ValueError, match=r"field of view of 1[57]\d.*pixels of the original photo"):
        bound(intrinsics={"*": Intrinsics(focal)})


def test_a_principal_point_of_a_smaller_photo_is_refused() -> None:
    with pytest.raises(ValueError, match=r"far from the centre of the photo.*give its `size`"):
        bound(intrinsics={"*": Intrinsics(3000.0, (256.0, 192.0))})


def test_a_principal_point_outside_is_refused() -> None:
    with pytest.raises(ValueError, match="outside the photo of 4000x3000"):
        bound(intrinsics={"*": Intrinsics(3000.0, (4200.0, 1500.0))})


def test_intrinsics_of_a_smaller_photo_are_resized_by_its_size() -> None:
    known = Intrinsics(450.0, (250.0, 190.0), size=(512, 384))
    matrix = bound(intrinsics={"0.jpg": known}).intrinsics[0]
    assert matrix.tolist() == [
        [pytest.approx(3515.625), 0, pytest.approx(1953.125)],
        [0, pytest.approx(3515.625), pytest.approx(1484.375)],
        [0, 0, 1],
    ]


@pytest.mark.parametrize(
    ("size", "hint"), [((3000, 4000), "before EXIF turned it"), ((1000, 1000), "another photo")]
)
def test_intrinsics_of_another_shape_are_refused(size: tuple[int, int], hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        bound(intrinsics={"*": Intrinsics(3000.0, size=size)})


@pytest.mark.parametrize("focal", [-1.0, 0.0, float("nan"), float("inf")])
def test_a_focal_length_that_is_none_is_refused(focal: float) -> None:
    with pytest.raises(ValueError, match="focal lengths must be positive"):
        bound(intrinsics={"*": Intrinsics(focal)})


def test_exif_without_focal_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="no photo tells its focal length in EXIF"):
        bound(intrinsics="exif")


def test_exif_without_places_is_refused() -> None:
    with pytest.raises(ValueError, match="no photo tells its place in EXIF"):
        bound(gps=Gps())


def test_a_latitude_beyond_the_pole_is_told_to_be_swapped() -> None:
    with pytest.raises(ValueError, match=r"gps of 0\.jpg: latitude 139.7 is beyond.*swapped\?"):
        bound(gps=Gps({"0.jpg": (139.7, 35.7, 40.0)}))


def test_one_swapped_position_among_others_is_named() -> None:
    told = {f"{i}.jpg": (BERN[0], BERN[1] + 1e-4 * i, 540.0) for i in range(3)}
    told["1.jpg"] = (BERN[1], BERN[0], 540.0)
    with pytest.raises(ValueError, match=r"gps: 1\.jpg is \d+ km from .* longitude are swapped"):
        bound(gps=Gps(told))


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ((595_000.0, 5_200_000.0, 540.0), "metres"),
        ((0.0, 0.0, 0.0), "receiver without fix"),
        ((46.95, 7.45, 540_000.0), "feet or mm"),
        ((float("nan"), 7.45, 540.0), "must be finite"),
    ],
)
def test_impossible_positions_are_refused(place: tuple[float, float, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bound(gps=Gps({"0.jpg": place}))


def test_equal_positions_are_refused() -> None:
    with pytest.raises(ValueError, match="all 3 views have the same position"):
        bound(gps=Gps([BERN] * 3))


def test_poses_do_not_go_with_gps_or_gravity() -> None:
    for other in ({"gps": Gps({"0.jpg": BERN})}, {"gravity": Gravity()}):
        with pytest.raises(ValueError, match="known poses fix the world"):
            bound(poses=Poses({"0.jpg": pose()}), **other)


def test_a_direction_of_gravity_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a direction of 3 numbers"):
        bound(gravity=Gravity({"0.jpg": (0.0, 0.0, 0.0)}))


def test_a_distance_must_be_positive() -> None:
    with pytest.raises(ValueError, match="must be positive, got -2"):
        bound(distances=(Distance(-2.0, ("0.jpg", "1.jpg")),))


def test_a_pixel_outside_its_photo_is_refused() -> None:
    ends = (Spot("0.jpg", (4100.0, 20.0)), "1.jpg")
    with pytest.raises(ValueError, match=r"pixel \(4100, 20\) lies outside 0\.jpg.*4000x3000"):
        bound(distances=(Distance(2.0, ends),))


def test_a_distance_to_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="both ends are the same"):
        bound(distances=(Distance(2.0, ("0.jpg", "0.jpg")),))


@pytest.mark.parametrize(
    ("rig", "message"),
    [
        (Rig({"a": pose()}, [{"a": "0.jpg"}]), "at least 2 cameras"),
        (Rig({"a": pose(), "b": pose()}, []), "1 frame, got 2 and 0"),
        (Rig({"a": pose(), "b": pose()}, [{"c": "0.jpg"}]), "camera 'c' is none of a, b"),
        (Rig({"a": pose(), "b": pose()}, [{"a": "0.jpg", "b": "0.jpg"}]), "is there twice"),
        (Rig({"a": pose(), "b": pose()}, [{"a": "x.jpg"}]), "rig 1: no view is named 'x.jpg'"),
        (Rig({"a": pose(), "b": pose(scale=3)}, [{"a": "0.jpg"}]), "rig 1, camera b.*times 3"),
    ],
)
def test_impossible_rigs_are_refused(rig: Rig, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bound(rigs=(rig,))


def test_depth_in_millimetres_is_refused() -> None:
    with pytest.raises(ValueError, match=r"beyond 2300 m; are they millimetres\?"):
        bound(depth=DepthMaps({"0.jpg": torch.full((30, 40), 2300.0)}))


def test_a_depth_map_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="it has 30x40 px; expected the shape of its photo"):
        bound(depth=DepthMaps({"0.jpg": torch.ones(40, 30)}))


def test_an_empty_depth_map_is_refused() -> None:
    with pytest.raises(ValueError, match="it has no depth at all"):
        bound(depth=DepthMaps({"0.jpg": torch.zeros(30, 40)}))


def test_depth_maps_are_read_as_metres_from_each_kind_of_file(tmp_path: Path) -> None:
    depth = np.full((30, 40), 2.5, np.float32)
    Image.fromarray((depth * 1000).astype(np.uint16)).save(tmp_path / "0.png")
    np.save(tmp_path / "1.jpg.npy", depth)
    np.savez(tmp_path / "2.npz", depth=depth)
    found = bound(depth=DepthMaps(tmp_path)).depth
    assert list(found) == [0, 1, 2]
    for values in found.values():
        torch.testing.assert_close(values, torch.full((30, 40), 2.5))


def test_a_folder_without_depth_maps_of_the_views_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no depth map of any view"):
        bound(depth=DepthMaps(tmp_path))
    (tmp_path / "0.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"0\.npz cannot be read"):
        bound(depth=DepthMaps(tmp_path))


def test_a_bad_prior_is_refused_by_reconstruct() -> None:
    with pytest.raises(ValueError, match="no view is named"):
        reconstruct(VIEWS, a_random_model(), priors=Priors(poses=Poses({"x.jpg": pose()})))
