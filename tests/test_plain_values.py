"""Plain values become dataclasses, strictly and with messages that help."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from fast3r.plain_values import plain, receive


@dataclass(frozen=True)
class Wheel:
    name: Literal["wheel"] = "wheel"
    radius: float = 0.3


@dataclass(frozen=True)
class Sail:
    name: Literal["sail"]
    areas: tuple[float, ...] = ()


@dataclass(frozen=True)
class Vehicle:
    owner: str
    seats: int = 1
    colour: Literal["red", "blue"] = "red"
    drive: Wheel | Sail = field(default_factory=Wheel)
    size: tuple[int, int] = (1, 2)
    spare: Wheel | None = None
    garage: Path | None = None
    parts: Mapping[str, Wheel] = field(default_factory=dict)
    limit: int | None = None
    electric: bool = False
    notes: dict[str, bool | int | float | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.seats < 1:
            raise ValueError(f"seats must be at least 1, got {self.seats}")


def test_values_of_all_kinds_come_through() -> None:
    made = receive(
        Vehicle,
        {
            "owner": "me",
            "drive": {"name": "sail", "areas": [1, 2.5]},
            "size": [3, 4],
            "spare": {"radius": "1e-1"},
            "garage": "some/where",
            "parts": {"front": {"radius": 2}},
            "notes": {"split": "10", "number": 3, "share": 0.5, "new": True},
        },
    )
    assert made == Vehicle(
        "me", drive=Sail("sail", (1.0, 2.5)), size=(3, 4), spare=Wheel(radius=0.1),
        garage=Path("some/where"), parts={"front": Wheel(radius=2.0)},
        notes={"split": "10", "number": 3, "share": 0.5, "new": True},
    )  # fmt: skip


def test_plain_is_the_inverse() -> None:
    made = Vehicle("me", drive=Sail("sail", (1.0,)), garage=Path("x"), parts={"a": Wheel()})
    assert receive(Vehicle, plain(made)) == made


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"seat": 2}, "there is no key seat; did you mean seats"),
        ({"spare": {"radiu": 2}}, "there is no key spare.radiu; did you mean radius"),
        ({"zzz": 2}, "there is no key zzz; Known here: colour, drive"),
        ({"seats": "two"}, "seats must be a whole number, got 'two'"),
        ({"seats": 2.5}, "seats must be a whole number, got 2.5"),
        ({"seats": True}, "seats must be a whole number, got True"),
        ({"electric": 1}, "electric must be true or false, got 1"),
        ({"colour": "green"}, "colour must be one of red, blue, got 'green'"),
        ({"size": [1]}, "size must be a list of 2"),
        ({"size": 1}, "size must be a list such as"),
        ({"drive": {"name": "leg"}}, "drive.name must be one of wheel, sail, got 'leg'"),
        ({"limit": "x"}, "limit must be a whole number, got 'x'"),
        ({"parts": [1]}, "parts must be a set of keys and values"),
        ({"spare": 3}, "spare must be a set of keys and values, got 3"),
        ({"seats": 0}, "seats must be at least 1"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(entries: dict, message: str) -> None:
    with pytest.raises(ValueError, match="^" + message.replace(".", r"\.")):
        receive(Vehicle, {"owner": "me", **entries})


def test_what_is_missing_is_told() -> None:
    with pytest.raises(ValueError, match="lacks owner"):
        receive(Vehicle, {})
