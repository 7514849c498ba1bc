"""`fast3r data`: is a dataset whole, what does it look like, and one's own photos as one."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from fast3r.cli.options.data import CheckData, ConvertData, ShowData
from fast3r.cli.output import explained
from fast3r.cli.screen import Screen
from fast3r.data.catalog import DATASETS, open_dataset
from fast3r.data.checking import Finding, check_dataset
from fast3r.data.conversion import convert_colmap, convert_transforms
from fast3r.data.dataset import Dataset
from fast3r.data.frame import BrokenFrameError
from fast3r.data.procedural.config import ProceduralConfig
from fast3r.data.procedural.generate import generate
from fast3r.scene.stages import StageRecorder
from fast3r.scene.staging import staging
from fast3r.viz.sample_sheet import SheetRow, frames_of, sample_sheet

_BROKEN = 2
_PROCEDURAL = "procedural"
_PROCEDURAL_HEIGHT, _PROCEDURAL_WIDTH = 192, 256
_TRIES = 20
"""Scenes drawn for a row of the picture before the dataset is given up."""


def run(options: CheckData | ShowData | ConvertData) -> int:
    """Do what was asked for.

    Raises:
        ValueError: An option is wrong, a folder is laid out differently, or nothing in it can be
            used.
        OSError: Something cannot be read or written.
        ImportError: An extra is missing.
    """
    if isinstance(options, ConvertData):
        return _convert(options)
    if options.seed < 0:
        raise ValueError(f"--seed must be at least 0, got {options.seed}")
    return _check(options) if isinstance(options, CheckData) else _show(options)


def _check(options: CheckData) -> int:
    """Print what is broken, also after an interruption, and return whether anything is."""
    if options.threads < 1:
        raise ValueError(f"--threads must be at least 1, got {options.threads}")
    if options.frames is not None and options.frames < 1:
        raise ValueError(f"--frames must be at least 1, got {options.frames}")
    dataset = _opened(options.name, options.root, options.split)
    scenes = min(len(dataset.scenes), options.frames or len(dataset.scenes))
    broken: list[Finding] = []
    frames = 0
    try:
        with Screen(options.talk) as screen:
            with StageRecorder(watcher=screen).stage("check") as tell:
                for finding in check_dataset(
                    dataset, frames=options.frames, seed=options.seed, threads=options.threads
                ):
                    tell(finding.scenes_done, scenes)
                    frames += finding.frame is not None
                    broken += [finding] if finding.reason else []
            screen.say(f"{frames} frames of {scenes} scenes: {len(broken)} cannot be used")
    finally:
        for finding in broken:
            print(
                finding.scene, finding.frame or "-", " ".join(str(finding.reason).split()), sep="\t"
            )
    return _BROKEN if broken else 0


def _show(options: ShowData) -> int:
    if options.samples < 1 or options.views < 1:
        raise ValueError(
            f"--samples and --views must be at least 1, got {options.samples} and {options.views}"
        )
    suffix = options.output.suffix.lower()
    if suffix not in Image.registered_extensions():
        raise ValueError(f"--output must end like a picture, as in sheet.png; got {options.output}")
    with Screen(options.talk) as screen:
        with StageRecorder(watcher=screen).stage("draw samples") as tell:
            rows = []
            for row in _rows(options, screen):
                rows.append(row)
                tell(len(rows), options.samples)
        sheet = sample_sheet(rows)
        folder = options.output.parent
        with explained(folder), staging(folder) as stage:
            sheet.save(stage / options.output.name)
    print(options.output)
    return 0


def _rows(options: ShowData, screen: Screen) -> Iterator[SheetRow]:
    if options.name == _PROCEDURAL:
        if options.root is not None or options.split is not None:
            raise ValueError("procedural scenes have neither ROOT nor --split: leave both out")
        return (_procedural_row(options, place) for place in range(options.samples))
    if options.name not in DATASETS:
        known = ", ".join([*DATASETS, _PROCEDURAL])
        raise ValueError(f"there is no dataset {options.name!r}; known are {known}")
    if options.root is None:
        raise ValueError(f"name the folder of the dataset: fast3r data show {options.name} ROOT")
    dataset = _opened(options.name, options.root, options.split)
    dice = np.random.default_rng(options.seed)
    return (_drawn_row(dataset, options.views, dice, screen) for _ in range(options.samples))


def _procedural_row(options: ShowData, place: int) -> SheetRow:
    seed = options.seed + place
    sample = generate(
        ProceduralConfig(),
        batch=1,
        views=options.views,
        height=_PROCEDURAL_HEIGHT,
        width=_PROCEDURAL_WIDTH,
        seed=seed,
    )
    return SheetRow(f"{_PROCEDURAL}, seed {seed}", frames_of(sample)[0])


def _drawn_row(dataset: Dataset, views: int, dice: np.random.Generator, screen: Screen) -> SheetRow:
    reasons: list[str] = []
    for _ in range(_TRIES):
        scene = dataset.scenes[int(dice.integers(len(dataset.scenes)))]
        try:
            names = dataset.draw(scene, views, dice)
            return SheetRow(f"{scene}: {', '.join(names)}", [dataset.read(scene, n) for n in names])
        except BrokenFrameError as error:
            reasons.append(str(error))
        if reasons[-1] not in reasons[:-1]:
            screen.say(f"left out: {reasons[-1]}")
    raise ValueError(f"nothing could be used in {_TRIES} draws; the last: {reasons[-1]}")


def _opened(name: str, root: Path, split: str | None) -> Dataset:
    return open_dataset(name, root, **({} if split is None else {"split": split}))


def _convert(options: ConvertData) -> int:
    if not options.depth_scale > 0:
        raise ValueError(f"--depth-scale must be above 0, got {options.depth_scale}")
    source, output, depth_scale = options.source, options.output, options.depth_scale
    if source.suffix == ".json":
        if options.photos or options.depth:
            raise ValueError(
                f"{source} names photos and depth maps: leave out --photos and --depth"
            )
        found = convert_transforms(source, output, depth_scale=depth_scale)
    elif options.photos is None:
        raise ValueError("a COLMAP model needs its photos: add --photos DIR")
    else:
        found = convert_colmap(
            source, options.photos, output, depth=options.depth, depth_scale=depth_scale
        )
    with Screen(options.talk) as screen:
        screen.say(f"{found.photos} photos, {found.depth_maps} of them with depth")
    print(output)
    return 0
