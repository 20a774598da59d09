"""Reads what a stack really runs: the live slot, each slot's image, the platform's images, the tracking login.

Asks only the cluster that was named for this project. The judging functions take plain JSON objects.
"""

import base64
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from infra.cluster import api_client, named
from infra.names import (
    KNOWN_IMAGES,
    LIVE_SERVICE,
    PROJECT,
    RECORD_DIGEST_ANNOTATION,
    RELEASE_LABEL,
    SLOT_LABEL,
    SLOTS,
    Slot,
    namespace,
    slot_name,
)
from ml.errors import GateError, SurroundingsError
from ml.stack.objects import KubernetesObjects, Objects
from ml.stack.slots import Held, Running

_BY_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Proven:
    """What takes traffic in a stack, proven: every pod of it ready, on this image, with this record."""

    slot: Slot
    held: Held
    record_digest: str


def objects(stack: str, kube_context: str) -> Objects:
    """The stack's namespace on the cluster named by MLP_KUBECONFIG or else the local one."""
    place = named(os.environ, kube_context)
    return KubernetesObjects(partial(api_client, place), namespace(stack), f"cluster of {place.kubeconfig}")


def running(found: Objects) -> Running:
    """Which slot takes traffic and what each slot runs; empty where nothing is deployed."""
    service = found.one("service", LIVE_SERVICE) or {}
    selected = _dig(service, "spec", "selector").get(SLOT_LABEL)
    slots: dict[Slot, Held] = {}
    for slot in SLOTS:
        deployment = found.one("deployment", slot_name(slot))
        release = _release(deployment) if deployment is not None else None
        if deployment is not None and release is not None:
            slots[slot] = Held(release=release, image=_image(deployment))
    return Running(live=next((slot for slot in SLOTS if slot == selected), None), slots=slots)


def proven(found: Objects, stack: str) -> Proven:
    """What takes traffic, if it is whole.

    Raises:
        GateError: If nothing is live, a pod is not ready, the image is not named by digest, or there is no record.
    """
    now = running(found)
    deployment = found.one("deployment", slot_name(now.live)) if now.live is not None else None
    if now.live is None or deployment is None or now.live not in now.slots:
        message = f"stack {stack!r}: no release takes traffic in namespace {namespace(stack)}"
        raise GateError("ML-REL-020", message, f"pulumi up --stack {stack}")
    held = now.slots[now.live]
    digest = _dig(deployment, "metadata", "annotations").get(RECORD_DIGEST_ANNOTATION)
    problems = list(unready(deployment))
    if held.image is None:
        problems.append("its image is not named by digest")
    if not digest:
        problems.append(f"it carries no annotation {RECORD_DIGEST_ANNOTATION}")
    if problems:
        message = f"stack {stack!r}: {held.release} in slot {now.live} is not proven: {'; '.join(problems)}"
        raise GateError(
            "ML-REL-021", message, f"kubectl -n {namespace(stack)} describe deployment {slot_name(now.live)}"
        )
    return Proven(slot=now.live, held=held, record_digest=str(digest))


def platform_images(found: Objects) -> dict[str, str]:
    """The platform images that the stack's workloads run, by digest."""
    images: dict[str, str] = {}
    # Of a Job the image may be an old one, and only a batch run or a search may have it at all: the newest Job counts,
    # and what runs for good counts more.
    for kind in ("job", "deployment", "statefulset", "cronjob"):
        for workload in sorted(found.every(kind), key=_made):
            for image in _images(workload, kind):
                name = image.partition("@")[0].rpartition("/")[2]
                if name in KNOWN_IMAGES and f"{PROJECT}/{name}@" in image and _BY_DIGEST.fullmatch(image):
                    images[name] = image
    return dict(sorted(images.items()))


def secret(found: Objects, name: str) -> dict[str, str]:
    """A Secret's values. The caller never prints them.

    Raises:
        SurroundingsError: If the stack has no such Secret.
    """
    raw = found.one("secret", name)
    if raw is None:
        raise SurroundingsError("ML-CLUSTER-021", f"secret {name} does not exist", "pulumi up --stack STACK")
    return {key: base64.b64decode(value).decode() for key, value in (raw.get("data") or {}).items()}


def node_port(found: Objects, service: str) -> int | None:
    """The first NodePort of a Service; None when it has none."""
    spec = (found.one("service", service) or {}).get("spec", {})
    return next((port["nodePort"] for port in spec.get("ports", []) if port.get("nodePort")), None)


def _dig(value: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        value = value.get(key) or {}
    return value


def _release(deployment: Mapping[str, Any]) -> str | None:
    labels = _dig(deployment, "spec", "template", "metadata", "labels")
    found = labels.get(RELEASE_LABEL) or _dig(deployment, "metadata", "labels").get(RELEASE_LABEL)
    return str(found) if found else None


def _image(deployment: Mapping[str, Any]) -> str | None:
    images = list(_images(deployment, "deployment"))
    return images[0] if images and _BY_DIGEST.fullmatch(images[0]) else None


def _made(workload: Mapping[str, Any]) -> str:
    return str(_dig(workload, "metadata").get("creationTimestamp", ""))


def _images(workload: Mapping[str, Any], kind: str) -> Iterable[str]:
    path = ("spec", "jobTemplate", "spec", "template", "spec") if kind == "cronjob" else ("spec", "template", "spec")
    pod = _dig(workload, *path)
    return [str(c.get("image", "")) for c in [*pod.get("containers", []), *(pod.get("initContainers") or [])]]


def unready(deployment: Mapping[str, Any]) -> Iterable[str]:
    """What is missing until every replica of a Deployment is ready, as its last change wants it."""
    status, metadata = _dig(deployment, "status"), _dig(deployment, "metadata")
    wanted = _dig(deployment, "spec").get("replicas", 1)
    if status.get("observedGeneration", 0) < metadata.get("generation", 0):
        yield "its last change has not been rolled out yet"
    if wanted == 0:
        yield "it has no replicas"
    for name in ("updatedReplicas", "readyReplicas", "availableReplicas"):
        if status.get(name, 0) < wanted:
            yield f"{name} is {status.get(name, 0)} of {wanted}"
