"""The page: what is where, and what each button does."""

from collections.abc import AsyncIterator, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr

from fast3r.viz.demo_app import fragments
from fast3r.viz.demo_app.asked import (
    MAX_PERCENTILE,
    SIZES,
    asked_choice,
    asked_files,
    asked_percentile,
    asked_wish,
)
from fast3r.viz.demo_app.desk import Desk
from fast3r.viz.demo_app.drawing import EVERYTHING, available_formats
from fast3r.viz.demo_app.examples import find_examples
from fast3r.viz.demo_app.line import Job
from fast3r.viz.demo_app.visits import MAX_FRAMES, Visit

STYLE = Path(__file__).with_name("page.css")
"""How it looks."""

_HEADING = """
<h1>fast3r</h1>
<p>Photos or a video in, cameras and a 3D scene out. Walk around a thing or through a room, and
take pictures that overlap.</p>
"""

_MODEL_TITLES = {
    "small": "small: comes with fast3r, quick",
    "large": "large: published, needs 2.6 GB, fetched on first use",
}

_SAVE_FILE = "() => document.querySelector('#file a, a#file, button#file')?.click()"

# Gradio passes one that is connected with the visitor's page.
_PROGRESS = gr.Progress()

# On a phone the scene is far below the button.
_SHOW_SCENE = """() => innerWidth < 700 &&
    document.querySelector('iframe.stage')?.scrollIntoView({behavior: 'smooth'})"""

# What is sent is checked in `asked`: Gradio would answer some of it with errors of its own, and
# leave an empty file for each upload.
_UNREAD: dict[str, Any] = {"preprocess": False}

_Updates = dict[Any, Any]


class Page:
    """The components and what they do; `blocks` is the application."""

    def __init__(self, desk: Desk) -> None:
        """Lay out the page, and connect it with a desk."""
        self._desk = desk
        with gr.Blocks(title="fast3r", analytics_enabled=False) as self.blocks:
            gr.HTML(_HEADING, elem_id="heading")
            with gr.Row(equal_height=False):
                with gr.Column(scale=2, min_width=320):
                    self._lay_out_inputs()
                with gr.Column(scale=5, min_width=320):
                    self._lay_out_results()
            self._connect_inputs()
            self._connect_results()

    def _lay_out_inputs(self) -> None:
        self.drop = gr.File(label="Photos or videos", file_count="multiple", height=150)
        examples = list(find_examples())
        with gr.Row(elem_id="examples", visible=bool(examples)):
            gr.HTML("<p>or try</p>")
            self.examples = {
                name: gr.Button(name.replace("_", " "), size="sm", min_width=60)
                for name in examples
            }
        self.tray = gr.HTML(elem_id="tray")
        with gr.Row():
            self.go = gr.Button("Reconstruct", variant="primary", elem_id="go")
            self.stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop")
            self.clear = gr.Button("Clear", min_width=80, scale=0, elem_id="clear")
        self.status = gr.HTML(elem_id="status")
        with gr.Accordion("Options", open=False):
            models = self._desk.settings.models
            titles = [(_MODEL_TITLES.get(model, model), model) for model in models]
            self.model = gr.Radio(titles, value=models[0], label="Model")
            sizes = [(f"{size} px" if size else "as trained", size) for size in SIZES]
            self.size = gr.Radio(sizes, value=0, label="Resolution")
            self.frames = gr.Slider(2, MAX_FRAMES, 30, step=1, label="Frames of each video")
            self.refine = gr.Checkbox(
                label="Refine",
                info="Make the cameras exact by matches between the photos; takes longer",
                visible=find_spec("pycolmap") is not None,
            )
        settings = self._desk.settings
        gr.HTML(fragments.privacy(settings.keep_minutes, settings.share), elem_id="privacy")

    def _lay_out_results(self) -> None:
        self.view = gr.HTML(fragments.EMPTY_VIEW, elem_id="view")
        with gr.Column(visible=False) as self.extras:
            self.percentile = gr.Slider(
                *(0, MAX_PERCENTILE, 30),
                step=5,
                label="Hide the least sure points of each photo (percent)",
            )
            with gr.Tabs():
                with gr.Tab("Download"), gr.Row(equal_height=True):
                    self.format = gr.Dropdown(
                        available_formats(), value=EVERYTHING, show_label=False, container=False
                    )
                    self.download = gr.Button("Download", scale=0, elem_id="download")
                    self.file = gr.DownloadButton("Save", elem_id="file")
                with gr.Tab("Cameras"):
                    self.cameras = gr.HTML()
                with gr.Tab("Depth"):
                    self.depth = gr.HTML()

    def _connect_inputs(self) -> None:
        added = [self.drop, self.tray, self.status]
        self.drop.upload(
            *(self._add, self.drop, added), concurrency_limit=2, api_name="add", **_UNREAD
        )
        for name, button in self.examples.items():
            taken = button.click(self._taker(name), None, added, api_name=f"example_{name}")
            self._connect_run(taken.success, api_visibility="private")
        self._connect_run(self.go.click, api_name="reconstruct")
        self.stop.click(self._stop, queue=False, api_name="stop")
        self.clear.click(self._clear, None, added, queue=False, api_name="clear")

    def _connect_run(self, event: Callable[..., Any], **options: Any) -> None:
        wishes = [self.model, self.size, self.frames, self.percentile, self.refine]
        shown = [self.go, self.stop, self.status, self.view, self.extras]
        shown += [self.cameras, self.depth]
        # The line has its own limit, and tells visitors their place.
        options |= {"concurrency_limit": None, "show_progress": "hidden", **_UNREAD}
        run = event(self._reconstruct, wishes, shown, **options)
        run.then(_idle, None, [self.go, self.stop], queue=False, api_visibility="private")
        run.then(None, js=_SHOW_SCENE)

    def _connect_results(self) -> None:
        self.percentile.input(
            *(self._redraw, self.percentile, [self.view, self.status]),
            # While it is dragged, only the place where it comes to rest matters.
            trigger_mode="always_last",
            concurrency_id="files",
            api_name="redraw",
            **_UNREAD,
        )
        saved = self.download.click(
            *(self._download, [self.format, self.percentile], self.file),
            concurrency_id="files",
            api_name="download",
            **_UNREAD,
        )
        saved.success(None, js=_SAVE_FILE)

    def _add(self, files: Any, request: gr.Request, progress: Any = _PROGRESS) -> _Updates:
        return self._added(
            lambda: self._desk.add(request.session_hash, asked_files(files), progress)
        )

    def _taker(self, name: str) -> Callable[..., _Updates]:
        def take(request: gr.Request) -> _Updates:
            return self._added(lambda: self._desk.take_example(request.session_hash, name))

        return take

    def _added(self, add: Callable[[], Visit]) -> _Updates:
        """Return what a visitor sees once photos were added, or why they were not."""
        try:
            return {self.drop: None, self.tray: fragments.tray(add()), self.status: ""}
        except (ValueError, OSError) as error:
            return {self.drop: None, self.status: fragments.notice(str(error))}

    async def _reconstruct(
        self,
        model: Any,
        size: Any,
        num_frames: Any,
        percentile: Any,
        refine: Any,
        request: gr.Request,
    ) -> AsyncIterator[_Updates]:
        visit, models = self._desk.visits.of(request.session_hash), self._desk.settings.models
        try:
            wish = asked_wish(models, model, size, num_frames, percentile, refine)
            job = self._desk.submit(visit, wish)
        except ValueError as error:
            yield {self.status: fragments.notice(str(error))}
            return
        try:
            yield {self.go: gr.Button(visible=False), self.stop: gr.Button(visible=True)}
            async for news in self._desk.follow(job):
                yield {self.status: news}
        finally:  # Also where the visitor has left.
            job.stop()
        yield self._shown(visit, job)

    def _shown(self, visit: Visit, job: Job) -> _Updates:
        """Return what a visitor sees of a job that is over, or why there is nothing."""
        try:
            shown = self._desk.collect(visit, job)
        except ValueError as error:
            return {self.status: fragments.notice(str(error))}
        return {
            self.status: shown.summary,
            self.view: shown.view,
            self.extras: gr.Column(visible=True),
            self.cameras: shown.cameras,
            self.depth: shown.depth,
        }

    def _stop(self, request: gr.Request) -> None:
        job = self._desk.visits.of(request.session_hash).job
        if job is not None:
            job.stop()

    def _clear(self, request: gr.Request) -> _Updates:
        self._desk.visits.of(request.session_hash).clear()
        return {self.drop: None, self.tray: "", self.status: ""}

    def _redraw(self, percentile: Any, request: gr.Request) -> _Updates:
        visit = self._desk.visits.of(request.session_hash)
        try:
            view = self._desk.redraw(visit, asked_percentile(percentile))
        except (ValueError, OSError) as error:
            return {self.status: fragments.notice(str(error))}
        return {self.view: view}

    def _download(self, name: Any, percentile: Any, request: gr.Request) -> _Updates:
        visit = self._desk.visits.of(request.session_hash)
        try:
            name = asked_choice("format", name, [name for _, name in available_formats()])
            file = self._desk.download(visit, name, asked_percentile(percentile))
        except (ValueError, OSError) as error:
            raise gr.Error(str(error), print_exception=False) from error
        return {self.file: gr.DownloadButton(value=str(file))}


def _idle() -> tuple[gr.Button, gr.Button]:
    """Return the two buttons as they are while nothing is computed."""
    return gr.Button(visible=True), gr.Button(visible=False)
