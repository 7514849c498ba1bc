"""What happens when a visitor does something: files are added, jobs run, results are handed out."""

import asyncio
import shutil
import threading
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.stages import StageRecorder
from fast3r.views.view import SkippedPhoto
from fast3r.viz.demo_app import fragments
from fast3r.viz.demo_app.drawing import draw, write_download
from fast3r.viz.demo_app.examples import find_examples
from fast3r.viz.demo_app.line import Job, Line
from fast3r.viz.demo_app.settings import Settings
from fast3r.viz.demo_app.storage import Storage, touch
from fast3r.viz.demo_app.visits import Progress, Result, Visit, Visits
from fast3r.viz.demo_app.work import Outcome, Studio, Wish
from fast3r.viz.stills import depth_strip

_LOOK_S = 0.25
"""How often a visitor is told how far the job is."""

_SWEEP_S = 20.0


@dataclass(frozen=True)
class Shown:
    """What a visitor sees of a result."""

    summary: str
    """What came out, in a line."""

    view: str
    """The scene in 3D."""

    cameras: str
    """A table."""

    depth: str
    """Photos, depth and confidence."""


class Desk:
    """Serves all visitors of a demo."""

    def __init__(self, settings: Settings) -> None:
        """Open the desk.

        Raises:
            ValueError: There is no such device.
        """
        self.settings = settings
        self.studio = Studio(settings)
        self.storage = Storage(keep_s=60 * settings.keep_minutes)
        self.visits = Visits(keep_s=60 * settings.keep_minutes)
        self.line = Line(max_waiting=settings.max_queue)
        self._closed = threading.Event()
        threading.Thread(target=self._sweep_often, name="demo-sweep", daemon=True).start()

    def add(self, session: str | None, files: Sequence[str], progress: Progress) -> Visit:
        """Read what a visitor uploaded, and delete it.

        Raises:
            ValueError: The files are not here, or too many.
        """
        visit = self.visits.of(session)
        folder = self.storage.new_folder(for_results=False)
        try:
            paths = self.storage.uploads.take(files, folder)
            visit.add(paths, max_views=self.settings.max_views, progress=progress)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return visit

    def take_example(self, session: str | None, name: str) -> Visit:
        """Put an example, as much of it as is allowed, in the place of a visitor's photos."""
        visit, max_views = self.visits.of(session), self.settings.max_views
        visit.clear()
        visit.add(find_examples()[name][:max_views], max_views=max_views)
        return visit

    def submit(self, visit: Visit, wish: Wish) -> Job:
        """Return a visitor's new job.

        Raises:
            ValueError: There is nothing to do, the last job is not over, or the line is too long.
        """
        if visit.is_busy:
            raise ValueError("your last reconstruction is still at work; stop it first")
        views = visit.views(num_frames=wish.num_frames)
        if not views:
            raise ValueError("add some photos or a video first, or take an example")

        def work(job: Job) -> tuple[Result | None, Shown]:
            start = time.perf_counter()
            outcome = self.studio.reconstruct(views, wish, job)
            with StageRecorder(watcher=job).stage("draw"):
                lost = [photo for photo in outcome.scene.skipped if photo not in views.skipped]
                return self._finished(outcome, lost, wish.percentile, start)

        visit.job = self.line.join(work)
        return visit.job

    async def follow(self, job: Job) -> AsyncIterator[str]:
        """Yield how far a job is whenever that has changed, until it is over."""
        told = ""
        while not job.future.done() and not job.is_stopped:
            before = self.line.num_before(job)
            news = fragments.waiting(before) if before else fragments.progress(job)
            if news != told:
                yield news
            told = news
            await asyncio.sleep(_LOOK_S)

    def collect(self, visit: Visit, job: Job) -> Shown:
        """Return the result of a job that is over.

        Raises:
            ValueError: There is none; the message says why.
        """
        if job.is_stopped:
            raise ValueError("Stopped.")
        try:
            result, shown = job.future.result()
        except (ValueError, MemoryError, OSError, ImportError) as error:
            raise ValueError(str(error) or "not enough memory for so many photos") from error
        if visit.result is not None:
            shutil.rmtree(visit.result.folder, ignore_errors=True)
        visit.result = result
        return shown

    def redraw(self, visit: Visit, percentile: float) -> str:
        """Return the view of a visitor's scene with another share of its points.

        Raises:
            ValueError: There is no scene, or no longer.
        """
        result = _result(visit)
        page, _ = draw(_scene(result), result.folder, min_conf_percentile=percentile)
        return fragments.stage_view(page)

    def download(self, visit: Visit, name: str, percentile: float) -> Path:
        """Return a file with a visitor's scene.

        Raises:
            ValueError: There is no scene, or no longer, or the format cannot hold it.
        """
        result = _result(visit)
        return write_download(_scene(result), result, name, min_conf_percentile=percentile)

    def close(self) -> None:
        """Stop everything and delete all files."""
        self._closed.set()
        self.line.close()
        self.storage.close()

    def _finished(
        self, outcome: Outcome, lost: list[SkippedPhoto], percentile: float, start: float
    ) -> tuple[Result | None, Shown]:
        """Return what a visitor gets, given the photos that did not suit the model."""
        scene = outcome.scene
        table, lost_html = fragments.camera_table(scene), fragments.left_out(lost)
        if not scene.registered:
            why = fragments.notice("No photo found its place; the table says why.") + lost_html
            return None, Shown(why, fragments.EMPTY_VIEW, table, "")
        folder = self.storage.new_folder(for_results=True)
        scene.save(folder / "scene.npz")
        page, num_points = draw(scene, folder, min_conf_percentile=percentile)
        seconds = time.perf_counter() - start
        return Result(folder, outcome.report), Shown(
            summary=fragments.summary(scene, num_points, seconds) + lost_html,
            view=fragments.stage_view(page),
            cameras=table,
            depth=fragments.picture(
                depth_strip(scene), "Photo, depth (bright is near), confidence (bright is sure)"
            ),
        )

    def _sweep_often(self) -> None:
        while not self._closed.wait(_SWEEP_S):
            self.storage.sweep()
            self.visits.forget()


def _result(visit: Visit) -> Result:
    if visit.result is None:
        raise ValueError("there is no scene yet; press Reconstruct")
    return visit.result


def _scene(result: Result) -> Reconstruction:
    """Return the scene of a result, which is kept for longer now."""
    try:
        touch(result.folder)
        return Reconstruction.load(result.folder / "scene.npz")
    except FileNotFoundError:
        raise ValueError("this scene has been deleted by now; press Reconstruct again") from None
