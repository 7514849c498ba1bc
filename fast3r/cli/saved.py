"""Saved scenes, as commands are told of them, and as they write what becomes of them."""

import json
from collections.abc import Mapping
from pathlib import Path

from fast3r.cli.options.export import Export
from fast3r.cli.options.refine import Refine
from fast3r.cli.options.scene import Changed
from fast3r.cli.output import explained, refuse_pictures_among_photos, refuse_problems
from fast3r.export.formats import load
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.stages import StageRecorder
from fast3r.scene.staging import staging
from fast3r.viz.results import write_each


def scene_file(place: Path) -> Path:
    """Return the file of a scene, told by its path or by the folder that holds it."""
    return place / "scene.npz" if place.is_dir() else place


def load_scene(place: Path, recorder: StageRecorder) -> Reconstruction:
    """Return a scene, told by its path or by the folder that holds it.

    Raises:
        ValueError: It is damaged, or something else.
        OSError: It cannot be read.
    """
    with recorder.stage("load scene"):
        return load(scene_file(place))


def refuse_among_own_photos(scene: Reconstruction, formats: list[str], directory: Path) -> None:
    """Refuse to write pictures where the photos of a scene are.

    Raises:
        ValueError: A format would.
    """
    sources = [view.source for view in scene.views if view.source is not None]
    refuse_pictures_among_photos(formats, directory, sources)


def write_scene(
    scene: Reconstruction,
    formats: list[str],
    options: Export | Refine | Changed,
    recorder: StageRecorder,
    *,
    records: Mapping[str, object],
) -> None:
    """Write a scene, and beside it JSON files that tell what was done.

    Args:
        scene: What to write.
        formats: In which formats.
        options: Where to, and how many points.
        recorder: Measures the time.
        records: What was done, by the names of the files.

    Raises:
        ValueError: A format cannot hold the scene, though the others are written; pictures would
            join its photos, or the folder cannot be written to.
    """
    refuse_among_own_photos(scene, formats, options.output)
    with explained(options.output):
        _, problems = write_each(
            scene,
            options.output,
            formats,
            recorder,
            min_conf_percentile=options.min_conf_percentile,
        )
        write_records(records, options.output)
    refuse_problems(problems)


def write_records(records: Mapping[str, object], directory: Path) -> None:
    """Write JSON files, by their names."""
    for name, document in records.items():
        with staging(directory) as stage:
            text = json.dumps(document, indent=1)
            (stage / name).write_text(text + "\n", encoding="utf-8")
