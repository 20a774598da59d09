"""A namespace as JSON objects, as the API server would answer."""

import base64
import copy
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

from infra.names import LIVE_SERVICE, RECORD_DIGEST_ANNOTATION, RELEASE_LABEL, SLOT_LABEL, repository, slot_name

DIGEST = "d" * 64


def image(name: str, letter: str = "a") -> str:
    return f"{repository('127.0.0.1:5000', name)}@sha256:{letter * 64}"


class Namespace:
    """Objects by kind and name."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.patched: list[tuple[str, str]] = []
        self.before_patch: list[Callable[[], None]] = []
        """What happens in the cluster right before each of the next patches."""

    def one(self, kind: str, name: str) -> Mapping[str, Any] | None:
        return copy.deepcopy(self.objects.get((kind, name)))

    def every(self, kind: str) -> list[Mapping[str, Any]]:
        return [copy.deepcopy(found) for (each, _), found in self.objects.items() if each == kind]

    def create(self, kind: str, manifest: Mapping[str, Any]) -> bool:
        """As the API server: a name is given once."""
        key = (kind, str(manifest["metadata"]["name"]))
        return self.objects.setdefault(key, stored := copy.deepcopy(dict(manifest))) is stored

    def patch(self, kind: str, name: str, patch: Sequence[Mapping[str, Any]]) -> bool:
        """As the API server: all operations or none."""
        if self.before_patch:
            self.before_patch.pop(0)()
        changed = copy.deepcopy(self.objects[kind, name])
        for step in patch:
            *above, last = [part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:]]
            place = changed
            for part in above:
                place = place[part]
            if step["op"] == "test" and place.get(last) != step["value"]:
                return False
            if step["op"] == "remove":
                del place[last]
            else:
                place[last] = step["value"]
        changed["metadata"]["resourceVersion"] = str(int(changed["metadata"]["resourceVersion"]) + 1)
        self.objects[kind, name] = changed
        self.patched.append((kind, name))
        return True

    def ask(self, service: str, path: str) -> Mapping[str, Any] | None:
        """A pod of the slot that the Service selects answers."""
        selector = self.objects["service", service]["spec"]["selector"]
        deployment = self.objects["deployment", slot_name(selector[SLOT_LABEL])]
        return {"digest": deployment["metadata"]["annotations"][RECORD_DIGEST_ANNOTATION]} if path == "ready" else None

    def post(self, pod: str, path: str, headers: Mapping[str, str]) -> bytes:
        """No pod answers here; `tests.ml.stack.rotating` has pods that do."""
        return b""

    def slot(self, slot: str, release: str, *, record_digest: str = DIGEST, letter: str = "a") -> dict[str, Any]:
        """A slot's Deployment with three ready pods."""
        deployment: dict[str, Any] = {
            "metadata": {"generation": 2, "annotations": {RECORD_DIGEST_ANNOTATION: record_digest}},
            "spec": {
                "replicas": 3,
                "template": {
                    "metadata": {"labels": {RELEASE_LABEL: release}},
                    "spec": {"containers": [{"image": image("serving", letter)}]},
                },
            },
            "status": {"observedGeneration": 2, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3},
        }
        self.objects["deployment", slot_name("blue" if slot == "blue" else "green")] = deployment
        return deployment

    def live(self, slot: str) -> None:
        """The live Service selects this slot."""
        self.objects["service", LIVE_SERVICE] = {
            "metadata": {"resourceVersion": "1", "annotations": {}},
            "spec": {"selector": {SLOT_LABEL: slot}, "ports": [{"port": 80}]},
        }

    def platform(self, letter: str = "b") -> None:
        """One Deployment, one StatefulSet and one CronJob with platform images."""
        for kind, name in (("deployment", "mlflow"), ("statefulset", "postgres"), ("cronjob", "worker")):
            pod = {"spec": {"containers": [{"image": image(name, letter)}], "initContainers": None}}
            spec = {"jobTemplate": {"spec": {"template": pod}}} if kind == "cronjob" else {"template": pod}
            self.objects[kind, name] = {"spec": spec}

    def secret(self, name: str, **values: str) -> None:
        """A Secret."""
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        self.objects["secret", name] = {"metadata": {"name": name, "resourceVersion": "1"}, "data": data}


class _Handler(BaseHTTPRequestHandler):
    """Answers from `spaces`."""

    spaces: ClassVar[Mapping[str, Namespace]]

    def do_GET(self) -> None:
        parts = self.path.partition("?")[0].split("/namespaces/")[1].split("/")
        space, kind, name = self.spaces.get(parts[0], Namespace()), parts[1].removesuffix("s"), parts[2:]
        found = space.one(kind, name[0]) if name else {"items": space.every(kind)}
        self._answer(*((404, {"reason": "NotFound"}) if found is None else (200, found)))

    def _answer(self, status: int, content: Mapping[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        parts = self.path.partition("?")[0].split("/namespaces/")[1].split("/")
        if parts[3:4] == ["proxy"]:
            body = self.spaces[parts[0]].post(unquote(parts[2]), "/".join(parts[4:]), dict(self.headers))
            self._answer(401 if b"unauthenticated" in body else 400, json.loads(body))
            return
        manifest = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        made = self.spaces[parts[0]].create(parts[1].removesuffix("s"), manifest)
        self._answer(201 if made else 409, manifest if made else {"reason": "AlreadyExists"})

    def do_PATCH(self) -> None:
        parts = self.path.partition("?")[0].split("/namespaces/")[1].split("/")
        patch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        done = self.spaces[parts[0]].patch(parts[1].removesuffix("s"), parts[2], patch)
        self._answer(200 if done else 422, {} if done else {"reason": "Invalid"})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the name that http.server gives it)
        """Silent."""


@contextmanager
def api_server(spaces: Mapping[str, Namespace], kubeconfig: Path) -> Iterator[None]:
    """A Kubernetes API on 127.0.0.1 that answers reads from these namespaces; `kubeconfig` is written for it."""
    handler = type("Handler", (_Handler,), {"spaces": spaces})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "users": [{"name": "u", "user": {}}],
        "clusters": [{"name": "k", "cluster": {"server": address}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
    }  # fmt: skip
    kubeconfig.write_text(json.dumps(config))
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
