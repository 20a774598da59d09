"""The pods of both slots, each asked whether it accepts a key.

Not by the Services: they would show one pod of many, and by chance. The API server reaches every pod; the key goes to
it in a header, which it passes on and writes nowhere. The request has no body, so that a key which is accepted predicts
nothing: no counter of predictions or of drift moves.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, Final, Literal

from infra.names import CONTAINER_PORT, MODEL, NAME_LABEL, SLOT_LABEL
from ml.stack.objects import Objects
from ml.stack.values import show_soon
from ml.stack.waiting import Waiting

Answer = Literal["accepts", "refuses", "is silent"]

KNOWN_WITHIN_S: Final = 240
"""Longest wait for every pod. A Secret reaches a pod's volume within 90 s; the server reads it within one more."""
_GONE: Final = ("Succeeded", "Failed")
# The key is looked at before the body, and the body is what a request without one fails by.
_MEANS: Final[Mapping[str, Answer]] = {
    "unauthenticated": "refuses",
    "malformed_json": "accepts",
    "invalid_request": "accepts",
}


def names(found: Objects) -> list[str]:
    """Every pod of a slot that runs or will: one that goes still has connections, one that starts has its volume."""
    return sorted(str(pod["metadata"]["name"]) for pod in found.every("pod") if _serves(pod))


def answer(found: Objects, pod: str, key: str) -> Answer:
    """What a pod makes of a key."""
    body = found.post(f"{pod}:{CONTAINER_PORT}", "predict", {"X-API-Key": key})
    try:
        code = json.loads(body)["error"]["code"]
    except (ValueError, KeyError, TypeError):  # not the model server's own words: they say nothing about the key
        return "is silent"
    return _MEANS.get(code, "is silent")


def wait(found: Objects, key: str, wanted: Answer, version: str, waiting: Waiting) -> float:
    """Until every pod gives the wanted answer; the seconds it took.

    Args:
        found: The stack's namespace.
        key: What is asked about.
        wanted: What each must answer.
        version: Of the Secret that makes it answer so.
        waiting: How long, and whom to tell.

    Raises:
        TransientError: `ML-SECRET-003` if some do not in time.
    """
    what = "every pod of the model accepts the new key" if wanted == "accepts" else "every pod refuses the previous key"
    return waiting.until(what, _missing(found, key, wanted, version), KNOWN_WITHIN_S, "ML-SECRET-003")


def _missing(found: Objects, key: str, wanted: Answer, version: str) -> Callable[[], Sequence[str]]:
    """The pods that have not given the answer yet; one that has is not asked again, for it cannot go back."""
    done: set[str] = set()
    looks = count()

    def look() -> Sequence[str]:
        number, said = next(looks), {pod: answer(found, pod, key) for pod in names(found) if pod not in done}
        done.update(pod for pod, words in said.items() if words == wanted)
        for pod in said.keys() - done:
            show_soon(found, pod, version, number)
        return [f"{pod}, which {words}" for pod, words in said.items() if words != wanted]

    return look


def _serves(pod: Mapping[str, Any]) -> bool:
    labels = pod["metadata"].get("labels") or {}
    ours = labels.get(NAME_LABEL) == MODEL and SLOT_LABEL in labels
    # Without a node it has no volume yet, and gets the Secret as it is by then.
    placed = bool((pod.get("spec") or {}).get("nodeName"))
    return ours and placed and (pod.get("status") or {}).get("phase") not in _GONE
