"""Ready or not, for one component: each probe answers within a second and never raises."""

import http.client
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from toolchain.cluster.api import Credentials, UnixConnection
from toolchain.cluster.layout import Layout

Probe = Callable[[], bool]
TIMEOUT_S: Final = 1.0


def http_ok(port: int, path: str, address: str = "127.0.0.1") -> Probe:
    """Plain HTTP answers 200."""
    return lambda: _answers(http.client.HTTPConnection(address, port, timeout=TIMEOUT_S), path)


def https_ok(layout: Layout, identity: str, port: int, path: str, address: str = "127.0.0.1") -> Probe:
    """HTTPS answers 200 to one of our identities."""

    def probe() -> bool:
        try:
            context = Credentials.of(layout, identity).context()
        except OSError:
            return False
        return _answers(http.client.HTTPSConnection(address, port, timeout=TIMEOUT_S, context=context), path)

    return probe


def unix_http_ok(path: Path, url: str) -> Probe:
    """HTTP on a Unix socket answers 200."""
    return lambda: _answers(UnixConnection(path, TIMEOUT_S), url)


def unix_accepts(path: Path) -> Probe:
    """Something accepts connections on a Unix socket."""

    def probe() -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(TIMEOUT_S)
            try:
                client.connect(str(path))
            except OSError:
                return False
        return True

    return probe


def fresh(path: Path, max_age_s: float) -> Probe:
    """A process without a port touches this file while it works."""

    def probe() -> bool:
        try:
            return time.time() - path.stat().st_mtime < max_age_s
        except OSError:
            return False

    return probe


def _answers(connection: http.client.HTTPConnection, path: str) -> bool:
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
