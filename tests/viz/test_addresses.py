"""Where pages listen, and where they are found."""

import socket

import pytest

from fast3r.viz.addresses import free_port, is_local, page_address


def test_a_taken_port_is_passed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert free_port("127.0.0.1", port) != port


def test_port_0_is_any_free_one() -> None:
    with socket.create_server(("127.0.0.1", free_port("127.0.0.1", 0))):
        pass


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("127.0.0.1", 70000, "port must be between 0 and 65535, got 70000"),
        ("198.51.100.7", 0, "cannot listen on 198.51.100.7: cannot assign requested address$"),
    ],
)
def test_a_place_where_nothing_can_listen_is_refused(host: str, port: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        free_port(host, port)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://localhost:80"),
        ("::1", "http://[::1]:80"),
    ],
)
def test_a_browser_is_told_an_address_that_it_can_open(host: str, address: str) -> None:
    assert page_address(host, 80) == address


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False)]
)
def test_only_addresses_of_this_machine_are_local(host: str, local: bool) -> None:
    assert is_local(host) == local
