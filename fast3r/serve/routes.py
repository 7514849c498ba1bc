"""What clients can ask for."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Path, Request, Response, Security
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse

from fast3r.serve import metrics
from fast3r.serve.board import FullError
from fast3r.serve.description import refused_with, submission_schema
from fast3r.serve.guards import bearer, check_key, check_origin
from fast3r.serve.messages import WRITABLE, Health, JobStatus
from fast3r.serve.page import page
from fast3r.serve.refusals import Refusal
from fast3r.serve.service import ANY_MEDIA_TYPE, MEDIA_TYPES, Service, media_type
from fast3r.serve.upload import receive_upload

ResultName = Annotated[
    str,
    Path(description="A format, or report.", json_schema_extra={"enum": ["report", *WRITABLE]}),
]


async def _service(request: Request) -> Service:
    # Not a plain function, here and below: those run in other threads than the board.
    return request.app.state.service


ServiceDep = Annotated[Service, Depends(_service)]


async def _allowed(request: Request, service: ServiceDep) -> None:
    check_key(request, service.settings)
    check_origin(request, service.settings)


async def _known(
    service: ServiceDep,
    job_id: Annotated[
        str, Path(description="As the job's submission returned it.", pattern="^[0-9a-f]{32}$")
    ],
) -> str:
    if job_id not in service.board:
        raise Refusal(HTTPStatus.NOT_FOUND, "there is no such job; it may have expired")
    return job_id


JobId = Annotated[str, Depends(_known)]


_GUARDED = refused_with(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_ABOUT_ONE = _GUARDED | refused_with(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)

jobs = APIRouter(prefix="/v1/jobs", tags=["jobs"], dependencies=[Depends(_allowed)])
counters = APIRouter(tags=["operations"], dependencies=[Depends(_allowed)])
operations = APIRouter(tags=["operations"])


@jobs.post(
    "",
    status_code=HTTPStatus.ACCEPTED,
    summary="Submit photos or a video",
    response_description="The job waits.",
    responses=_GUARDED
    | refused_with(
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INSUFFICIENT_STORAGE,
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": submission_schema()}},
        }
    },
)
async def submit(request: Request, response: Response, service: ServiceDep) -> JobStatus:
    """Accept a job, which waits in the queue until a worker is free.

    The answer and its `Location` tell where to follow the job. Photos that cannot be read are
    left out and named in `outcome`; a job fails only if nothing of it can be used.
    """
    limits = service.settings.limits
    if service.store.free_bytes() < limits.free_bytes + limits.upload_bytes:
        raise Refusal(HTTPStatus.INSUFFICIENT_STORAGE, "the disk of the service is full")
    try:
        with service.board.place() as job_id:
            folder = service.store.open_incoming(job_id)
            uploads, options, num_bytes = await receive_upload(request, folder, limits)
            service.metrics.uploaded(num_bytes)
            service.board.submit(job_id, options, uploads)
    except FullError as error:
        wait = {"Retry_After": str(error.retry_s)}
        raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, str(error), **wait) from None
    except OSError as error:
        detail = f"the disk of the service failed: {error.strerror}"
        raise Refusal(HTTPStatus.INSUFFICIENT_STORAGE, detail) from error
    response.headers["Location"] = f"/v1/jobs/{job_id}"
    return service.status(job_id)


@jobs.get(
    "/{job_id}",
    summary="Follow a job",
    response_description="Where it stands.",
    responses=_ABOUT_ONE,
)
async def follow(job_id: JobId, service: ServiceDep) -> JobStatus:
    """Tell where a job stands."""
    return service.status(job_id)


@jobs.post(
    "/{job_id}/cancel",
    summary="Cancel a job",
    response_description="Where it ended.",
    responses=_ABOUT_ONE,
)
async def cancel(job_id: JobId, service: ServiceDep) -> JobStatus:
    """Stop a job, whether it waits or is worked on; one that has ended stays as it is.

    When this answers, nothing works on the job any more.
    """
    await service.board.cancel(job_id)
    return service.status(job_id)


@jobs.delete(
    "/{job_id}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Delete a job",
    response_description="Nothing is left of it.",
    responses=_ABOUT_ONE,
)
async def delete(job_id: JobId, service: ServiceDep) -> None:
    """Stop a job and delete everything about it: photos, results, and that it was there."""
    await service.board.forget(job_id)


@jobs.get(
    "/{job_id}/results/{name}",
    summary="Fetch a result",
    response_class=FileResponse,
    responses=_ABOUT_ONE
    | {
        200: {
            "description": "The file; `depth` and `colmap` come as one zip file.",
            "content": {kind: {} for kind in (*MEDIA_TYPES.values(), ANY_MEDIA_TYPE)},
        }
    },
)
async def result(job_id: JobId, name: ResultName, service: ServiceDep) -> FileResponse:
    """Return a result of a job; its status lists what there is."""
    job = service.board[job_id].job
    if name not in job.results:
        found = ", ".join(job.results) or "none yet"
        raise Refusal(
            HTTPStatus.NOT_FOUND,
            f"this job has no result {name!r} (state {job.state}); its results: {found}",
        )
    path = service.result_path(job, name)
    return FileResponse(path, media_type=media_type(path), filename=path.name)


@operations.get(
    "/health",
    summary="Readiness",
    response_description="Ready.",
    responses={503: {"model": Health, "description": "Not ready."}},
)
async def health(response: Response, service: ServiceDep) -> Health:
    """Tell whether jobs are worked on: 200 once a worker has its model loaded, else 503."""
    found = service.health()
    if not found.ready:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return found


@operations.get(
    "/health/live",
    summary="Liveness",
    response_class=PlainTextResponse,
    response_description="Alive.",
)
async def live() -> str:
    """Answer, which is all that is asked."""
    return "alive\n"


@counters.get(
    "/metrics",
    summary="Counters for Prometheus",
    response_description="The counters.",
    response_class=PlainTextResponse,
    responses=_GUARDED,
)
async def count(service: ServiceDep) -> Response:
    """Return jobs by state, refusals, restarts and durations, in Prometheus text format."""
    workers = {worker.device: worker.ready for worker in service.crew.health}
    text = service.metrics.text(service.board.jobs, workers)
    return Response(text, media_type=metrics.MEDIA_TYPE)


@operations.get("/", include_in_schema=False)
@operations.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """Show the OpenAPI description as a page that needs nothing from elsewhere."""
    return HTMLResponse(page(request.app.openapi()))


def include_in(app: FastAPI, *, with_key: bool) -> None:
    """Add everything to an application, described as it is: with a key or without."""
    described = [Security(bearer)] if with_key else []
    app.include_router(jobs, dependencies=described)
    app.include_router(counters, dependencies=described)
    app.include_router(operations)
