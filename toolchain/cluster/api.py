"""The few HTTP calls the cluster needs: readiness of its components and a handful of API objects.

Standard library only and small on purpose: it also runs inside the volumes process for as long as the cluster does.
"""

import http.client
import json
import socket
import ssl
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from toolchain.cluster.layout import NODE_IP, Layout

SERVER: Final = f"https://{NODE_IP}:6443"
TIMEOUT_S: Final = 10.0
APPLY: Final = "application/apply-patch+yaml"


class ApiError(Exception):
    """The API answered with an error status."""

    def __init__(self, method: str, path: str, status: int, body: str) -> None:
        super().__init__(f"{method} {path}: {status} {body[:300]}")
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Files of one identity."""

    authority: Path
    certificate: Path
    key: Path

    @classmethod
    def of(cls, layout: Layout, name: str) -> "Credentials":
        """Those of one of pki's identities."""
        return cls(authority=layout.certificate("ca"), certificate=layout.certificate(name), key=layout.key(name))

    def context(self) -> ssl.SSLContext:
        """TLS that trusts only this cluster's authority and shows this identity."""
        context = ssl.create_default_context(cafile=str(self.authority))
        context.load_cert_chain(self.certificate, self.key)
        return context


class Client:
    """One identity's view of the API; connections are made anew after a failure."""

    def __init__(self, credentials: Credentials, server: str = SERVER) -> None:
        url = urllib.parse.urlsplit(server)
        self._connection = http.client.HTTPSConnection(
            url.hostname or "", url.port, timeout=TIMEOUT_S, context=credentials.context()
        )

    def call(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """One request.

        Raises:
            ApiError: the status is not 2xx.
            OSError: the API did not answer.
        """
        headers = {"Accept": "application/json"} | ({"Content-Type": content_type} if body is not None else {})
        try:
            self._connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = self._connection.getresponse()
            text = response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            if isinstance(error, OSError):
                raise
            raise ConnectionError(str(error)) from error
        if response.status // 100 != 2:
            raise ApiError(method, path, response.status, text)
        return json.loads(text) if text.startswith(("{", "[")) else text

    def get(self, path: str) -> Any:
        """The object or list at a path."""
        return self.call("GET", path)

    def apply(self, path: str, manifest: Any) -> Any:
        """Server-side apply: creates or changes, and is silent when nothing differs."""
        return self.call("PATCH", f"{path}?fieldManager=mlp-cluster&force=true", manifest, APPLY)

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
