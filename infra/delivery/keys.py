"""The API key of the model: made once, on the first `pulumi up`, kept as a Kubernetes Secret.

The key itself is for the operator (`mlp api-key`); pods see only its SHA-256.
"""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import Secret
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.names import (
    API_KEY_FIELD,
    API_KEY_HASHES_FILE,
    API_KEY_HASHES_SECRET,
    API_KEY_SECRET,
    MODEL,
    labels,
)

KEY_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class ApiKeysArgs:
    """Where the key lives."""

    namespace: pulumi.Input[str]


class ApiKeys(pulumi.ComponentResource):
    """One key: plain for the operator, hashed for the pods."""

    hashes_secret: pulumi.Output[str]
    """Name of the Secret that serving pods mount."""

    def __init__(self, name: str, args: ApiKeysArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ml-pipeline:delivery:ApiKeys", name, None, opts)
        key = Secret(
            f"{name}-plain",
            metadata=_metadata(API_KEY_SECRET, args.namespace),
            data=pulumi.Output.secret({API_KEY_FIELD: _encode(secrets.token_urlsafe(KEY_BYTES))}),
            # Every run draws another key; the one that the first run stored stays.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["data"]),
        )
        # From the stored key, not the drawn one: the two Secrets agree even if a run dies between them.
        hashed: pulumi.Output[dict[str, str]] = key.data.apply(_hashed)
        hashes = Secret(
            f"{name}-hashes",
            metadata=_metadata(API_KEY_HASHES_SECRET, args.namespace),
            data=pulumi.Output.secret(hashed),  # type: ignore[arg-type]  # its type variable does not unify
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.hashes_secret = hashes.metadata.apply(lambda metadata: str(metadata.name))
        self.register_outputs({"hashes_secret": self.hashes_secret})


def _metadata(name: str, namespace: pulumi.Input[str]) -> ObjectMetaArgs:
    return ObjectMetaArgs(name=name, namespace=namespace, labels=labels(MODEL, "serving"))


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _hashed(data: Mapping[str, str]) -> dict[str, str]:
    digest = hashlib.sha256(base64.b64decode(data[API_KEY_FIELD])).hexdigest()
    return {API_KEY_HASHES_FILE: _encode(f"{digest}\n")}
