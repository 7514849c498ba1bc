"""`fast3r doctor`: what this machine has, on stdout."""

from fast3r import __version__
from fast3r.cli.options.doctor import Doctor
from fast3r.models.checkpoints import BUNDLED
from fast3r.models.config import SMALL, Fast3RConfig
from fast3r.scene.machine import EXTRAS, Device, Machine, estimate_memory, survey

_MODELS = {"small": SMALL, "large": Fast3RConfig()}


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
    if device.memory_gib is None or device.free_gib is None:
        print("  memory unknown")
        return
    print(f"  {device.free_gib:.1f} of {device.memory_gib:.1f} GiB free; by estimate this holds")
    for name, config in _MODELS.items():
        size = config.image_size
        need = estimate_memory(config, size=size, precision=device.precision)
        views = need.views_within(0.9 * device.free_gib)
        rounded = int(float(f"{views:.2g}"))
        print(f"    {name}: about {rounded} views of {size}x{size} px")


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
