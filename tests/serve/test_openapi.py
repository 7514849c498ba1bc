"""The OpenAPI page is true: requests made from it, right and wrong, get the answers it promises."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode

from tests.serve.client import Client, Server, fake_server

KEY = "correct-horse-battery"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with fake_server(tmp_path_factory.mktemp("service"), key=KEY, queue=10) as server:
        server.client.wait_ready()
        yield server


@pytest.fixture
def client(server: Server) -> Client:
    return server.client


def a_job(client: Client) -> str:
    """Return a new job, once the queue has room for it."""
    while (answer := client.submit(b"ok")).status == 429:
        time.sleep(0.01)
    return answer.json["id"]


def ask_everything(server: Server, **options: Any) -> None:
    """Make requests from the description of each operation, and check what they are told."""
    schema = schemathesis.openapi.from_url(f"{server.address}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) == 8
    for operation in operations:
        ask(server, operation.as_strategy(), of_real_jobs=True, **options)
        if operation.path_parameters or operation.body:
            wrong = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
            ask(server, wrong, of_real_jobs=False, **options)


def ask(server: Server, cases: SearchStrategy, *, of_real_jobs: bool, **options: Any) -> None:
    """Make requests, and check what they are told."""

    @given(case=cases)
    @settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), **options)
    def ask_one(case: schemathesis.Case) -> None:
        if of_real_jobs and "job_id" in case.path_parameters:
            case.path_parameters["job_id"] = a_job(server.client)
        # An empty list is no part of a form at all, so that what is sent may be right.
        assume(not isinstance(case.body, dict) or [] not in case.body.values())
        key = {"Authorization": f"Bearer {KEY}"}
        case.call_and_validate(base_url=server.address, headers=key, timeout=30)

    ask_one()


def test_answers_are_as_described(server: Server) -> None:
    ask_everything(server, max_examples=6, derandomize=True, phases=[Phase.generate])


@pytest.mark.slow
def test_many_answers_are_as_described(server: Server) -> None:
    ask_everything(server, max_examples=150)


def test_every_field_and_every_operation_is_explained(client: Client) -> None:
    described = client.get("/openapi.json").json
    for path, methods in described["paths"].items():
        for operation in methods.values():
            assert operation["summary"], path
            assert operation["description"], path
    for name, schema in described["components"]["schemas"].items():
        for field, about in schema["properties"].items():
            assert about.get("description"), f"{name}.{field}"
    form = described["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["multipart/form-data"]
    for field, about in form["schema"]["properties"].items():
        assert about["description"], field


def test_every_reference_leads_somewhere(client: Client) -> None:
    described = client.get("/openapi.json")
    references = set(re.findall(r'"#/components/schemas/(\w+)"', described.body.decode()))
    assert "Problem" in references
    assert references <= set(described.json["components"]["schemas"])
