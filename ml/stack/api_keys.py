"""Rotates the API key of a stack's model so that no client ever holds a key that a pod does not know.

The Secret of the key says how far a rotation is, so a command that was killed is run again and goes on:

    {key}             -> rotate draws `next` and lets the pods know it
    {key, next}       -> once every pod accepts it, it becomes `key`, and the earlier one `previous`
    {key, previous}   -> clients move; retire lets the pods forget the previous one, then drops it
    {key}

Whoever reads `key`, a person or a Job, always gets one that all pods accept.
"""

from collections.abc import Callable, Iterable
from typing import Final

from infra.key_hashes import hash_lines
from infra.names import (
    ANALYSIS,
    API_KEY_FIELD,
    API_KEY_HASHES_FILE,
    API_KEY_HASHES_SECRET,
    API_KEY_NEXT_FIELD,
    API_KEY_PREVIOUS_FIELD,
    API_KEY_SECRET,
    NAME_LABEL,
    SMOKE,
    namespace,
)
from ml.errors import SurroundingsError, TransientError, UsageError
from ml.stack import serving_pods
from ml.stack.cluster import secret
from ml.stack.objects import Objects
from ml.stack.values import Values, change, version_of
from ml.stack.waiting import Waiting

_HOLD_A_KEY: Final = (SMOKE, ANALYSIS)
"""Jobs that read the key at their start and call the model with it until they end."""


def current(found: Objects, stack: str) -> str:
    """The key that every pod accepts.

    Raises:
        SurroundingsError: There is no Secret, or no key in it.
    """
    return _key(secret(found, API_KEY_SECRET), stack)


def rotate(found: Objects, stack: str, draw: Callable[[], str], waiting: Waiting) -> float:
    """Draw a key and make it the current one once every pod accepts it; the previous one stays valid.

    Returns:
        The seconds until every pod accepted it.

    Raises:
        UsageError: `ML-SECRET-001` the previous key has not been retired.
        TransientError: Pods do not accept it in time. Run again, it goes on with the same key.
    """

    def begun(values: Values) -> Values:
        _key(values, stack)
        if API_KEY_PREVIOUS_FIELD in values:
            message = f"stack {stack!r}: the key was rotated, and its previous one is still accepted"
            raise UsageError("ML-SECRET-001", message, f"mlp api-key retire --stack {stack}")
        return values if API_KEY_NEXT_FIELD in values else {**values, API_KEY_NEXT_FIELD: draw()}

    values = change(found, API_KEY_SECRET, begun)
    drawn = values[API_KEY_NEXT_FIELD]
    _let_know(found, (values[API_KEY_FIELD], drawn))
    took = serving_pods.wait(found, drawn, "accepts", version_of(found, API_KEY_HASHES_SECRET), waiting)
    change(found, API_KEY_SECRET, lambda values: _moved(values, drawn))
    return took


def retire(found: Objects, stack: str, waiting: Waiting) -> float | None:
    """Let every pod forget the previous key; the seconds it took, None when there is none.

    Raises:
        UsageError: `ML-SECRET-002` a rotation was cut off, so nobody has the new key yet.
        TransientError: `ML-SECRET-005` a Job runs that may hold the previous key; or pods still accept it.
    """
    values = secret(found, API_KEY_SECRET)
    key = _key(values, stack)
    if API_KEY_NEXT_FIELD in values:
        message = f"stack {stack!r}: the rotation is not complete, so the new key is nobody's yet"
        raise UsageError("ML-SECRET-002", message, f"mlp api-key rotate --stack {stack}")
    previous = values.get(API_KEY_PREVIOUS_FIELD)
    if previous is None:
        return None
    if hash_lines([previous]) in secret(found, API_KEY_HASHES_SECRET).get(API_KEY_HASHES_FILE, ""):
        _refuse_while_held(found, stack)
    _let_know(found, (key,))
    took = serving_pods.wait(found, previous, "refuses", version_of(found, API_KEY_HASHES_SECRET), waiting)
    change(found, API_KEY_SECRET, lambda values: _without(values, API_KEY_PREVIOUS_FIELD, previous))
    return took


def _key(values: Values, stack: str) -> str:
    key = values.get(API_KEY_FIELD)
    if not key:
        message = f"secret {API_KEY_SECRET} of stack {stack!r} has no {API_KEY_FIELD!r}"
        both = f"kubectl -n {namespace(stack)} delete secret {API_KEY_SECRET} {API_KEY_HASHES_SECRET}"
        raise SurroundingsError("ML-CONF-005", message, f"{both} && pulumi up --stack {stack} --refresh")
    return key


def _let_know(found: Objects, keys: Iterable[str]) -> None:
    lines = hash_lines(keys)
    change(found, API_KEY_HASHES_SECRET, lambda values: {**values, API_KEY_HASHES_FILE: lines})


def _moved(values: Values, drawn: str) -> Values:
    """The drawn key is the current one; unchanged when another run of the command has moved it already."""
    if values.get(API_KEY_NEXT_FIELD) != drawn:
        return values
    rest = {field: value for field, value in values.items() if field != API_KEY_NEXT_FIELD}
    return {**rest, API_KEY_FIELD: drawn, API_KEY_PREVIOUS_FIELD: values[API_KEY_FIELD]}


def _without(values: Values, field: str, value: str) -> Values:
    return {each: held for each, held in values.items() if (each, held) != (field, value)}


def _refuse_while_held(found: Objects, stack: str) -> None:
    running = [
        str(job["metadata"]["name"])
        for job in found.every("job")
        if (job["metadata"].get("labels") or {}).get(NAME_LABEL) in _HOLD_A_KEY
        and ((job.get("status") or {}).get("active") or 0) > 0
    ]
    if running:
        message = f"stack {stack!r}: {', '.join(sorted(running))} may have started with the previous key"
        raise TransientError("ML-SECRET-005", message, "the same command once `pulumi up` is over")
