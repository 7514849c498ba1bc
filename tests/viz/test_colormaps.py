"""Colours for numbers."""

import torch

from fast3r.viz.colormaps import magma, spectrum


def test_brighter_means_more() -> None:
    luminance = magma(torch.linspace(0, 1, 50)).float() @ torch.tensor([0.2126, 0.7152, 0.0722])
    assert (luminance.diff() > 0).all()


def test_levels_beyond_the_ends_hold() -> None:
    assert torch.equal(magma(torch.tensor([-3.0, 7.0])), magma(torch.tensor([0.0, 1.0])))
    assert magma(torch.tensor([[0.0, 1.0]])).tolist() == [[[0, 0, 4], [252, 253, 191]]]


def test_the_given_colours_are_met_exactly() -> None:
    assert magma(torch.tensor(0.5)).tolist() == [183, 55, 121]


def test_the_spectrum_runs_from_red_over_green_to_violet() -> None:
    red, green, violet = spectrum(torch.tensor([0.0, 0.4, 0.9])).long()
    assert red.tolist() == [230, 25, 25]
    assert green.argmax() == 1
    assert violet[2] > violet[0] > violet[1]


def test_neighbours_in_the_spectrum_differ() -> None:
    colors = spectrum(torch.arange(20) / 20).float()
    assert torch.cdist(colors, colors).fill_diagonal_(torch.inf).min() > 30
