"""`fast3r demo`: a page in the browser."""

from fast3r.cli.limits import check_limits, check_port
from fast3r.cli.options.demo import Demo
from fast3r.models.checkpoints import commercial_weights
from fast3r.viz.demo import serve_demo
from fast3r.viz.demo_app.settings import Settings


def run(options: Demo) -> int:
    """Print the address and serve until told to stop.

    Raises:
        ValueError: An option is wrong.
        OSError: The address is unknown or taken.
        ImportError: The extra is missing.
    """
    check_limits(
        {
            "--max-views": options.max_views,
            "--max-upload-mib": options.max_upload_mib,
            "--max-queue": options.max_queue,
            "--keep-minutes": options.keep_minutes,
        }
    )
    check_port(options.port)
    models = options.model or Settings.models
    if options.commercial_only:
        # Without --model, what may be used is offered.
        models = options.model or ("small",)
        for model in models:
            commercial_weights(model)
    settings = Settings(
        models=models,
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
