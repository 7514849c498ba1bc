"""What the demo remembers of each visitor: photos at network size, the job, the newest result."""

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fast3r.scene.report import RunReport
from fast3r.views.load import load_views
from fast3r.views.sources import VIDEO_SUFFIXES, natural_key
from fast3r.views.view import SkippedPhoto, View, Views
from fast3r.viz.demo_app.line import Job

MAX_FRAMES = 100
"""Frames that are read of a video; a reconstruction may use fewer."""

_LOADED_PX = 512
"""Long side at which photos are kept: what the largest model takes."""

_MAX_REMEMBERED = 3000
"""Views of all visitors together, about a gigabyte; beyond, whoever is idle is forgotten soon."""

_CROWDED_KEEP_S = 120.0

Progress = Callable[[float, str], None]
"""Called with the share that is done and what is being done."""


@dataclass(frozen=True)
class Batch:
    """Photos, or the frames of a video, that were added together."""

    views: list[View]
    """In order."""

    is_video: bool
    """Whether the views are frames, of which some may do."""


@dataclass(frozen=True)
class Result:
    """A scene that a visitor may look at and take home."""

    folder: Path
    """Holds `scene.npz` and what was made of it."""

    report: RunReport
    """How it was made."""


@dataclass
class Visit:
    """One open page."""

    batches: list[Batch] = field(default_factory=list)
    """What the visitor added."""

    skipped: list[SkippedPhoto] = field(default_factory=list)
    """Files that could not be used."""

    job: Job | None = None
    """What is computed for the visitor, or was last."""

    result: Result | None = None
    """The newest."""

    touched: float = 0.0
    """When the visitor did something, by `time.monotonic`."""

    @property
    def num_views(self) -> int:
        """How many photos and frames were read."""
        return sum(len(batch.views) for batch in self.batches)

    @property
    def is_busy(self) -> bool:
        """Whether a job of this visitor waits or is worked on."""
        return self.job is not None and not self.job.future.done() and not self.job.is_stopped

    def views(self, *, num_frames: int) -> Views:
        """Return all photos, and so many frames of each video, evenly chosen."""
        chosen = [
            view
            for batch in self.batches
            for view in (_evenly(batch.views, num_frames) if batch.is_video else batch.views)
        ]
        return Views(chosen, self.skipped)

    def add(
        self, files: Sequence[Path], *, max_views: int, progress: Progress = lambda *_: None
    ) -> None:
        """Read files, all in one folder; what cannot be used is noted in `skipped`.

        Raises:
            ValueError: They are more than the demo takes.
        """
        photos = sorted((p for p in files if not _is_video(p)), key=natural_key)
        videos = sorted((p for p in files if _is_video(p)), key=natural_key)
        room = max_views - self.num_views
        if len(photos) + 2 * len(videos) > room:
            raise ValueError(
                f"{len(files)} more files do not fit: this demo takes {max_views} photos and "
                f"frames, and has {self.num_views} of yours; clear them, or add fewer"
            )
        self.skipped = []
        if photos:
            self._read(photos, None, progress)
        for number, video in enumerate(videos, start=1):
            room = max_views - self.num_views - 2 * (len(videos) - number)
            self._read([video], min(MAX_FRAMES, room), progress)

    def clear(self) -> None:
        """Forget the photos; the result stays."""
        self.batches, self.skipped = [], []

    def _read(self, files: list[Path], num_frames: int | None, progress: Progress) -> None:
        label = f"Reading {files[0].name}" if num_frames else f"Reading {len(files)} photos"
        try:
            found = load_views(
                files,
                size=_LOADED_PX,
                num_frames=num_frames,
                # The files go when they have been read.
                lazy_above=len(files),
                progress=lambda done, steps: progress(done / steps, label),
            )
        except (ValueError, ImportError) as error:
            name = files[0].name if len(files) == 1 else f"{len(files)} files"
            reason = str(error).replace(f"{files[0].parent}{os.sep}", "")
            self.skipped.append(SkippedPhoto(name, reason.removeprefix(f"{name} ")))
            return
        taken = {view.name for batch in self.batches for view in batch.views}
        views = [_renamed(view, taken) for view in found]
        self.batches.append(Batch(views, is_video=num_frames is not None))
        self.skipped += found.skipped


class Visits:
    """All open pages."""

    def __init__(self, *, keep_s: float) -> None:
        """Forget visitors who do nothing for `keep_s` seconds."""
        self._keep_s = keep_s
        self._visits: OrderedDict[str, Visit] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, session: str | None) -> Visit:
        """Return what is known of a visitor, who has just done something; nothing if nameless."""
        if not session:
            return Visit()
        with self._lock:
            visit = self._visits.setdefault(session, Visit())
            self._visits.move_to_end(session)
            visit.touched = time.monotonic()
            return visit

    def forget(self) -> None:
        """Forget visitors who came long ago, and more of them where there are too many photos."""
        with self._lock:
            num_views = sum(visit.num_views for visit in self._visits.values())
            for session, visit in list(self._visits.items()):
                idle_s = time.monotonic() - visit.touched
                is_crowded = num_views > _MAX_REMEMBERED and idle_s > _CROWDED_KEEP_S
                if not visit.is_busy and (idle_s > self._keep_s or is_crowded):
                    num_views -= visit.num_views
                    del self._visits[session]


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _evenly(views: list[View], count: int) -> list[View]:
    """Return so many of the views, the first and the last among them; all where there are fewer."""
    if len(views) <= count:
        return views
    step = (len(views) - 1) / max(count - 1, 1)
    return [views[round(place * step)] for place in range(count)]


def _renamed(view: View, taken: set[str]) -> View:
    """Return a view without the path it had here, a number added to its name where it is taken."""
    name, number = view.name, 1
    stem, dot, suffix = name.rpartition(".")
    while name in taken:
        number += 1
        name = f"{stem}-{number}.{suffix}" if dot else f"{view.name}-{number}"
    taken.add(name)
    return replace(view, name=name, source=None)
