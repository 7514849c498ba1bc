"""A page on which masks are painted over photos, in the browser."""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from PIL import Image

from fast3r.views.masking.files import mask_file, read_written_mask, write_mask
from fast3r.views.view import Views
from fast3r.viz.addresses import free_port, page_address

_PAINT = (255, 90, 0, 150)
"""Colour and opacity of what is painted."""

_LEAST_OPACITY = 60
"""Brushes fade out at their rim."""

_HEADING = """### Paint over what does not belong to the scene
People and cars that moved, reflections, the sky, whatever turned or stayed where the rest did not.
Every turn of a page saves; so does *Save*. Stop the program (Ctrl-C) when you are done."""


def import_gradio() -> Any:
    """Return the library.

    Raises:
        ImportError: It is not installed.
    """
    # Read when Gradio is imported.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio
    except ImportError as error:
        raise ImportError("painting masks needs gradio: pip install 'fast3r[masks]'") from error
    return gradio


def serve_painting(
    views: Views, folder: Path, *, host: str, port: int, tell: Callable[[str], None]
) -> None:
    """Serve the page until the process is told to stop.

    Args:
        views: Photos, at the size at which they are shown.
        folder: Where the masks are, and go; photos without one get a white one at once.
        host: Where to listen.
        port: The first free one from here on is taken.
        tell: Called with the address.

    Raises:
        ValueError: A mask there is not of its photo's size, or nothing can listen there.
        ImportError: Gradio is not installed.
    """
    gradio = import_gradio()
    easel = Easel(views, folder)
    with tempfile.TemporaryDirectory(prefix="fast3r-mask-") as temporary:
        os.environ["GRADIO_TEMP_DIR"] = temporary
        blocks = painting_page(easel)
        chosen = free_port(host, port)
        with redirect_stdout(sys.stderr):
            blocks.launch(
                server_name=host,
                server_port=chosen,
                quiet=True,
                prevent_thread_lock=True,
                ssr_mode=False,
                enable_monitoring=False,
                theme=gradio.themes.Default(font=["system-ui", "sans-serif"]),
                footer_links=[],
            )
        try:
            tell(page_address(host, chosen))
            while blocks.is_running:
                time.sleep(0.5)
        finally:
            blocks.close(verbose=False)


class Easel:
    """Photos and their masks, one at a time."""

    def __init__(self, views: Views, folder: Path) -> None:
        """Give every photo a mask, white where it has none yet.

        Raises:
            ValueError: A mask is not of its photo's size.
        """
        self._views, self._folder = views, folder
        for index, view in enumerate(views):
            if self._path(index).exists():
                self.gone(index)
            else:
                write_mask(view, np.zeros((view.height, view.width), bool), self._path(index))

    def __len__(self) -> int:
        return len(self._views)

    def shown(self, index: int) -> dict[str, Any]:
        """Return a photo with what is painted on it, as Gradio's editor takes it."""
        gone = self.gone(index)
        paint = np.where(gone[..., None], np.array(_PAINT, np.uint8), np.uint8(0))
        photo = self._views[index].pixels.numpy()
        layers = [paint] if gone.any() else []
        return {"background": photo, "layers": layers, "composite": photo}

    def gone(self, index: int) -> Bool[np.ndarray, "height width"]:
        """Return what the mask of a photo leaves out."""
        return read_written_mask(self._views[index], self._path(index))

    def keep(self, index: int, painted: dict[str, Any] | None) -> None:
        """Save what was painted on a photo."""
        view = self._views[index]
        gone = np.zeros((view.height, view.width), bool)
        for layer in (painted or {}).get("layers") or []:
            opacity = Image.fromarray(layer[..., 3])
            if opacity.size != (view.width, view.height):
                opacity = opacity.resize((view.width, view.height), Image.Resampling.NEAREST)
            gone |= np.asarray(opacity) > _LEAST_OPACITY
        write_mask(view, gone, self._path(index))

    def copy(self, index: int, source: int) -> None:
        """Give a photo the mask of another one, turned to its own size."""
        view, gone = self._views[index], self.gone(source)
        size = (view.width, view.height)
        picture = Image.fromarray(gone).resize(size, Image.Resampling.NEAREST)
        write_mask(view, np.asarray(picture), self._path(index))

    def told(self, index: int) -> str:
        """Return where one is and how much is painted, in a line."""
        share = self.gone(index).mean()
        name = self._views[index].name
        return f"**{index + 1} of {len(self)}**: {name}, {share:.1%} left out"

    def _path(self, index: int) -> Path:
        return mask_file(self._folder, self._views[index].name)


def painting_page(easel: Easel) -> Any:
    """Return the page, a Gradio application."""
    gr = import_gradio()
    with gr.Blocks(title="fast3r mask", analytics_enabled=False) as blocks:
        gr.Markdown(_HEADING)
        told = gr.Markdown()
        place = gr.State(0)
        editor = gr.ImageEditor(
            type="numpy",
            format="png",
            sources=(),
            transforms=(),
            layers=False,
            buttons=[],
            brush=gr.Brush(
                default_size=40,
                colors=[f"rgba({_PAINT[0]}, {_PAINT[1]}, {_PAINT[2]}, {_PAINT[3] / 255:.2f})"],
                color_mode="fixed",
            ),
            eraser=gr.Eraser(default_size=40),
            show_label=False,
            height=640,
        )
        with gr.Row():
            before, save, after = (gr.Button(name) for name in ("Previous", "Save", "Next"))
            like = gr.Button("Paint as on the photo before")
        shown = [editor, place, told]
        quietly: dict[str, Any] = {"show_progress": "hidden"}

        def show(index: int) -> tuple[dict[str, Any], int, str]:
            return easel.shown(index), index, easel.told(index)

        def turn(step: int) -> Callable[..., tuple[dict[str, Any], int, str]]:
            def turned(painted: dict[str, Any] | None, index: int) -> Any:
                easel.keep(index, painted)
                return show((index + step) % len(easel))

            return turned

        def repeat(index: int) -> Any:
            easel.copy(index, max(index - 1, 0))
            return show(index)

        blocks.load(lambda: show(0), None, shown, api_name="open", **quietly)
        before.click(turn(-1), [editor, place], shown, api_name="previous", **quietly)
        save.click(turn(0), [editor, place], shown, api_name="save", **quietly)
        after.click(turn(1), [editor, place], shown, api_name="next", **quietly)
        like.click(repeat, place, shown, api_name="repeat", **quietly)
    return blocks
