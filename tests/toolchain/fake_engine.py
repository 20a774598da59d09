"""A Docker engine for tests: the few calls of a build and a push, on a unix socket; it records what it is asked."""

import hashlib
import io
import json
import socketserver
import tarfile
import threading
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path


@dataclass
class Build:
    parameters: dict[str, list[str]]
    files: dict[str, bytes]
    auth: str


@dataclass
class FakeEngine:
    """What was built and pushed; `fail` makes the next builds fail with these words."""

    socket: Path
    builds: list[Build] = field(default_factory=list)
    pushes: list[tuple[str, str]] = field(default_factory=list)
    deletes: list[str] = field(default_factory=list)
    fail: str = ""
    push_fails: str = ""

    @property
    def address(self) -> str:
        return f"unix://{self.socket}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine: FakeEngine

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it)
        pass

    def do_GET(self) -> None:
        self._json({"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24"})

    def do_DELETE(self) -> None:
        self.engine.deletes.append(self.path)
        self._json({})

    def do_POST(self) -> None:
        path, _, query = self.path.partition("?")
        if path.endswith("/build"):
            self._build(urllib.parse.parse_qs(query))
        elif path.endswith("/push"):
            self._push(urllib.parse.unquote(path.split("/images/")[1].removesuffix("/push")), query)

    def _build(self, parameters: dict[str, list[str]]) -> None:
        with tarfile.open(fileobj=io.BytesIO(self._body())) as tar:
            files = {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}
        self.engine.builds.append(Build(parameters, files, self.headers.get("X-Registry-Config", "")))
        dockerfile = files[parameters["dockerfile"][0]].decode()
        steps = [line for line in dockerfile.splitlines() if line and not line.startswith("#")]
        arguments = json.loads(parameters.get("buildargs", ["{}"])[0])
        events = [{"stream": f"Step {n}/{len(steps)} : {step}\n"} for n, step in enumerate(steps, 1)]
        events += [
            {"stream": f"Step 9/9 : RUN echo the value of {name} is {value}\n"} for name, value in arguments.items()
        ]
        if self.engine.fail:
            events.append({"error": self.engine.fail, "errorDetail": {"message": self.engine.fail}})
        else:
            identity = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
            events += [{"aux": {"ID": f"sha256:{identity}"}}, {"stream": f"Successfully built {identity[:12]}\n"}]
        self._stream(events)

    def _push(self, name: str, query: str) -> None:
        self._body()
        self.engine.pushes.append((f"{name}?{query}", self.headers.get("X-Registry-Auth", "")))
        if self.engine.push_fails:
            self._stream([{"status": "Preparing"}, {"error": self.engine.push_fails}])
            return
        digest = "sha256:" + hashlib.sha256(repr(len(self.engine.builds)).encode()).hexdigest()
        self._stream([{"status": "Preparing"}, {"aux": {"Tag": "1", "Digest": digest, "Size": 1}}])

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            chunks = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _stream(self, events: list[dict]) -> None:
        # In chunks, as the engine does: docker-py decodes a stream only then.
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events:
            line = json.dumps(event).encode() + b"\r\n"
            self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def _json(self, value: dict) -> None:
        self._answer(json.dumps(value).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def start(socket: Path) -> tuple[FakeEngine, Server]:
    engine = FakeEngine(socket)
    handler = type("BoundHandler", (Handler,), {"engine": engine})
    server = Server(str(socket), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return engine, server
