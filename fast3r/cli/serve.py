"""`fast3r serve`: jobs over HTTP."""

import os
from importlib.util import find_spec

from fast3r.cli.limits import check_limits, check_port
from fast3r.cli.options.serve import Serve
from fast3r.models.checkpoints import commercial_weights
from fast3r.scene.machine import EXTRAS, choose_device
from fast3r.viz.addresses import is_local, page_address


def run(options: Serve) -> int:
    """Print the address and serve until told to stop.

    Raises:
        ValueError: An option is wrong, the folder is in use, or the model cannot be loaded.
        OSError: The address is taken, or something cannot be read or written.
        ImportError: The extra is missing.
    """
    check_limits(
        {
            "--max-queue": options.max_queue,
            "--max-views": options.max_views,
            "--max-upload-mib": options.max_upload_mib,
            "--max-megapixels": options.max_megapixels,
            "--job-timeout-s": options.job_timeout_s,
            "--keep-hours": options.keep_hours,
        }
    )
    check_port(options.port)
    missing = [name for name in EXTRAS["serve"] if find_spec(name) is None]
    if missing:
        raise ImportError(f"serving needs {', '.join(missing)}: pip install 'fast3r[serve]'")
    # The extra may be missing until here.
    from fast3r.serve import log
    from fast3r.serve.server import listen, serve
    from fast3r.serve.settings import KEY_VARIABLE, Limits, Settings

    if options.commercial_only:
        commercial_weights(options.model)
    limits = Limits(
        queue=options.max_queue,
        views=options.max_views,
        upload_bytes=round(options.max_upload_mib * 2**20),
        pixels=round(options.max_megapixels * 1e6),
        job_s=options.job_timeout_s,
        keep_s=options.keep_hours * 3600,
    )
    with listen(options.host, options.port) as listener:
        address, port = listener.getsockname()[:2]
        settings = Settings(
            folder=options.folder,
            model=options.model,
            devices=_devices(options),
            precision=options.precision,
            api_key=_api_key(options),
            local=is_local(address),
            limits=limits,
        )
        log.configure(quiet=options.talk.quiet)
        if settings.api_key is None and not settings.local:
            log.tell(f"other machines can use this service; set {KEY_VARIABLE}", level="warning")
        print(page_address(options.host, port), flush=True)
        serve(settings, listener)
    return 0


def _devices(options: Serve) -> tuple[str, ...]:
    """Return the devices by their full names, so that none is named twice."""
    devices = [str(choose_device(name)) for name in options.device or ("auto",)]
    if len(set(devices)) < len(devices):
        raise ValueError(f"--device names one twice: {', '.join(devices)}")
    return tuple(devices)


def _api_key(options: Serve) -> str | None:
    """Return the key that clients must know; None if there is none."""
    from fast3r.serve.settings import KEY_VARIABLE

    key, place = os.environ.get(KEY_VARIABLE), KEY_VARIABLE
    if options.api_key_file is not None:
        key, place = options.api_key_file.read_text(encoding="utf-8"), str(options.api_key_file)
    if key is None:
        return None
    key = key.strip()
    # An empty key is more likely a mistake than the wish to let everyone in.
    if not key.isascii() or not key.isprintable() or not key or " " in key:
        raise ValueError(f"the key in {place} must be printable ASCII without spaces")
    return key
