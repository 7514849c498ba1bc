import torch

from fast3r.data.procedural.textures import TILE_PX, load_bank, sample_panoramas, sample_tiles


def colours(tile: int, uv: torch.Tensor, level: float) -> torch.Tensor:
    count = len(uv)
    tiles = torch.full((count,), tile)
    return sample_tiles(load_bank("cpu"), tiles, uv, torch.full((count,), level))[0]


def test_the_bank_holds_photographs_drawn_patterns_and_pictures() -> None:
    bank = load_bank("cpu")
    assert 1000 < bank.num_materials < bank.first_picture < bank.num_tiles
    assert bank.means.isfinite().all()


def test_the_bank_is_loaded_once() -> None:
    assert load_bank("cpu") is load_bank("cpu")


def test_texel_centres_have_the_texels_colours() -> None:
    bank = load_bank("cpu")
    packed = bank.texels[7 * TILE_PX**2 : 7 * TILE_PX**2 + 5]
    expected = torch.stack([packed & 255, packed >> 8 & 255, packed >> 16], -1) / 255
    uv = torch.stack([(torch.arange(5) + 0.5) / TILE_PX, torch.full((5,), 0.5 / TILE_PX)], -1)
    torch.testing.assert_close(colours(7, uv, 0.0), expected)


def test_the_last_level_is_the_mean_of_the_tile() -> None:
    uv = torch.rand(4, 2, generator=torch.Generator().manual_seed(0))
    mean = load_bank("cpu").means[11].expand(4, 3)
    torch.testing.assert_close(colours(11, uv, 20.0), mean, atol=0.01, rtol=0)


def test_tiles_repeat_as_mirror_images() -> None:
    uv = torch.rand(50, 2, generator=torch.Generator().manual_seed(0))
    for moved in (-uv, 2 - uv, uv + 4):
        torch.testing.assert_close(colours(3, moved, 0.5), colours(3, uv, 0.5), atol=2e-3, rtol=0)


def test_panoramas_close_around() -> None:
    bank = load_bank("cpu")
    azimuth = torch.tensor([0.0, 2 * torch.pi, -2 * torch.pi])
    seen = sample_panoramas(bank, torch.zeros(3, dtype=torch.long), azimuth, torch.zeros(3))
    torch.testing.assert_close(seen[1:], seen[:1].expand(2, 3), atol=1e-3, rtol=0)
