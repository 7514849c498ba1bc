"""The demo: drop photos on a page, look at the scene, take it home.

    fast3r demo
    python fast3r/viz/demo.py

Nothing leaves this machine: no analytics, no fonts or scripts from elsewhere, and no public link
unless it is asked for.
"""

import os
import socket
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

_PORTS_TRIED = 100


def serve_demo(settings: "Settings", *, tell: "Callable[[str], None]" = print) -> None:
    """Serve the demo until the process is told to stop, and delete all files of visitors then.

    Args:
        settings: What whoever runs it decides.
        tell: Called with each address once it answers: the local one, then the public one.

    Raises:
        ValueError: There is no such device.
        OSError: The address is unknown, or all ports near the wanted one are taken.
        ImportError: Gradio or viser is not installed.
    """
    missing = [name for name in ("gradio", "viser") if find_spec(name) is None]
    if missing:
        raise ImportError(f"the demo needs {', '.join(missing)}: pip install 'fast3r[demo]'")
    from fast3r.viz.demo_app.desk import Desk

    port = free_port(settings.host, settings.port)
    desk = Desk(settings)
    try:
        blocks = _launch(desk, port)
        try:
            tell(_address(settings.host, port))
            if blocks.share_url:
                tell(blocks.share_url)
            while blocks.is_running:
                time.sleep(0.5)
        finally:
            blocks.close(verbose=False)
    finally:
        desk.close()


def free_port(host: str, wanted: int) -> int:
    """Return the first free port from the wanted one on; 0 is any.

    Raises:
        OSError: The address is unknown, or 100 ports in a row are taken.
    """
    last = min(wanted + _PORTS_TRIED, 65536) - 1
    for port in range(wanted, last + 1):
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        try:
            with socket.create_server(address[:2], family=family) as listener:
                return listener.getsockname()[1]
        except OSError:
            if port == last:
                raise
    raise AssertionError("the loop returns or raises")


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


def _address(host: str, port: int) -> str:
    """Return where a browser on this machine finds the demo."""
    shown = "localhost" if host in ("0.0.0.0", "::", "") else host
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"


if __name__ == "__main__":
    import runpy
    from pathlib import Path

    # This file's own folder must not be searched: its modules would hide others.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    sys.argv[1:1] = ["demo"]
    runpy.run_module("fast3r", run_name="__main__")
