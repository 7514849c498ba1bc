"""The service over HTTP, asked by clients that mean it harm or do not know better."""

import json
import socket
import time
from collections.abc import Iterator

import pytest

from tests.serve.client import (
    Client,
    Server,
    assert_refused,
    multipart,
    post,
)
from tests.serve.conftest import UPLOAD_BYTES, VIEWS

# --- hostile submissions ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"formats": "obj"}, "unknown format 'obj'; known are cameras, ply"),
        ({"formats": ["colmap", "colmap-text"]}, "ask for one of them"),
        ({"seed": -1}, "seed: "),
        ({"seed": "one"}, "seed: "),
        ({"seed": [1, 2]}, "seed is given more than once"),
        ({"fps": "nan"}, "fps: "),
        ({"fps": ""}, "fps: "),
        ({"size": 10**9}, "size: "),
        ({"min_conf_percentile": 101}, "min_conf_percentile: "),
        ({"share_focal": "some"}, "share_focal: "),
        ({"modle": "small"}, "modle: "),
        ({"seed": "1" * 2000}, "'seed' is too long"),
        ({"formats": ["ply"] * 200}, "more than 100 options"),
        ({"files": "not a file"}, "must be files"),
        ({"x\x00\u202e": 1}, "x"),
    ],
)
def test_options_that_are_not_as_described_are_refused(
    client: Client, fields: dict[str, object], words: str
) -> None:
    assert_refused(client.submit(b"ok", **fields), 422, words)


def test_a_submission_without_photos_is_refused(client: Client) -> None:
    assert_refused(client.submit(seed=1), 422, "no photos were sent", "'files'")


def test_an_empty_file_is_refused_by_name(client: Client) -> None:
    assert_refused(client.submit(b"ok", ("a/b.jpg", b"")), 422, "the file b.jpg is empty")


def test_a_file_in_another_part_is_refused(client: Client) -> None:
    kind, body = multipart([("a.jpg", b"ok")], {}, part="photo")
    assert_refused(post(client, body, kind), 422, "'photo' is not expected; name it 'files'")


@pytest.mark.parametrize(
    "kind",
    ["application/json", "text/plain", "multipart/form-data", "multipart/mixed; boundary=x", ""],
)
def test_what_is_no_form_is_refused(client: Client, kind: str) -> None:
    assert_refused(post(client, b"{}", kind), 415, "multipart/form-data")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"--x\r\n",
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nok',
        b"--x\r\nContent-Disposition\r\n\r\n\r\n--x--\r\n",
        b"--x\r\n" + b"A: b\r\n" * 5000 + b"\r\n\r\n--x--\r\n",
        b"--x\r\nContent-Disposition: " + b"a" * 10_000 + b"\r\n\r\n\r\n--x--\r\n",
    ],
)
def test_a_broken_form_is_refused(client: Client, body: bytes) -> None:
    assert_refused(post(client, body), 400)


def test_too_many_files_are_refused(client: Client) -> None:
    assert_refused(client.submit(*[b"ok"] * (VIEWS + 1)), 413, f"more than {VIEWS} files")


def test_a_submission_that_says_it_is_too_large_is_refused_before_it_is_sent(
    client: Client,
) -> None:
    connection = client.raw(
        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n"
        b"Expect: 100-continue\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    with connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_submission_that_grows_too_large_is_refused(client: Client) -> None:
    def endless() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
        for _ in range(UPLOAD_BYTES // 50_000 + 10):
            yield bytes(50_000)

    answer = client.request(
        "POST", "/v1/jobs", endless(), Content_Type="multipart/form-data; boundary=x"
    )
    assert_refused(answer, 413, "MiB")


def test_a_client_that_sends_everything_first_still_reads_the_refusal(client: Client) -> None:
    kind, body = multipart([("a.jpg", bytes(20_000_000))], {})
    assert_refused(post(client, body, kind), 413)


def test_an_upload_that_pauses_too_long_is_refused(client: Client, server: Server) -> None:
    connection = client.raw(
        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
    )
    with connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_uploads_that_became_no_job_leave_nothing(client: Client, server: Server) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nok'
    jobs = len(list((server.folder / "jobs").iterdir()))
    for sent in (head, head + b"\r\n--x\r\n\r\n", head + b"\r\n--x\r\n" + b"A: b\r\n" * 9999):
        assert post(client, sent).status == 400
    hung_up = client.raw(
        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n" + head
    )
    hung_up.close()
    deadline = time.monotonic() + 10
    while left := list((server.folder / "incoming").iterdir()):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    assert len(list((server.folder / "jobs").iterdir())) == jobs


def test_names_of_files_stay_names(client: Client, server: Server) -> None:
    names = ["../../../../tmp/x", "/etc/passwd", r"..\..\x.jpg", "a%2fb", "a\u202eb.png", ""]
    job_id = client.submit(*[(name, b"sleep 60") for name in names]).json["id"]
    home = server.folder / "jobs" / job_id
    job = json.loads((home / "job.json").read_text())
    stored = sorted(path.name for path in (home / "input").iterdir())
    client.request("DELETE", f"/v1/jobs/{job_id}")
    kept = [upload["name"] for upload in job["uploads"]]
    assert kept == ["x", "passwd", "x.jpg", "a_2fb", "a_b.png", "file"]
    endings = ["00000", "00001", "00002.jpg", "00003", "00004.png", "00005"]
    assert stored == [f"upload-{ending}" for ending in endings]


# --- hostile addresses -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/results/ply"),
        ("POST", "/cancel"),
        ("DELETE", ""),
    ],
)
def test_unknown_jobs_are_refused_everywhere(client: Client, method: str, path: str) -> None:
    assert_refused(client.request(method, f"/v1/jobs/{'0' * 32}{path}"), 404, "no such job")
    assert_refused(client.request(method, f"/v1/jobs/1{path}"), 422, "job_id")


@pytest.mark.parametrize("name", ["job.json", "..", "%2e%2e%2fjob.json", "..%2fjob.json", "ply"])
def test_results_that_a_job_does_not_have_are_refused(client: Client, name: str) -> None:
    job_id = client.submit(b"ok").json["id"]
    client.wait(job_id)
    assert_refused(client.get(f"/v1/jobs/{job_id}/results/{name}"), 404)


def test_ids_cannot_be_guessed(client: Client) -> None:
    ids = [client.submit(b"ok").json["id"] for _ in range(3)]
    assert len(set(ids)) == 3
    assert all(len(set(job_id)) > 6 for job_id in ids)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/v1/jobs", 405), ("PUT", "/health", 405)],
)
def test_what_there_is_not_is_refused(client, method: str, path: str, status: int) -> None:
    assert_refused(client.request(method, path), status)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil", "[", ""])
def test_without_a_key_only_local_names_are_answered(client: Client, host: str) -> None:
    """A page may let a name of its own point to this machine."""
    assert_refused(client.get(f"/v1/jobs/{'0' * 32}", Host=host), 403, "local names")


def test_without_a_key_pages_of_other_sites_are_refused(client: Client) -> None:
    kind, body = multipart([("a.jpg", b"ok")], {})
    for origin in ("https://evil.example", "null", "http://localhost:1"):
        answer = client.request("POST", "/v1/jobs", body, Content_Type=kind, Origin=origin)
        assert_refused(answer, 403, "other sites")
    own = f"http://127.0.0.1:{client.port}"
    assert client.request("POST", "/v1/jobs", body, Content_Type=kind, Origin=own).status == 202


def test_no_answer_may_be_framed_sniffed_or_kept(client: Client) -> None:
    for path in ("/", "/health", "/nothing"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"


def test_connections_that_say_nothing_do_no_harm(client: Client) -> None:
    silent = [socket.create_connection(("127.0.0.1", client.port)) for _ in range(50)]
    assert client.get("/health/live").status == 200
    for connection in silent:
        connection.close()
