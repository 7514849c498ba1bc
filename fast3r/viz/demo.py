"""The demo: drop photos on a page, look at the scene, take it home.

    fast3r demo
    python fast3r/viz/demo.py

Nothing leaves this machine: no analytics, no fonts or scripts from elsewhere, and no public link
unless it is asked for.
"""

import os
import sys
import time
from contextlib import redirect_stdout
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import gradio

    from fast3r.viz.demo_app.desk import Desk
    from fast3r.viz.demo_app.settings import Settings


def serve_demo(settings: "Settings", *, tell: "Callable[[str], None]" = print) -> None:
    """Serve the demo until the process is told to stop, and delete all files of visitors then.

    Args:
        settings: What whoever runs it decides.
        tell: Called with each address once it answers: the local one, then the public one.

    Raises:
        ValueError: There is no such device, or nothing can listen there.
        ImportError: Gradio or viser is not installed.
    """
    missing = [name for name in ("gradio", "viser") if find_spec(name) is None]
    if missing:
        raise ImportError(f"the demo needs {', '.join(missing)}: pip install 'fast3r[demo]'")
    from fast3r.viz.addresses import free_port, page_address
    from fast3r.viz.demo_app.desk import Desk

    port = free_port(settings.host, settings.port)
    desk = Desk(settings)
    try:
        blocks = _launch(desk, port)
        try:
            tell(page_address(settings.host, port))
            if blocks.share_url:
                tell(blocks.share_url)
            while blocks.is_running:
                time.sleep(0.5)
        finally:
            blocks.close(verbose=False)
    finally:
        desk.close()


def _launch(desk: "Desk", port: int) -> "gradio.Blocks":
    """Return the running application."""
    # Read when Gradio is imported, or whenever it looks for a place for files.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(desk.storage.uploads.folder)
    import gradio
    from starlette.middleware import Middleware

    from fast3r.viz.demo_app.page import STYLE, Page
    from fast3r.viz.demo_app.reception import Reception

    settings = desk.settings
    max_bytes = round(settings.max_upload_mib * 2**20)
    reception = Middleware(Reception, uploads=desk.storage.uploads, max_bytes=max_bytes)
    gradio.set_static_paths([desk.storage.results])
    theme = gradio.themes.Default(
        primary_hue="orange", font=["system-ui", "sans-serif"], font_mono=["monospace"]
    )
    blocks = Page(desk).blocks.queue()
    # What Gradio says of public links is for people, stdout is for addresses.
    with redirect_stdout(sys.stderr):
        blocks.launch(
            server_name=settings.host,
            server_port=port,
            share=settings.share,
            quiet=True,
            prevent_thread_lock=True,
            ssr_mode=False,
            enable_monitoring=False,
            max_file_size=max_bytes,
            app_kwargs={"middleware": [reception]},
            theme=theme,
            css_paths=STYLE,
            footer_links=["api"],
        )
    return blocks


if __name__ == "__main__":
    import runpy
    from pathlib import Path

    # This file's own folder must not be searched: its modules would hide others.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    sys.argv[1:1] = ["demo"]
    runpy.run_module("fast3r", run_name="__main__")
