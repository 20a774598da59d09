"""Every password and key of a stack: drawn on the first `pulumi up`, kept as Kubernetes Secrets, never in a file.

The values are pulumi secrets, so the state holds them encrypted. `ignore_changes` keeps what the cluster holds, be it
what the first run stored or what `mlp api-key rotate` has made of it since; every run draws anew and drops the draw.
docs/adr/0006 says why a run can never bring a retired value back.
"""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_kubernetes.core.v1 import Secret
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.backing import postgres, tracking
from infra.key_hashes import all_keys, hash_lines
from infra.names import (
    API_KEY_FIELD,
    API_KEY_HASHES_FILE,
    API_KEY_HASHES_SECRET,
    API_KEY_SECRET,
    DATABASE_SECRET,
    LOGIN_SECRET,
    MODEL,
    SECRET_BYTES,
    TRAINING_SECRET,
    labels,
)

MLFLOW_USER: Final = "operator"


@dataclass(frozen=True, kw_only=True)
class CredentialsArgs:
    """Where they live."""

    namespace: pulumi.Input[str]


class Credentials(pulumi.ComponentResource):
    """Names of the Secrets; each is known once its Secret exists."""

    postgres: pulumi.Output[str]
    training: pulumi.Output[str]
    mlflow: pulumi.Output[str]
    key: pulumi.Output[str]
    """The API key itself, for the Jobs that call the model."""
    key_hashes: pulumi.Output[str]
    """What serving pods mount: they see only the SHA-256 of the API key."""

    def __init__(self, name: str, args: CredentialsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ml-pipeline:infra:Credentials", name, None, opts)
        database = self._drawn(DATABASE_SECRET, args, labels("postgres", "storage"), {postgres.PASSWORD_KEY: _token()})
        training = self._drawn(TRAINING_SECRET, args, labels("training", "training"), {postgres.PASSWORD_KEY: _token()})
        login = self._drawn(
            LOGIN_SECRET,
            args,
            labels("mlflow", "tracking"),
            {
                tracking.USERNAME_KEY: MLFLOW_USER,
                tracking.PASSWORD_KEY: _token(),
                tracking.FLASK_KEY: _token(),
            },
        )
        key = self._drawn(API_KEY_SECRET, args, labels(MODEL, "serving"), {API_KEY_FIELD: _token()})
        # From the stored key, not the drawn one: the two Secrets agree even if a run dies between them. Only when it is
        # made: later the key in the state may be older than the cluster's, and its hash would lock out every client.
        hashed: pulumi.Output[dict[str, str]] = key.data.apply(hashes_of)
        hashes = Secret(
            API_KEY_HASHES_SECRET,
            metadata=ObjectMetaArgs(
                name=API_KEY_HASHES_SECRET,
                namespace=args.namespace,
                labels=labels(MODEL, "serving"),
            ),
            data=pulumi.Output.secret(hashed),  # type: ignore[arg-type]  # its type variable does not unify
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["data"]),
        )
        self.postgres, self.training, self.mlflow, self.key, self.key_hashes = (
            _name(one) for one in (database, training, login, key, hashes)
        )
        self.register_outputs(
            {
                "postgres": self.postgres,
                "training": self.training,
                "mlflow": self.mlflow,
                "key": self.key,
                "key_hashes": self.key_hashes,
            }
        )

    def _drawn(self, name: str, args: CredentialsArgs, its_labels: dict[str, str], values: Mapping[str, str]) -> Secret:
        data = {key: _encode(value) for key, value in values.items()}
        return Secret(
            name,
            metadata=ObjectMetaArgs(name=name, namespace=args.namespace, labels=its_labels),
            data=pulumi.Output.secret(data),
            # A lost password locks the database's volume: only `pulumi destroy` may take it.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["data"]),
        )


def hashes_of(data: Mapping[str, str]) -> dict[str, str]:
    """The data of the hashes' Secret for the data of the key's, whose rotation may not be over."""
    values = {field: base64.b64decode(value).decode() for field, value in data.items()}
    return {API_KEY_HASHES_FILE: _encode(hash_lines(all_keys(values)))}


def _token() -> str:
    return secrets.token_urlsafe(SECRET_BYTES)


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _name(secret: Secret) -> pulumi.Output[str]:
    name: pulumi.Output[str] = secret.metadata.name
    return name
