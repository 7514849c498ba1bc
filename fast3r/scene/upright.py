"""Which photos lie on their side, and the views turned so that the network sees them upright.

Relative turns come from matched features. A walk around something seen from above turns photos,
too; a link between two photos counts only if, with the turn undone, both could have been taken with
level rows and without aiming far up or down. Photos that links hold together form a set, in which
the majority decides which way is up, unless the motion of the camera contradicts: people pan and
walk level. What is not sure stays as it is.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.transforms import rotation_log
from fast3r.scene.pair_motions import SIDE_PX, PairMotion, pair_motions
from fast3r.scene.refinement.matching import Pair
from fast3r.scene.refinement.photos import working_photo
from fast3r.scene.stages import StageRecorder
from fast3r.views.turning import turned
from fast3r.views.view import View, Views

# All thresholds were chosen on ten photos each of 17 real sets, so that no upright one is turned.
_MIN_MATCHES = 25
_MAX_SPREAD_DEG, _MAX_OFF_QUARTER_DEG = 20.0, 25.0
_MAX_TILT_DEG, _MAX_AIM_DEG = 10.0, 25.0
_LINKS_EACH = 2
_MAJORITY = 0.6
# Of panning and walking, the share along the rows: 0.46 to 1 in upright sets, 0.03 in the sideways.
_LEVEL, _SIDEWAYS = 0.75, 0.25
_MIN_PAN_RAD = 0.08
_MIN_MOTIONS = 8
# Farther plus brighter towards the top: 6 of 17 sets tell so clearly which end is up, 0 wrongly.
_SURE_OF_TOP = 0.45


@dataclass(frozen=True)
class PhotoSet:
    """Photos whose turns relative to each other are known."""

    members: Mapping[int, int]
    """By index of the photo, clockwise quarter turns that make it agree with the others."""

    def turned(self, quarter_turns: int) -> "PhotoSet":
        """Return the set with all of its photos turned further."""
        return PhotoSet({i: (t + quarter_turns) % 4 for i, t in self.members.items()})

    def share_left_alone(self, quarter_turns: int) -> float:
        """Return the share of photos that stay as they are if all are turned further."""
        return sum(t == 0 for t in self.turned(quarter_turns).members.values()) / len(self.members)


def upright(
    views: Sequence[View],
    *,
    photos: Sequence[View] | None = None,
    seed: int = 0,
    recorder: StageRecorder | None = None,
) -> Views:
    """Return the views, those turned that are surely not upright.

    Cameras, depth and points that are made of the result are as if nothing had been turned: in
    pixels of the original photos. `fast3r.views.turning.quarter_turns` tells how a view was turned.

    Args:
        views: As they were loaded.
        photos: The same at a larger size, where their files cannot be read again, as of videos.
        seed: Of all sampling.
        recorder: Measures the stages and tells of progress.

    Raises:
        ImportError: pycolmap is not installed.
    """
    turns = find_turns(views, photos=photos, seed=seed, recorder=recorder)
    skipped = views.skipped if isinstance(views, Views) else ()
    return Views((turned(v, turns.get(i, 0)) for i, v in enumerate(views)), skipped)


def find_turns(
    views: Sequence[View],
    *,
    photos: Sequence[View] | None = None,
    seed: int = 0,
    recorder: StageRecorder | None = None,
) -> dict[int, int]:
    """Return clockwise quarter turns, 1 to 3, by index of the views that need them.

    Arguments and errors as of `upright`.
    """
    larger = {view.name: view for view in photos or ()}
    working = [working_photo(v, larger.get(v.name), max_side_px=SIDE_PX) for v in views]
    motions = pair_motions(working, seed=seed, recorder=recorder or StageRecorder())
    turns = dict.fromkeys(range(len(views)), 0)
    for found in linked_sets(motions):
        turns |= _with_majority(found, motions, views).members
    turns = _all_level(PhotoSet(turns), motions, views).members
    # The faces of a panorama lie as they were cut, whatever they show.
    return {index: turn for index, turn in turns.items() if turn and views[index].face is None}


def linked_sets(motions: Sequence[PairMotion]) -> list[PhotoSet]:
    """Return the sets of photos that reliable pairs link, with their relative turns.

    Every photo of a set is linked to two others at least. The links with most matches form a
    spanning tree; a set that others contradict, by more than a tenth of the matches, is left out.
    """
    turn_of = {m.pair: turn for m in motions if (turn := _relative_turn(m)) is not None}
    matches = {m.pair: m.matches for m in motions}
    linked = _twice_linked(list(turn_of))
    home = {i: PhotoSet({i: 0}) for pair in linked for i in pair}
    for i, j in sorted(linked, key=lambda pair: (-matches[pair], pair)):
        first, second = home[i], home[j]
        if first is second:
            continue
        moved = second.turned(first.members[i] - turn_of[i, j] - second.members[j])
        joined = PhotoSet({**first.members, **moved.members})
        home.update(dict.fromkeys(joined.members, joined))
    unique = {id(each): each for each in home.values()}.values()
    links = {pair: (matches[pair], turn_of[pair]) for pair in linked}
    return [each for each in unique if _consistent(each, links)]


def _relative_turn(motion: PairMotion) -> int | None:
    """Return the quarter turns clockwise from the first photo to the second; None if unsure."""
    turn = round(motion.roll_deg / 90)
    clear = (
        motion.matches >= _MIN_MATCHES
        and motion.spread_deg <= _MAX_SPREAD_DEG
        and abs(motion.roll_deg - 90 * turn) <= _MAX_OFF_QUARTER_DEG
    )
    turn %= 4
    return turn if clear and (turn == 0 or _could_be_level(motion, turn)) else None


def _could_be_level(motion: PairMotion, turn: int) -> bool:
    """Return whether both photos may be level, aimed almost ahead, and one turned by so much."""
    aim = torch.arange(-_MAX_AIM_DEG, _MAX_AIM_DEG + 1).double().deg2rad()
    # Each way to hold the first camera tells where up is; the second then must see it as level.
    up = torch.stack((torch.zeros_like(aim), -aim.cos(), -aim.sin()), dim=-1)
    seen = up @ (_turn(-turn) @ motion.second_from_first).mT
    tilt_deg = seen[:, 0].clamp(-1, 1).asin().rad2deg().abs()
    aim_deg = torch.atan2(-seen[:, 2], -seen[:, 1]).rad2deg().abs()
    return bool(((tilt_deg <= _MAX_TILT_DEG) & (aim_deg <= _MAX_AIM_DEG)).any())


def _twice_linked(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs of photos that are all in two of them at least."""
    count: dict[int, int] = {}
    for index in (i for pair in pairs for i in pair):
        count[index] = count.get(index, 0) + 1
    kept = [pair for pair in pairs if all(count[i] >= _LINKS_EACH for i in pair)]
    return kept if len(kept) == len(pairs) else _twice_linked(kept)


def _consistent(found: PhotoSet, links: Mapping[Pair, tuple[int, int]]) -> bool:
    agreeing, total = 0, 0
    for (i, j), (matches, turn) in links.items():
        if i in found.members:
            total += matches
            agreeing += matches * ((found.members[i] - turn - found.members[j]) % 4 == 0)
    return agreeing >= 0.9 * total


def _with_majority(
    found: PhotoSet, motions: Sequence[PairMotion], views: Sequence[View]
) -> PhotoSet:
    """Return a set turned so that most photos stay as they are, or else by what they show."""
    usual = max(range(4), key=found.share_left_alone)
    if found.share_left_alone(usual) >= _MAJORITY:
        return found.turned(usual)
    level = _level_share(found, motions)
    if level is not None and not _SIDEWAYS < level < _LEVEL:
        for turns in (0, 2) if level >= _LEVEL else (1, 3):
            if _downwards(found.turned(turns), motions, views) <= -_SURE_OF_TOP:
                return found.turned(turns)
    return found.turned(usual)


def _all_level(every: PhotoSet, motions: Sequence[PairMotion], views: Sequence[View]) -> PhotoSet:
    """Return all photos, turned on if the motion among them says that all lie on their side."""
    level = _level_share(every, motions)
    if len(motions) < _MIN_MOTIONS or level is None or level > _SIDEWAYS:
        return every
    for turns in (1, 3):
        if _downwards(every.turned(turns), motions, views) <= -_SURE_OF_TOP:
            return every.turned(turns)
    return every


def _level_share(found: PhotoSet, motions: Sequence[PairMotion]) -> float | None:
    """Return how much of panning and walking is along the rows of the photos; None if none is."""
    panned, walked = torch.zeros(2).double(), torch.zeros(2).double()
    for motion, side, turns in _seen_by(found, motions):
        other = found.members[motion.pair[1 - side]]
        vector = _rotation_between(motion, side, turns, other)
        if torch.linalg.vector_norm(vector) > _MIN_PAN_RAD:
            panned += vector[:2].flip(0).square()
        walked += _rotated(motion.direction[side, :2], turns).square()
    shares = [(each[0] / each.sum()).item() for each in (panned, walked) if each.sum() > 0]
    return sum(shares) / len(shares) if shares else None


def _rotation_between(motion: PairMotion, side: int, turns: int, other: int) -> Float[Tensor, " 3"]:
    """Return the rotation vector between the cameras of two photos that have been turned."""
    second_from_first = motion.second_from_first
    other_from_this = second_from_first if side == 0 else second_from_first.mT
    return rotation_log(_turn(other) @ other_from_this @ _turn(turns).mT)


def _turn(quarter_turns: int) -> Float[Tensor, "3 3"]:
    quarter = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]).double()
    return torch.linalg.matrix_power(quarter, quarter_turns % 4)


def _downwards(found: PhotoSet, motions: Sequence[PairMotion], views: Sequence[View]) -> float:
    """Return how things get farther and brighter towards the bottom: less, as a rule."""
    trends = [_rotated(m.farther[side], turns) for m, side, turns in _seen_by(found, motions)]
    light = [_rotated(_brighter(views[i]), turns) for i, turns in found.members.items()]
    farther = sum(trend[1].item() for trend in trends) / max(1, len(trends))
    return farther + sum(each[1].item() for each in light) / len(light)


def _seen_by(
    found: PhotoSet, motions: Sequence[PairMotion]
) -> Iterator[tuple[PairMotion, int, int]]:
    """Yield every motion within a set twice: with the side of each photo, and how it is turned."""
    for motion in motions:
        if all(i in found.members for i in motion.pair):
            for side, index in enumerate(motion.pair):
                yield motion, side, found.members[index]


def _rotated(vector: Float[Tensor, " 2"], quarter_turns: int) -> Float[Tensor, " 2"]:
    """Return a direction in a photo after the photo was turned clockwise."""
    x, y = vector
    return torch.stack(((x, y), (-y, x), (-x, -y), (y, -x))[quarter_turns % 4])


def _brighter(view: View) -> Float[Tensor, " 2"]:
    """Return how brightness goes along with x and y: sums that are at most about 0.6."""
    grey = view.pixels.double().mean(dim=-1)
    spread = grey.std()
    if spread == 0 or not math.isfinite(spread):
        return torch.zeros(2).double()
    centred = (grey - grey.mean()) / spread
    x = torch.linspace(-1, 1, view.width).double()
    y = torch.linspace(-1, 1, view.height).double()
    return torch.stack(((centred * x).mean(), (centred * y[:, None]).mean()))
