"""Where a page listens, and where a browser finds it."""

import errno
import ipaddress
import socket

_PORTS_TRIED = 100


def free_port(host: str, wanted: int) -> int:
    """Return the first free port from the wanted one on, or, after a hundred, any; 0 is any.

    Raises:
        ValueError: Nothing can listen at that host or port.
    """
    if not 0 <= wanted <= 65535:
        raise ValueError(f"port must be between 0 and 65535, got {wanted}")
    for port in (*range(wanted, min(wanted + _PORTS_TRIED, 65536)), 0):
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.create_server(address[:2], family=family) as listener:
                return listener.getsockname()[1]
        except OSError as error:
            if port and error.errno in (errno.EADDRINUSE, errno.EACCES):
                continue
            reason = str(error.strerror or error).partition(" (while")[0].lower()
            raise ValueError(f"cannot listen on {host}: {reason}") from error
    raise AssertionError("the loop returns or raises")


def page_address(host: str, port: int) -> str:
    """Return where a browser on this machine finds a page that listens at a host."""
    shown = "localhost" if host in ("0.0.0.0", "::", "") else host
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"


def is_local(host: str) -> bool:
    """Return whether only this machine reaches what listens at a host."""
    address = str(socket.getaddrinfo(host, None)[0][4][0])
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
