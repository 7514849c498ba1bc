"""What the user knows, from the options of `fast3r reconstruct`; and how well the scene agrees."""

from fast3r.cli.lenses import requested_lens
from fast3r.cli.options.reconstruct import Reconstruct
from fast3r.cli.screen import Screen
from fast3r.scene.priors.camera_files import read_known_cameras
from fast3r.scene.priors.reading import read_priors
from fast3r.scene.priors.types import DepthMaps, Gps, Gravity, Priors
from fast3r.scene.reconstruction import Reconstruction


def requested_priors(options: Reconstruct) -> Priors | None:
    """Return all that is known together; None where nothing is.

    Raises:
        ValueError: A file is not as it should be, or two options tell of the same.
        OSError: A file cannot be read.
        ImportError: A file is YAML, and PyYAML is not installed.
    """
    parts: list[Priors] = []
    if options.priors is not None:
        parts.append(read_priors(options.priors))
    if options.cameras is not None:
        parts.append(read_known_cameras(options.cameras))
    lens = requested_lens(options)
    if lens is not None:
        parts.append(Priors(intrinsics={"*": lens}))
    if options.intrinsics is not None:
        parts.append(Priors(intrinsics=options.intrinsics))
    if options.gps is not None:
        parts.append(Priors(gps=Gps(options.gps)))
    if options.gravity is not None:
        parts.append(Priors(gravity=Gravity(options.gravity)))
    if options.depth_maps is not None:
        parts.append(Priors(depth=DepthMaps(options.depth_maps)))
    if not parts:
        return None
    together = Priors()
    for part in parts:
        together = together.joined(part)
    return together


def tell_priors(scene: Reconstruction, screen: Screen, *, record: str = "report.json") -> None:
    """Say what axes and scale are by, and what disagrees or was not used.

    Args:
        scene: With what was known.
        screen: Where to say it.
        record: The file that tells all.
    """
    checks = scene.prior_checks
    agreeing = sum(check.status == "agrees" for check in checks)
    screen.say(
        f"axes: {scene.world.axes}; scale: {scene.scale.kind} ({scene.scale.source}); "
        f"{agreeing} of {len(checks)} priors agree"
    )
    others = [str(check) for check in checks if check.status != "agrees"]
    screen.say_some(others, more=f"more, see {record}")
