"""The Kubernetes client library, loaded when the first question is asked: many commands ask none."""

from types import ModuleType
from typing import Final

from ml.lean import without

VALIDATION: Final = "kubernetes_validate"
"""What its dynamic client would check manifests with, and nothing here does. It brings all of jsonschema along."""


def kubernetes() -> ModuleType:
    """The library, with its modules `client` and `config`."""
    with without(VALIDATION):
        import kubernetes  # noqa: PLC0415  (slow to load)
    return kubernetes
