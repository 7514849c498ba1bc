"""Uploads: multipart/form-data, written to disk as it arrives.

No part of a file is held in memory longer than it takes to write it, and what goes beyond a limit
is refused as soon as it does.
"""

import asyncio
import time
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

from fastapi import Request
from pydantic import ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from fast3r.export.formats import chosen_formats
from fast3r.serve.messages import CAN_REFINE, JobOptions, Upload
from fast3r.serve.naming import PRIORS_FILE, harmless_names, storage_name
from fast3r.serve.refusals import Refusal
from fast3r.serve.settings import Limits
from fast3r.viz.results import FORMATS

FILES = "files"
"""Name of the parts that are photos and videos."""

PRIORS = "priors"
"""Name of the part that is a file of priors; all others are options."""

_MAX_PRIORS_BYTES = 512 << 10

_MAX_FIELDS, _MAX_FIELD_BYTES = 100, 1000
"""Of options."""

_MAX_HEAD_BYTES = 8000
"""Of the headers of one part."""

_FORMATS = "formats"
"""The option that may be given more than once."""


def requested_formats(fields: Iterable[str]) -> list[str]:
    """Return the formats of repeated fields, each of which may name several with commas.

    Raises:
        ValueError: A format is unknown, cannot be written here, or goes not with another.
    """
    try:
        chosen = chosen_formats(
            (name.strip() for field in fields for name in field.split(",")), table=FORMATS
        )
    except ImportError as error:
        raise ValueError(f"{error} (on the server)") from error
    if {"colmap", "colmap-text"} <= set(chosen):
        raise ValueError("colmap and colmap-text are one model: ask for one of them")
    return list(dict.fromkeys(("cameras", *chosen)))


async def receive_upload(
    request: Request, folder: Path, limits: Limits
) -> tuple[list[Upload], JobOptions, int]:
    """Return the files of a submission, now in a folder, its options, and its size in bytes.

    Raises:
        Refusal: It is not what the OpenAPI page describes, too large, or too slow.
    """
    form = _Form(_boundary(request), folder, limits)
    claimed = request.headers.get("content-length", "")
    if claimed.isdecimal() and int(claimed) > limits.upload_bytes:
        raise _too_large(limits)
    deadline = time.monotonic() + limits.upload_s
    num_bytes, request.state.body_taken = 0, False
    try:
        while not request.state.body_taken:
            chunk = await _next_chunk(request, deadline, limits)
            num_bytes += len(chunk)
            if num_bytes > limits.upload_bytes:
                raise _too_large(limits)
            await asyncio.to_thread(form.write, chunk)
    finally:
        form.close()
    return form.uploads(), form.options(), num_bytes


async def _next_chunk(request: Request, deadline: float, limits: Limits) -> bytes:
    """Return what arrives next, and note whether it was the last."""
    patience_s = min(limits.silence_s, deadline - time.monotonic())
    try:
        message = await asyncio.wait_for(request.receive(), max(patience_s, 0.0))
    except asyncio.TimeoutError:
        request.state.body_taken = True
        raise Refusal(
            HTTPStatus.REQUEST_TIMEOUT,
            f"the upload paused for more than {limits.silence_s:g} s, or took more than "
            f"{limits.upload_s:g} s; send fewer or smaller files",
            Connection="close",
        ) from None
    request.state.body_taken = not message.get("more_body", False)
    if message["type"] == "http.disconnect":
        raise Refusal(HTTPStatus.BAD_REQUEST, "the upload was cut short")
    return message["body"]


def _boundary(request: Request) -> bytes:
    kind, parameters = parse_options_header(request.headers.get("content-type"))
    boundary = parameters.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 1 <= len(boundary) <= 70:
        raise Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "send photos as multipart/form-data with a boundary, as 'curl --form files=@photo.jpg'",
        )
    return boundary


def _too_large(limits: Limits) -> Refusal:
    return Refusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"more than {limits.upload_bytes / 2**20:g} MiB; send fewer or smaller files",
    )


def _invalid(detail: str) -> Refusal:
    return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


class _Form:
    """The parts of one form, as they arrive."""

    def __init__(self, boundary: bytes, folder: Path, limits: Limits) -> None:
        self._folder = folder
        self._limits = limits
        self._names: list[str] = []
        self._files: list[str] = []
        self._fields: dict[str, list[str]] = {}
        self._header, self._value, self._disposition = b"", b"", b""
        self._head_bytes = 0
        self._file: BinaryIO | None = None
        self._field: str | None = None
        self._content = b""
        self._complete = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._extend_header,
                "on_header_value": self._extend_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._open_part,
                "on_part_data": self._extend_part,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )

    def write(self, chunk: bytes) -> None:
        """Take in the next bytes of the body."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, f"not multipart/form-data: {error}") from None

    def close(self) -> None:
        """Close the file that is being written, if any."""
        if self._file is not None:
            self._file.close()

    def uploads(self) -> list[Upload]:
        """Return the files."""
        if not self._complete:
            raise Refusal(HTTPStatus.BAD_REQUEST, "the form was cut short")
        if not self._files:
            raise _invalid(f"no photos were sent: put files into parts named '{FILES}'")
        names = harmless_names(self._names)
        for name, file in zip(names, self._files, strict=True):
            if not (self._folder / file).stat().st_size:
                raise _invalid(f"the file {name} is empty")
        priors = self._folder / PRIORS_FILE
        if priors.exists() and not 0 < priors.stat().st_size <= _MAX_PRIORS_BYTES:
            raise _invalid(f"the file in part '{PRIORS}' is empty or larger than 512 KiB")
        return [Upload(name=n, file=f) for n, f in zip(names, self._files, strict=True)]

    def options(self) -> JobOptions:
        """Return the options."""
        twice = [k for k, values in self._fields.items() if len(values) > 1 and k != _FORMATS]
        if twice:
            raise _invalid(f"{twice[0]} is given more than once")
        given: dict[str, object] = {name: values[0] for name, values in self._fields.items()}
        try:
            if _FORMATS in self._fields:
                given[_FORMATS] = requested_formats(self._fields[_FORMATS])
            options = JobOptions.model_validate(given)
        except ValidationError as error:
            faults = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise _invalid("; ".join(faults)) from None
        except ValueError as error:
            raise _invalid(f"{_FORMATS}: {error}") from None
        if options.refine and not CAN_REFINE:
            raise _invalid("refine needs pycolmap: pip install 'fast3r[refine]' (on the server)")
        return options

    # --- what the parser calls ---

    def _begin_part(self) -> None:
        self._disposition = b""
        self._head_bytes = 0

    def _extend_header(self, data: bytes, start: int, end: int) -> None:
        self._count_head(end - start)
        self._header += data[start:end]

    def _extend_value(self, data: bytes, start: int, end: int) -> None:
        self._count_head(end - start)
        self._value += data[start:end]

    def _count_head(self, num_bytes: int) -> None:
        self._head_bytes += num_bytes
        if self._head_bytes > _MAX_HEAD_BYTES:
            raise Refusal(HTTPStatus.BAD_REQUEST, "the headers of a part are too long")

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _open_part(self) -> None:
        _, parameters = parse_options_header(self._disposition)
        name = parameters.get(b"name", b"").decode("utf-8", "replace")
        filename = parameters.get(b"filename")
        if name == FILES and filename is not None:
            self._open_file(filename.decode("utf-8", "replace"))
        elif name == PRIORS and filename is not None:
            self._open_priors()
        elif name in (FILES, PRIORS):
            raise _invalid(f"parts named '{name}' must be files, with a file name")
        elif filename is not None:
            raise _invalid(f"the file in part {name[:50]!r} is not expected; name it '{FILES}'")
        elif sum(map(len, self._fields.values())) >= _MAX_FIELDS:
            raise _invalid(f"more than {_MAX_FIELDS} options")
        else:
            self._field, self._content = name, b""

    def _open_file(self, name: str) -> None:
        if len(self._files) >= self._limits.views:
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"more than {self._limits.views} files; send fewer",
            )
        stored = storage_name(len(self._files), name)
        self._file = (self._folder / stored).open("xb")
        self._names.append(name)
        self._files.append(stored)

    def _open_priors(self) -> None:
        if (self._folder / PRIORS_FILE).exists():
            raise _invalid(f"{PRIORS} is given more than once")
        self._file = (self._folder / PRIORS_FILE).open("xb")

    def _extend_part(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
            return
        self._content += data[start:end]
        if len(self._content) > _MAX_FIELD_BYTES:
            raise _invalid(f"the option {(self._field or '')[:50]!r} is too long")

    def _end_part(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        elif self._field is not None:
            value = self._content.decode("utf-8", "replace")
            self._fields.setdefault(self._field, []).append(value)
            self._field = None

    def _end(self) -> None:
        self._complete = True
