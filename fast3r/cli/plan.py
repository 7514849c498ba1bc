"""`fast3r plan`: what a reconstruction would take, on stdout, before anything is computed."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from inspect import signature

from fast3r.cli.limits import check_budget
from fast3r.cli.options.plan import Plan as Options
from fast3r.cli.screen import Screen
from fast3r.models.checkpoints import read_weights
from fast3r.models.config import SMALL, Fast3RConfig
from fast3r.scene.machine import choose_device, hardware_name
from fast3r.scene.plan.choosing import choose
from fast3r.scene.plan.ladder import Wish
from fast3r.scene.plan.rates import measure_rates
from fast3r.scene.plan.seconds import plan_seconds
from fast3r.scene.plan.situation import situation_on
from fast3r.scene.plan.telling import as_document, table, tell
from fast3r.scene.plan.workload import Workload
from fast3r.scene.stages import StageRecorder
from fast3r.views.lazy import LazyView
from fast3r.views.load import load_views
from fast3r.views.view import Views

KNOWN_MODELS = {"small": SMALL, "large": Fast3RConfig()}
"""Models whose shape is known without their weights."""

LAZY_ABOVE: int = signature(load_views).parameters["lazy_above"].default
"""Larger sets are not kept in memory."""

_DECODED = 8
"""Photos that are decoded to learn how long it takes."""


def run(options: Options) -> int:
    """Print the plan.

    Raises:
        ValueError: An option is wrong, or there is nothing to read.
        OSError: Something cannot be read.
        MemoryError: Nothing fits; the message says what would.
    """
    if not options.photos:
        raise ValueError("no photos were named: give a folder, image files, or a video")
    check_budget(options.memory_gib, options.chunk_views)
    device = choose_device(options.device)
    config = KNOWN_MODELS.get(options.model) or read_weights(options.model).config
    with Screen(options.talk) as screen:
        views, load_s = _looked_at(options, config, StageRecorder(watcher=screen))
    situation = situation_on(
        device,
        config,
        Workload.of(views, patch=config.encoder.patch),
        memory_gib=options.memory_gib,
        lazy=len(views) > LAZY_ABOVE,
    )
    wish = Wish(options.size, options.precision, chunk_views=options.chunk_views)
    plan = choose(situation, wish)
    rates = measure_rates(config, device, plan.setting.precision)
    plan = replace(plan, seconds=plan_seconds(situation, plan, rates, load_s=load_s))
    if options.json:
        print(json.dumps(as_document(plan), indent=1))
        return 0
    print(f"{len(views)} photos or frames, {options.model} on {device} ({hardware_name(device)})")
    print(tell(plan, device))
    print(table(plan, situation, device))
    return 0


def _looked_at(
    options: Options, config: Fast3RConfig, recorder: StageRecorder
) -> tuple[Views, float]:
    """Return the views, undecoded where that tells enough, and the seconds to decode them all."""
    with recorder.stage("look at photos") as tell_progress:
        begun = time.perf_counter()
        views = load_views(
            options.photos,
            size=config.image_size if options.size is None else options.size,
            patch=config.encoder.patch,
            masks=options.masks,
            fps=options.fps,
            num_frames=options.num_frames,
            # Masks have to be decoded to know what they hide.
            lazy_above=0 if options.masks is None else LAZY_ABOVE,
            progress=tell_progress,
        )
        opened_s = time.perf_counter() - begun
    lazy = [view for view in views if isinstance(view, LazyView)]
    few = lazy[:: max(1, len(lazy) // _DECODED)]
    with ThreadPoolExecutor(len(few) or 1) as pool:
        begun = time.perf_counter()
        list(pool.map(lambda view: view.pixels, few))
        decoded_s = time.perf_counter() - begun
    return views, opened_s + decoded_s * len(lazy) / max(1, len(few))
