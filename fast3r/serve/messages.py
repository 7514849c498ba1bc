"""What travels between client, server and worker, and what is kept on disk.

The docstring under each field is its description on the OpenAPI page.
"""

from datetime import datetime
from importlib.util import find_spec
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from fast3r.scene.focals import ShareFocal
from fast3r.viz.results import FORMATS

State = Literal["queued", "running", "done", "failed", "cancelled"]

ErrorKind = Literal["bad_input", "no_cameras", "too_large", "timed_out", "crashed", "server"]

ENDED: tuple[State, ...] = ("done", "failed", "cancelled")
"""States that no job leaves."""

WRITABLE = [name for name, kind in FORMATS.items() if kind.installed]
"""Formats that need no extra, or one that is installed here."""


CAN_REFINE = find_spec("pycolmap") is not None
"""Whether the extra is installed here."""


class Message(BaseModel):
    """Immutable, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class JobOptions(Message):
    """How the photos become a scene."""

    formats: list[str] = Field(
        default=["cameras", "ply"],
        json_schema_extra={
            "items": {"type": "string", "enum": [*WRITABLE, "all"]},
            # Two encodings of one folder, of which a scene can have one.
            "not": {
                "allOf": [
                    {"contains": {"const": "colmap-text"}},
                    {"contains": {"enum": ["colmap", "all"]}},
                ]
            },
        },
    )
    """Results to write: `cameras` always, and these. `npz` holds the whole scene, from which
    `fast3r export` makes all others later. Repeat the field, or separate names by commas."""

    fps: float | None = Field(default=None, gt=0, le=1000)
    """Frames to take from each second of a video."""

    num_frames: int | None = Field(default=None, ge=2, le=100_000)
    """Frames to take from each video, instead of `fps`. With neither, two per second are taken,
    at most 100."""

    size: int | None = Field(default=None, ge=32, le=2048)
    """Long side in pixels at which the network sees the photos, a multiple of its patch (16); by
    default what the model was made for."""

    seed: int = Field(default=0, ge=0, le=2**53 - 1)
    """The same seed gives the same result."""

    share_focal: ShareFocal = "camera"
    """Photos that have one focal length: those of one camera and size, all, or none for sure."""

    refine: bool = Field(default=False, json_schema_extra={} if CAN_REFINE else {"const": False})
    """Make the cameras exact by matches between the photos and bundle adjustment; takes longer."""

    min_conf_percentile: float = Field(default=30.0, ge=0, le=100)
    """Percentage of each photo's points, the least sure ones, that point clouds leave out."""


class Upload(Message):
    """One uploaded file."""

    name: str
    """What the client called it, made harmless; the name of the view."""

    file: str
    """What it is called on our disk."""


class JobError(Message):
    """Why a job failed."""

    kind: ErrorKind
    """`bad_input`: nothing usable was sent, or options do not fit it. `no_cameras`: no photo found
    its place. `too_large`: more photos than the device has room for. `timed_out`: it took longer
    than this service allows. `crashed`: the worker died several times. `server`: the disk of the
    service failed."""

    message: str
    """What went wrong, and the way out where there is one."""

    retryable: bool
    """Whether submitting the same again may work."""


class LeftOut(Message):
    """A photo without a camera."""

    name: str
    """The photo."""

    reason: str
    """Why."""


class Outcome(Message):
    """What became of the photos."""

    used: int
    """Photos and frames that the network saw."""

    registered: int
    """Those that found their place."""

    left_out: list[LeftOut]
    """Files that could not be read, and photos that found no place."""


class StageSeconds(Message):
    """What a stage took."""

    name: str
    """What was done."""

    seconds: float
    """Wall-clock time."""


class Findings(Message):
    """What came of a job."""

    error: JobError | None = None
    """Why it failed."""

    outcome: Outcome | None = None
    """What became of the photos, once that is known."""

    stages: list[StageSeconds] = Field(default=[])
    """What each stage took."""

    problems: list[str] = Field(default=[])
    """Formats that could not hold this scene, with the reason of each."""

    results: dict[str, str] = Field(default={})
    """File of each format, in the folder of results."""


class Job(Findings):
    """A job as it is kept on disk."""

    id: str
    """128 random bits in hexadecimal: who knows it may see the job."""

    options: JobOptions
    """As submitted."""

    uploads: list[Upload]
    """In the order in which they were sent."""

    created: AwareDatetime
    """When it was accepted."""

    state: State = "queued"
    """Where it stands."""

    tries: int = 0
    """How often it was begun."""

    started: AwareDatetime | None = None
    """When it was begun last."""

    ended: AwareDatetime | None = None
    """When it left the service's hands."""


class Result(Message):
    """A result that can be fetched."""

    format: str
    """Its format, or `report`."""

    href: str
    """Where to fetch it, as a path on this server."""

    media_type: str
    """What it is served as. Results that are folders come as one zip file."""

    bytes: int
    """Its size."""


class JobStatus(Message):
    """Where a job stands."""

    id: str = Field(pattern="^[0-9a-f]{32}$")
    """Its name in all addresses. It cannot be guessed; who knows it may see the job."""

    state: State
    """`queued`, `running`, and then one of `done`, `failed`, `cancelled` for good. A job that was
    cut short by a crash or a restart of the service is `queued` again."""

    queue_position: int | None
    """Jobs before it in the queue; null where it does not wait."""

    stage: str | None
    """What is being done; null where nothing is."""

    share: float = Field(ge=0, le=1)
    """How much of the job is done; the stages count alike, though they take unlike times."""

    files: int
    """How many were uploaded."""

    options: JobOptions
    """As submitted, with defaults filled in."""

    created: datetime
    """When it was accepted."""

    started: datetime | None
    """When work on it began."""

    ended: datetime | None
    """When it was done, failed or was cancelled."""

    expires: datetime | None
    """When everything about it is deleted; null until it has ended."""

    error: JobError | None
    """Why it failed; null where it did not."""

    outcome: Outcome | None
    """What became of the photos; null until that is known."""

    stages: list[StageSeconds]
    """What each stage took."""

    problems: list[str]
    """Formats that could not hold this scene, with the reason of each; the others are there."""

    results: list[Result]
    """What can be fetched."""


class WorkerHealth(Message):
    """One worker."""

    device: str
    """Where it computes."""

    ready: bool
    """Whether its model is loaded."""

    busy: bool
    """Whether it works on a job."""


class Health(Message):
    """How the service is."""

    ready: bool
    """Whether a worker has its model loaded, so that jobs are worked on."""

    model: str
    """What the workers load."""

    queued: int
    """Jobs that wait."""

    workers: list[WorkerHealth]
    """One for each device."""


class Problem(BaseModel):
    """Why a request was refused (RFC 9457)."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    title: str
    """What kind of refusal this is, in a few words."""

    status: int
    """The status code."""

    detail: str
    """What is wrong with this request, and the way out."""
