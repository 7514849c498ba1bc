"""What the OpenAPI page says beyond what code tells by itself."""

from http import HTTPStatus
from typing import Any

from fast3r.serve.messages import JobOptions, Problem
from fast3r.serve.refusals import MEDIA_TYPE
from fast3r.serve.upload import FILES, PRIORS

_MEANINGS = {
    HTTPStatus.BAD_REQUEST: "The form is broken or was cut short.",
    HTTPStatus.UNAUTHORIZED: "The key is missing or wrong.",
    HTTPStatus.FORBIDDEN: "The request comes from the page of another site.",
    HTTPStatus.NOT_FOUND: "There is no such job or result; it may have expired.",
    HTTPStatus.REQUEST_TIMEOUT: "The upload was too slow.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Too many files, or too many bytes.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not multipart/form-data.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "A parameter, option or file is not as described.",
    HTTPStatus.TOO_MANY_REQUESTS: "The queue is full; `Retry-After` says when to try again.",
    HTTPStatus.INSUFFICIENT_STORAGE: "The disk of the service is full.",
}


def refused_with(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Return the answers of an operation that refuses requests in these ways."""
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    return {
        int(status): {
            "description": _MEANINGS[status],
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }


def submission_schema() -> dict[str, Any]:
    """Return the JSON schema of a submission's form."""
    schema = JobOptions.model_json_schema()
    files = {
        "type": "array",
        "minItems": 1,
        "items": {"type": "string", "format": "binary", "minLength": 1},
        "description": "Photos, or videos, in order; the frame of the first one's camera is close "
        "to that of the world. The names of the files become the names of the views.",
    }
    priors = {
        "type": "string",
        "format": "binary",
        "minLength": 1,
        "description": "What is known of the photos, as JSON; photos are named as their files. "
        "Other files cannot be named in it.",
    }
    options = {name: _not_null(field) for name, field in schema["properties"].items()}
    properties = {FILES: files, PRIORS: priors, **options}
    return {**schema, "title": "Submission", "properties": properties, "required": [FILES]}


def _not_null(field: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an option as a form can give it: what is null is left out."""
    if "anyOf" not in field:
        return field
    (given,) = (choice for choice in field["anyOf"] if choice != {"type": "null"})
    return given | {name: field[name] for name in ("title", "description")}
