"""Scenes that grow: how well photos find their place in a scene that stands, and what that costs.

    python -m benchmarks.living --sets FOLDER ...     # each with images/ and cameras.json

Of 11 evenly chosen photos of each set the fourth and the eighth are held out. `exact` finds them in
the refined scene of the others by shared features; errors are against the set's own cameras.
`network` finds them by a pass in the scene that the network made; errors are against one pass over
all photos, since the bundled network is weak. `merge` joins passes over the first seven and over
the last six photos, which share two. `cost` is that of a scene of 100 views, the first set's
repeated. Writes benchmarks/results/living.json.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.report import processor
from fast3r.camera_files.cameras_json import read_cameras
from fast3r.geometry.cameras import Camera
from fast3r.geometry.transforms import Similarity, fit_similarity, rotation_angle_deg
from fast3r.models.checkpoints import load_model
from fast3r.models.fast3r import Fast3R
from fast3r.scene.joining import join
from fast3r.scene.living.adding import add
from fast3r.scene.living.localizing import localize
from fast3r.scene.living.merging import merge
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.run import reconstruct
from fast3r.views.load import load_views
from fast3r.views.view import View

RESULTS = Path(__file__).parent / "results" / "living.json"
PHOTOS, HELD_OUT = 11, (3, 7)
LARGE = 100
"""Views of the scene whose growth is timed."""
REPEATS = 3

Pose = Float[Tensor, "4 4"]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=Path, nargs="+", required=True)
    sets = parser.parse_args().sets
    model = load_model("small").eval()
    document: dict[str, object] = {"processor": processor(), "threads": torch.get_num_threads()}
    document["cost"] = _cost(_photos(sets[0], model)[0], model)
    print("cost", json.dumps(document["cost"]), flush=True)
    for folder in sets:
        views, true = _photos(folder, model)
        document[folder.name] = entry = {
            "exact": _exact(views, true, model),
            "network": _by_network(views, model),
            "merge": _merged(views, model),
        }
        print(folder.name, json.dumps(entry), flush=True)
        RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _photos(folder: Path, model: Fast3R) -> tuple[list[View], dict[str, Pose]]:
    """Return the chosen photos of a set, and where all of its photos were taken."""
    records = read_cameras(folder / "cameras.json")
    true = {Path(r.name).name: torch.tensor(r.world_from_camera).double() for r in records}
    files = [path for path in sorted((folder / "images").iterdir()) if path.name in true]
    chosen = np.linspace(0, len(files) - 1, min(PHOTOS, len(files))).astype(int)
    return list(load_views([files[i] for i in chosen], size=128, patch=model.patch)), true


def _split(views: Sequence[View]) -> tuple[list[View], list[View]]:
    new = [index for index in HELD_OUT if index < len(views)]
    rest = [view for index, view in enumerate(views) if index not in new]
    return rest, [views[index] for index in new]


def _exact(views: Sequence[View], true: Mapping[str, Pose], model: Fast3R) -> list[object]:
    """Return the errors of each held-out photo in a refined scene; None where not found."""
    rest, new = _split(views)
    scene = reconstruct(rest, model).refine()
    assert scene.refinement is not None
    good = [i for i, view in enumerate(scene.refinement.views) if view.part == 0]
    if len(good) < 3:
        return [None] * len(new)
    found = torch.stack([_pose(scene.cameras[i])[:3, 3] for i in good])
    wanted = torch.stack([true[scene.views[i].name][:3, 3] for i in good])
    world = fit_similarity(found, wanted)
    spread = (wanted - wanted.mean(dim=0)).norm(dim=1).median().item()
    places = localize(scene, new, model, exact=True)
    return [
        _error(world, place.camera, true[place.view.name], spread) if place.matches else None
        for place in places
    ]


def _by_network(views: Sequence[View], model: Fast3R) -> dict[str, object]:
    """Return how photos found by the network agree with a pass over all."""
    rest, new = _split(views)
    whole = reconstruct(views, model)
    return _agreement(add(reconstruct(rest, model), new, model).scene, whole, [v.name for v in new])


def _merged(views: Sequence[View], model: Fast3R) -> dict[str, object] | str:
    """Return how two merged scenes agree with a pass over all, or why they were not merged."""
    first, second = reconstruct(views[:7], model), reconstruct(views[5:], model)
    try:
        both = merge(first, second, model)
    except ValueError as error:
        return str(error)
    agreement = _agreement(both.scene, reconstruct(views, model), [v.name for v in views[7:]])
    return {"inliers": both.joints[0].inlier_ratio, "bridge": len(both.bridge), **agreement}


def _agreement(
    scene: Reconstruction, whole: Reconstruction, names: Sequence[str]
) -> dict[str, object]:
    """Return the errors of some views against another scene, relative to its depth."""
    places = {view.name: index for index, view in enumerate(whole.views)}
    here = {view.name: index for index, view in enumerate(scene.views)}
    joint = join(whole, scene, [(places[n], here[n]) for n in here if n not in names])
    depth = torch.cat([whole.depth[i][whole.valid(i)] for i in whole.registered]).median().item()
    errors = [
        _error(joint.a_from_b, scene.cameras[here[n]], _pose(whole.cameras[places[n]]), depth)
        for n in names
        if joint.a_from_b is not None
        and scene.cameras[here[n]] is not None
        and whole.cameras[places[n]] is not None
    ]
    return {"of": len(names), "rest_agrees": joint.inlier_ratio, "errors": errors}


def _pose(camera: Camera | None) -> Pose:
    assert camera is not None
    return camera.world_from_camera.double()


def _error(world: Similarity, camera: Camera | None, true: Pose, length: float) -> list[float]:
    """Return an angle in degrees, and a distance relative to a length."""
    pose = _pose(camera)
    turned_deg = rotation_angle_deg(world.rotation @ pose[:3, :3], true[:3, :3]).item()
    return [turned_deg, (world(pose[None, :3, 3])[0] - true[:3, 3]).norm().item() / length]


def _cost(views: Sequence[View], model: Fast3R) -> dict[str, float]:
    """Return median seconds for a scene of many views anew, and for one and for ten views more."""
    many = [
        replace(views[i % len(views)], name=f"{i}.jpg", pixels=_marked(views[i % len(views)], i))
        for i in range(LARGE + 10)
    ]
    scene = reconstruct(many[:LARGE], model)
    work: dict[str, Callable[[], object]] = {
        "anew": lambda: reconstruct(many[: LARGE + 1], model),
        "localize one": lambda: localize(scene, many[LARGE : LARGE + 1], model),
        "add one": lambda: add(scene, many[LARGE : LARGE + 1], model),
        "add ten": lambda: add(scene, many[LARGE:], model),
    }
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(REPEATS):
        for name, run in work.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in seconds.items()}


def _marked(view: View, number: int) -> Tensor:
    """Return the pixels of a view with a dot, so that copies are not taken for one photo."""
    pixels = view.pixels.clone()
    pixels[0, 0] = torch.tensor([number, 255 - number, 0], dtype=torch.uint8)
    return pixels


if __name__ == "__main__":
    main()
