"""Every name that two parts must agree on: labels, annotations, object names, ports.

Pure: imports neither pulumi nor anything of ours, so the policies, the command line and the tests read the same names.
"""

from typing import Final, Literal

PROJECT: Final = "ml-pipeline"

Slot = Literal["blue", "green"]
SLOTS: Final[tuple[Slot, ...]] = ("blue", "green")

SLOT_LABEL: Final = "ml-pipeline/slot"
RELEASE_LABEL: Final = "ml-pipeline/release"
NAME_LABEL: Final = "app.kubernetes.io/name"

# The whole record and its signature stand on the Deployment only; the two digests also on its pods, so that a changed
# record rolls them.
RECORD_ANNOTATION: Final = "ml-pipeline/release-record"
RECORD_DIGEST_ANNOTATION: Final = "ml-pipeline/record-digest"
SIGNATURE_ANNOTATION: Final = "ml-pipeline/release-signature"
MODEL_SHA256_ANNOTATION: Final = "ml-pipeline/model-sha256"
SLOT_HASH_ANNOTATION: Final = "ml-pipeline/slot-hash"
"""Of a slot's pods: one hash of model, image and configuration. What smoke and analysis vouch for."""
ROLLED_BACK_ANNOTATION: Final = "ml-pipeline/rolled-back"
"""Of the live Service: JSON, the releases that traffic was taken from, the newest last."""

RAISED_ANNOTATION: Final = "ml-pipeline/raised"
"""Of a slot's autoscaler: when its minimum was raised for a switch, UTC. What has none is not put back by us."""

MODEL: Final = "model"
LIVE_SERVICE: Final = "model"
PREVIEW_SERVICE: Final = "model-preview"
ROUTE: Final = "model"
"""The HTTPRoute, where a stack has one."""
CANARY_MOST: Final = 50
"""Percent of the route for the idle slot. With more, it would be what most clients get, while analysis, drift check and
champion take the other one for live: that is a switch, and has its own gates."""
SERVICE_PORT: Final = 80
CONTAINER_PORT: Final = 8000

SMOKE: Final = "smoke"
BATCH: Final = "batch"
"""Pods, account and volume of batch prediction; its Jobs are `batch-<run>`."""
ANALYSIS: Final = "analysis"

SECRET_BYTES: Final = 32
"""Of randomness in every value that is drawn, by the program and by the commands that rotate one."""
API_KEY_SECRET: Final = "model-api-key"  # noqa: S105  (the name of an object)
API_KEY_FIELD: Final = "key"
API_KEY_NEXT_FIELD: Final = "next"
"""Drawn by a rotation, and not yet known to every pod."""
API_KEY_PREVIOUS_FIELD: Final = "previous"
"""Accepted until it is retired."""
API_KEY_HASHES_SECRET: Final = "model-api-key-hashes"  # noqa: S105  (the name of an object)
API_KEY_HASHES_FILE: Final = "keys"
API_KEYS_MOUNT: Final = "/etc/model"
DATABASE_SECRET: Final = "postgres-auth"  # noqa: S105  (the name of an object)
TRAINING_SECRET: Final = "training-auth"  # noqa: S105  (the name of an object)
LOGIN_SECRET: Final = "mlflow-auth"  # noqa: S105  (the name of an object)
PASSWORD_FIELD: Final = "password"  # noqa: S105  (the name of a field)
"""Of each of the three above."""
DATABASE_MOUNT: Final = "/run/secrets/postgres"
TRAINING_MOUNT: Final = "/run/secrets/training"
"""Where Postgres' pod sees its two."""

# Images that the platform's own pods run; a slot's image is named by its release instead.
PLATFORM_IMAGES: Final = ("worker", "mlflow", "postgres", "prometheus", "kube-state-metrics")
TRAINING_IMAGE: Final = "training"
"""Made and needed only where the configuration asks for a search, a retraining or batch prediction."""
KNOWN_IMAGES: Final = (*PLATFORM_IMAGES, TRAINING_IMAGE)
SERVING_IMAGE: Final = "serving"
DIGEST_PATTERN: Final = r"[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}"
"""An image by digest, without a tag that would only pretend to mean something."""


def namespace(stack: str) -> str:
    """The namespace that holds everything of one stack."""
    return f"ml-{stack}"


def slot_name(slot: Slot) -> str:
    """Name of a slot's Deployment and of its own Service."""
    return f"{MODEL}-{slot}"


def repository(registry: str, image: str) -> str:
    """Where an image of ours lives in the registry, without tag or digest."""
    return f"{registry}/{PROJECT}/{image}"


def selector(name: str, slot: Slot | None = None) -> dict[str, str]:
    """The labels that find pods: the part of `labels` that never changes in an object's life."""
    found = {NAME_LABEL: name, "app.kubernetes.io/part-of": PROJECT}
    return found if slot is None else {**found, SLOT_LABEL: slot}


def labels(name: str, component: str, *, slot: Slot | None = None, release: str | None = None) -> dict[str, str]:
    """The labels of an object and of its pods.

    Args:
        name: What runs there, such as `model` or `postgres`; also its Service's name where it has one.
        component: Its part in the pipeline: `serving`, `tracking`, `monitoring`, `storage`, `drift`, `delivery`.
        slot: The colour, for what belongs to one slot.
        release: The release id, for what carries a release.
    """
    found = {
        **selector(name, slot),
        "app.kubernetes.io/managed-by": "pulumi",
        "app.kubernetes.io/component": component,
    }
    return found if release is None else {**found, RELEASE_LABEL: release}
