"""Namespaces whose pods see Secrets late, as a kubelet shows them, and that kill a command after any of its writes."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from infra.key_hashes import hash_lines
from infra.names import (
    API_KEY_HASHES_SECRET,
    API_KEY_SECRET,
    DATABASE_MOUNT,
    DATABASE_SECRET,
    TRAINING_MOUNT,
    TRAINING_SECRET,
    selector,
)
from ml.stack.cluster import secret
from ml.stack.passwords import Place
from ml.stack.waiting import Waiting
from tests.ml.stack.fakes import Namespace

OLD = "canary-of-the-old-one"


class KilledError(BaseException):
    """SIGKILL, as far as a process can show it: no handler of the command's may catch it."""


def drawing() -> Callable[[], str]:
    """Draws a canary that was never there before."""
    numbers = iter(range(1, 1000))
    return lambda: f"canary-drawn-{next(numbers)}"


class Watch:
    """A clock that stands still but for sleeping, and everything that was said."""

    def __init__(self) -> None:
        self.time, self.said = 0.0, list[str]()
        self.at_every_look: Callable[[], None] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.at_every_look()
        self.time += seconds

    @property
    def waiting(self) -> Waiting:
        return Waiting(say=self.said.append, now=lambda: self.time, sleep=self.sleep)


class Mortal(Namespace):
    """Kills whoever writes, right after one of the writes."""

    def __init__(self) -> None:
        super().__init__()
        self.writes, self.dies_after = 0, 0

    def patch(self, kind: str, name: str, patch: Sequence[Mapping[str, Any]]) -> bool:
        done = super().patch(kind, name, patch)
        self.wrote()
        return done

    def wrote(self) -> None:
        self.writes += 1
        if self.writes == self.dies_after:
            raise KilledError

    def pod(self, name: str, labels: Mapping[str, str], *, node: str | None = "n", phase: str = "Running") -> None:
        metadata = {"name": name, "labels": dict(labels), "resourceVersion": "1"}
        self.objects["pod", name] = {"metadata": metadata, "spec": {"nodeName": node}, "status": {"phase": phase}}


class Model(Mortal):
    """Two slots; each pod sees a new Secret only after it was asked so many times."""

    def __init__(self, lags: Mapping[str, int] = {"model-blue-1": 0, "model-blue-2": 3, "model-green-1": 1}) -> None:
        super().__init__()
        self.secret(API_KEY_SECRET, key=OLD)
        self.secret(API_KEY_HASHES_SECRET, keys=hash_lines([OLD]))
        self.lags = dict(lags)
        self.known = dict.fromkeys(lags, hash_lines([OLD]))
        self.behind = dict(lags)
        self.asked: list[str] = []
        for name in lags:
            self.pod(name, selector("model", "blue" if "blue" in name else "green"))

    def post(self, pod: str, path: str, headers: Mapping[str, str]) -> bytes:
        name, key = pod.removesuffix(":8000"), {n.lower(): v for n, v in headers.items()}["x-api-key"]
        assert (pod, path) == (f"{name}:8000", "predict")
        self.asked.append(name)
        held = secret(self, API_KEY_HASHES_SECRET)["keys"]
        if held != self.known[name]:
            self.behind[name] -= 1
            if self.behind[name] < 0:
                self.known[name], self.behind[name] = held, self.lags[name]
        code = "malformed_json" if self.accepts(name, key) else "unauthenticated"
        return json.dumps({"error": {"code": code}}).encode()

    def accepts(self, pod: str, key: str) -> bool:
        return hash_lines([key]) in self.known[pod]

    @property
    def keys(self) -> dict[str, str]:
        return secret(self, API_KEY_SECRET)

    @property
    def hashes(self) -> str:
        return secret(self, API_KEY_HASHES_SECRET)["keys"]


class Database(Mortal):
    """Postgres and MLflow, each with what it has read."""

    def __init__(self, lag: int = 2) -> None:
        super().__init__()
        for name in ("postgres-auth", "training-auth", "mlflow-auth"):
            self.secret(name, password=f"{OLD}-{name}", username="operator")
        self.pod("postgres-0", selector("postgres"))
        self.mounted = {name: self.password(name) for name in ("postgres-auth", "training-auth")}
        self.roles = dict(self.mounted)
        self.lag, self.commands = lag, list[Sequence[str]]()
        self.objects["deployment", "mlflow"] = {
            "metadata": {"generation": 1, "resourceVersion": "1"},
            "spec": {"replicas": 1, "template": {"metadata": {"labels": {}}}},
            "status": dict.fromkeys(("updatedReplicas", "readyReplicas", "availableReplicas", "observedGeneration"), 1),
        }
        self.mlflow = {name: self.password(name) for name in ("postgres-auth", "mlflow-auth")}
        self.login, self.starts = self.mlflow["mlflow-auth"], 0

    def password(self, name: str) -> str:
        return secret(self, name)["password"]

    def patch(self, kind: str, name: str, patch: Sequence[Mapping[str, Any]]) -> bool:
        if (kind, name) == ("deployment", "mlflow"):
            status = self.objects["deployment", "mlflow"]["status"]
            self.objects["deployment", "mlflow"]["metadata"]["generation"] += 1
            status["readyReplicas"] = status["availableReplicas"] = 0
        return super().patch(kind, name, patch)

    def execute(self, pod: str, words: Sequence[str]) -> str:
        assert pod == "postgres-0"
        self.commands.append(words)
        names = {f"{DATABASE_MOUNT}/password": DATABASE_SECRET, f"{TRAINING_MOUNT}/password": TRAINING_SECRET}
        if words[0] == "sha256sum":
            self.lag -= 1
            if self.lag < 0:
                self.mounted = {name: self.password(name) for name in self.mounted}
            return f"{hashlib.sha256(self.mounted[names[words[1]]].encode()).hexdigest()}  {words[1]}\n"
        assert words[-1] == "--file=/etc/database/bootstrap.sql"
        self.roles = dict(self.mounted)
        self.wrote()
        return ""

    def settle(self) -> None:
        """What the cluster does while one waits: the new pod of MLflow starts, and is ready if it gets in."""
        deployment = self.objects["deployment", "mlflow"]
        if deployment["status"]["observedGeneration"] == deployment["metadata"]["generation"]:
            return
        self.starts += 1
        self.mlflow = {name: self.password(name) for name in self.mlflow}
        self.login = self.mlflow["mlflow-auth"]
        deployment["status"]["observedGeneration"] = deployment["metadata"]["generation"]
        ready = int(self.mlflow["postgres-auth"] == self.roles["postgres-auth"])
        deployment["status"] |= {"readyReplicas": ready, "availableReplicas": ready}

    def place(self, watch: Watch) -> Place:
        watch.at_every_look = self.settle
        return Place(found=self, execute=self.execute, waiting=watch.waiting)
