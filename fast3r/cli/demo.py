"""`fast3r demo`: a page in the browser."""

from fast3r.cli.options import Demo
from fast3r.viz.demo import serve_demo
from fast3r.viz.demo_app.settings import Settings


def run(options: Demo) -> int:
    """Print the address and serve until told to stop.

    Raises:
        ValueError: An option is wrong.
        OSError: The address is unknown or taken.
        ImportError: The extra is missing.
    """
    _check(options)
    settings = Settings(
        models=options.model or Settings.models,
        device=options.device,
        precision=options.precision,
        host=options.host,
        port=options.port,
        share=options.share,
        max_views=options.max_views,
        max_upload_mib=options.max_upload_mib,
        max_queue=options.max_queue,
        keep_minutes=options.keep_minutes,
    )
    serve_demo(settings, tell=lambda address: print(address, flush=True))
    return 0


def _check(options: Demo) -> None:
    """Refuse what can be refused before anything heavy is loaded."""
    positive = {
        "--max-views": options.max_views,
        "--max-upload-mib": options.max_upload_mib,
        "--max-queue": options.max_queue,
        "--keep-minutes": options.keep_minutes,
    }
    for name, value in positive.items():
        if not 0 < value < float("inf"):
            raise ValueError(f"{name} must be positive and finite, got {value}")
    if not 0 <= options.port <= 65535:
        raise ValueError(f"--port must be between 0 and 65535, got {options.port}")
