"""Changes what a Secret holds: one guarded request a change, so that nobody's change in between is lost.

The values stay in the process and in the Secret; no message holds one.
"""

import base64
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from ml.errors import SurroundingsError, TransientError
from ml.stack.cluster import secret
from ml.stack.objects import Objects, annotations_of, pointer

Values = Mapping[str, str]

SEEN_ANNOTATION: Final = "ml-pipeline/secret-version"
"""Of a pod, or of a Deployment's pods: the version of a Secret that it is to read."""
_TRIES: Final = 5


def change(found: Objects, name: str, to: Callable[[Values], Values]) -> Values:
    """Let a Secret hold what `to` makes of its values; nothing is written when that is what it holds.

    Raises:
        SurroundingsError: If there is no such Secret.
        TransientError: `ML-SECRET-004` others kept changing it at the same time.
    """
    for _ in range(_TRIES):
        version, before = version_of(found, name), secret(found, name)
        after = to(before)
        if after == before:
            return after
        data = {field: base64.b64encode(value.encode()).decode() for field, value in after.items()}
        guard = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
        if found.patch("secret", name, [guard, {"op": "add", "path": "/data", "value": data}]):
            return after
    message = f"secret {name}: somebody else changed it {_TRIES} times in between"
    raise TransientError("ML-SECRET-004", message, "the same command again")


def version_of(found: Objects, name: str) -> str:
    """The Secret's `resourceVersion`, which every change of it moves."""
    return str(((found.one("secret", name) or {}).get("metadata") or {}).get("resourceVersion", ""))


def show_soon(found: Objects, pod: str, version: str, look: int) -> None:
    """Have the kubelet look at a pod's Secrets now and not at its next round, up to 90 s later.

    It looks whenever the pod changes, so the pod gets an annotation; again with every tenth look of the caller, since
    it may have been faster than the Secret. Only a hurry: what cannot be hurried is waited for.
    """
    with suppress(SurroundingsError):
        mark(found, "pod", pod, f"{version}.{look // 10}")


def mark(found: Objects, kind: str, name: str, version: str, above: str = "/metadata") -> None:
    """Annotate an object, or by `above` its template, with the version that it is to read; once is enough."""
    place = found.one(kind, name) or {}
    for part in above.split("/")[1:-1]:
        place = place.get(part) or {}
    known = annotations_of(place)
    if known.get(SEEN_ANNOTATION) == version:
        return
    path = f"{above}/annotations"
    empty = [] if known else [{"op": "add", "path": path, "value": {}}]
    found.patch(kind, name, [*empty, {"op": "add", "path": f"{path}/{pointer(SEEN_ANNOTATION)}", "value": version}])
