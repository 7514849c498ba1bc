"""`fast3r doctor`: what this machine has, on stdout."""

import torch

from fast3r import __version__
from fast3r.cli.options.doctor import Doctor
from fast3r.cli.plan import KNOWN_MODELS
from fast3r.models.checkpoints import BUNDLED
from fast3r.models.precision import has_fast_bfloat16
from fast3r.scene.machine import EXTRAS, Device, Machine, survey
from fast3r.scene.plan.choosing import most_views
from fast3r.scene.plan.ladder import Wish
from fast3r.scene.plan.situation import situation_on
from fast3r.scene.plan.workload import Workload

_MOST = 20_000
"""Views; nobody has run more in one pass, and there is a plan for them all the same."""


def run(options: Doctor) -> int:
    """Print what this machine has; with `quiet`, only what is missing."""
    machine = survey()
    if not options.talk.quiet:
        _print_machine(machine)
        for device in machine.devices:
            _print_device(device)
    _print_missing(machine)
    return 0


def _print_machine(machine: Machine) -> None:
    print(f"fast3r {__version__}")
    print(f"python {machine.python}, torch {machine.torch}, {machine.system}")
    print(f"{machine.cpu_threads} threads, {machine.disk_free_gib:.0f} GiB free on this disk")


def _print_device(device: Device) -> None:
    print(f"\n{device.name}: {device.hardware}")
    print(f"  precision {device.precision}, attention {', '.join(device.attention)}")
    if device.precision == "float32" and has_fast_bfloat16(torch.device(device.name)):
        print("  --precision bfloat16 is faster here")
    if device.memory_gib is None or device.free_gib is None:
        print("  memory unknown")
        return
    print(f"  {device.free_gib:.1f} of {device.memory_gib:.1f} GiB free; in one pass that holds")
    for name, config in KNOWN_MODELS.items():
        size = config.image_size
        workload = Workload.uniform(_MOST, (size, size), config.encoder.patch)
        situation = situation_on(torch.device(device.name), config, workload, lazy=True)
        wish = Wish(size=size, precision=device.precision, may_chunk=False)
        views = most_views(situation, wish)
        more = "more than" if views == _MOST else "about"
        print(f"    {name}: {more} {int(float(f'{views:.2g}'))} photos of {size}x{size} px")
    print("  'fast3r plan PHOTOS' tells more, also of what does not fit in one pass")


def _print_missing(machine: Machine) -> None:
    print()
    for name, path in BUNDLED.items():
        if not path.is_file():
            print(f"missing: the bundled model {name}; install the package again")
    for extra, modules in machine.missing.items():
        if modules:
            print(f"missing: {', '.join(modules)}: pip install 'fast3r[{extra}]'")
    complete = [extra for extra in EXTRAS if not machine.missing[extra]]
    print(f"installed extras: {', '.join(complete) or 'none'}")
