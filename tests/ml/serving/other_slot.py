"""Stands in for the idle slot: a server on the loopback that answers what the test says, or not at all."""

import contextlib
import json
import socket
import threading
import time
from typing import Self


def http(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


def predicts(label: object, score: float | None = 0.9, version: str = "iris-0002") -> bytes:
    return http(json.dumps({"prediction": label, "probability": score, "model_version": version}).encode())


class OtherSlot:
    """Keeps what it was sent; each connection gets the answer to each request, `None` is silence."""

    def __init__(self, answer: bytes | None, *, pause_s: float = 0.0) -> None:
        self._answer, self._pause_s = answer, pause_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.received: list[bytes] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                self.received.append(data)
                time.sleep(self._pause_s)
                if self._answer is not None:
                    client.sendall(self._answer)
