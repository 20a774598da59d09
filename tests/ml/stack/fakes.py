"""A namespace as JSON objects, as the API server would answer."""

import base64
import copy
from collections.abc import Mapping
from typing import Any

from infra.names import LIVE_SERVICE, RECORD_DIGEST_ANNOTATION, RELEASE_LABEL, SLOT_LABEL, repository, slot_name

DIGEST = "d" * 64


def image(name: str, letter: str = "a") -> str:
    return f"{repository('127.0.0.1:5000', name)}@sha256:{letter * 64}"


class Namespace:
    """Objects by kind and name."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}

    def one(self, kind: str, name: str) -> Mapping[str, Any] | None:
        return copy.deepcopy(self.objects.get((kind, name)))

    def every(self, kind: str) -> list[Mapping[str, Any]]:
        return [copy.deepcopy(found) for (each, _), found in self.objects.items() if each == kind]

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
        self.objects["service", LIVE_SERVICE] = {"spec": {"selector": {SLOT_LABEL: slot}, "ports": [{"port": 80}]}}

    def platform(self, letter: str = "b") -> None:
        """One Deployment, one StatefulSet and one CronJob with platform images."""
        for kind, name in (("deployment", "mlflow"), ("statefulset", "postgres"), ("cronjob", "worker")):
            pod = {"spec": {"containers": [{"image": image(name, letter)}], "initContainers": None}}
            spec = {"jobTemplate": {"spec": {"template": pod}}} if kind == "cronjob" else {"template": pod}
            self.objects[kind, name] = {"spec": spec}

    def secret(self, name: str, **values: str) -> None:
        """A Secret."""
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        self.objects["secret", name] = {"data": data}
