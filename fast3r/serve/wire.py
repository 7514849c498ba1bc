"""What server and worker say to each other: one JSON object a line, through the worker's pipes."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from fast3r.serve.messages import Findings, JobOptions, Message, Upload

MAX_LINE_BYTES = 4 << 20
"""No message comes near it."""


class Order(Message):
    """To the worker: work on this."""

    input_folder: Path
    """Where the uploads are."""

    result_folder: Path
    """Where results go; what is there already is from an earlier try."""

    uploads: list[Upload]
    """The files, in order."""

    options: JobOptions
    """How."""

    max_views: int
    """More photos and frames are refused."""

    max_pixels: int
    """Larger photos are left out."""


class Ready(Message):
    """To the server: the model is loaded."""

    kind: Literal["ready"] = "ready"
    """Tells messages apart."""

    device: str
    """Where it computes, with the name of the hardware."""


class Unfit(Message):
    """To the server: the model cannot be loaded, and trying again would not help."""

    kind: Literal["unfit"] = "unfit"
    """Tells messages apart."""

    message: str
    """Why."""


class Progress(Message):
    """To the server: this is how far the job is."""

    kind: Literal["progress"] = "progress"
    """Tells messages apart."""

    stage: str
    """What is being done."""

    share: float
    """How much of the job is done, in [0, 1]."""


class Done(Findings):
    """To the server: the job is over."""

    kind: Literal["done"] = "done"
    """Tells messages apart."""


FromWorker = Ready | Unfit | Progress | Done

FROM_WORKER: TypeAdapter[FromWorker] = TypeAdapter(
    Annotated[FromWorker, Field(discriminator="kind")]
)
"""Reads a line of a worker."""
