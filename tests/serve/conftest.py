"""One service with the fake worker, for all tests that do no harm to it."""

from collections.abc import Iterator

import pytest

from tests.serve.client import Client, Server, fake_server

UPLOAD_BYTES = 1_000_000
VIEWS = 20
QUEUE = 5


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    limits = {"queue": QUEUE, "views": VIEWS, "upload_bytes": UPLOAD_BYTES, "silence_s": 2.0}
    with fake_server(tmp_path_factory.mktemp("service"), **limits) as server:
        server.client.wait_ready()
        yield server


@pytest.fixture
def client(server: Server) -> Client:
    return server.client
