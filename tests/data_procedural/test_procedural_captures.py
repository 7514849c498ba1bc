"""Less usual photos are what they are called, and their points and cameras still agree."""

import pytest
import torch

from fast3r.data.procedural.config import ProceduralConfig
from fast3r.data.procedural.generate import generate
from fast3r.data.sample import Sample
from fast3r.geometry.cameras import pixel_grid

HEIGHT, WIDTH = 24, 32
TABLES = {"indoor_share": 0.0, "outdoor_share": 0.0}
STREETS = {"indoor_share": 0.0, "outdoor_share": 1.0}


def make(**changes) -> Sample:
    config = ProceduralConfig(augment=False, **changes)
    return generate(config, batch=12, views=4, height=HEIGHT, width=WIDTH, seed=0)


def landing_error_px(sample: Sample) -> torch.Tensor:
    """How far from its pixel each point lands, where it is valid."""
    camera = torch.linalg.inv(sample.world_from_camera)[:, :, None, None]
    points = (camera[..., :3, :3] @ sample.points[..., None])[..., 0] + camera[..., :3, 3]
    image = (sample.intrinsics[:, :, None, None] @ points[..., None])[..., 0]
    return (image[..., :2] / image[..., 2:] - pixel_grid(HEIGHT, WIDTH)).norm(dim=-1)[sample.valid]


@pytest.mark.parametrize(
    "changes",
    [
        TABLES | {"studio_share": 1.0},
        STREETS | {"aerial_share": 1.0},
        STREETS | {"telephoto_share": 1.0},
        {"album_share": 1.0, "sideways_share": 1.0},
    ],
)
def test_points_project_to_the_centres_of_their_pixels(changes) -> None:
    assert landing_error_px(make(**changes)).max() < 5e-3


def test_a_backdrop_is_plain_and_no_surface() -> None:
    usual, studio = make(**TABLES), make(**TABLES, studio_share=1.0)
    # Tables in rooms stay in their rooms.
    changed = (usual.images != studio.images).flatten(1).any(dim=1)
    assert 2 <= changed.sum() < 12
    assert torch.equal(usual.world_from_camera, studio.world_from_camera)
    for scene in changed.nonzero()[:, 0]:
        colours = studio.images[scene].movedim(1, -1)[~studio.valid[scene]]
        assert len(colours) > 0
        common = colours.median(dim=0).values
        assert ((colours - common).abs().amax(dim=-1) < 1e-3).float().mean() > 0.95
    assert studio.valid[changed].float().mean() < usual.valid[changed].float().mean()


def test_drones_look_down() -> None:
    def down(sample: Sample) -> torch.Tensor:
        return -sample.world_from_camera[..., 2, 2]

    assert down(make(**STREETS, aerial_share=1.0)).quantile(0.1) > 0.7
    assert down(make(**STREETS)).quantile(0.9) < 0.7


def test_long_lenses_see_less_from_farther_away() -> None:
    usual, far = make(**STREETS), make(**STREETS, telephoto_share=1.0)
    longer = far.intrinsics[..., 0, 0] / usual.intrinsics[..., 0, 0]
    assert longer.min() > 1.1
    assert longer.max() < 4.1
    torch.testing.assert_close(longer.amin(dim=1), longer.amax(dim=1))


def test_photos_of_an_album_have_their_own_lenses() -> None:
    focal = make(album_share=1.0).intrinsics[..., 0, 0]
    assert (focal.amax(dim=1) / focal.amin(dim=1)).median() > 1.5


def test_photos_on_their_side_have_the_sky_at_one() -> None:
    turned = make(sideways_share=1.0).world_from_camera[..., 2, :2]
    # The world's vertical along the rows of the image and along its columns.
    assert (turned[..., 0].abs() > 3 * turned[..., 1].abs()).float().mean() > 0.8


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_shares_are_shares(share) -> None:
    with pytest.raises(ValueError, match=rf"album_share must be within \[0, 1\], got {share}"):
        ProceduralConfig(album_share=share)
