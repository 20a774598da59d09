"""The shape of a release record and of a gate policy: which fields, of which type. Pure, standard library only.

Says where a value breaks its rule and never raises, whatever JSON it is given. Called by `ml.release.record`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ml.release.gate import METRICS, is_number

SCHEMA = "ml-pipeline/release/v1"
RELEASE_ID = re.compile(r"[a-z][a-z0-9-]*-[0-9]{4}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Rule = Callable[[Any], str | None]
"""Says what a value must be when it is not; None when it is right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flaw:
    """One value that breaks its rule. `kind` is missing, unknown or wrong."""

    path: str
    kind: str
    message: str


def record_flaws(record: object) -> list[Flaw]:
    """Every field of a record that is missing, unknown or of the wrong shape."""
    return list(_walk("record", record, _RECORD))


def policy_flaws(policy: object) -> list[Flaw]:
    """Every field of a gate policy that is missing, unknown or of the wrong shape."""
    return list(_walk("gate.policy", policy, _POLICY))


@dataclass(frozen=True, slots=True)
class _Each:
    """A map (or list) whose every value follows one spec."""

    spec: Any
    container: type[dict[str, Any]] | type[list[Any]] = dict
    minimum: int = 0


@dataclass(frozen=True, slots=True)
class _OrNull:
    spec: Any


def _walk(path: str, value: Any, spec: Any) -> Iterator[Flaw]:
    if isinstance(spec, _OrNull):
        if value is not None:
            yield from _walk(path, value, spec.spec)
    elif isinstance(spec, _Each):
        yield from _walk_each(path, value, spec)
    elif isinstance(spec, Mapping):
        yield from _walk_fields(path, value, spec)
    elif (rule := spec(value)) is not None:
        yield Flaw(path=path, kind="wrong", message=f"{path}={short(value)}: must be {rule}")


def _walk_each(path: str, value: Any, spec: _Each) -> Iterator[Flaw]:
    if not isinstance(value, spec.container):
        noun = "an object" if spec.container is dict else "a list"
        yield Flaw(path=path, kind="wrong", message=f"{path}={short(value)}: must be {noun}")
        return
    if len(value) < spec.minimum:
        yield Flaw(path=path, kind="wrong", message=f"{path}: is empty; must have at least {spec.minimum} entry")
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield from _walk(f"{path}[{key!r}]", item, spec.spec)


def _walk_fields(path: str, value: Any, spec: Mapping[str, Any]) -> Iterator[Flaw]:
    if not isinstance(value, dict):
        yield Flaw(path=path, kind="wrong", message=f"{path}={short(value)}: must be an object")
        return
    for key in spec:
        if key not in value:
            yield Flaw(path=f"{path}.{key}", kind="missing", message=f"{path}.{key}: is missing")
    for key, item in value.items():
        if key in spec:
            yield from _walk(f"{path}.{key}", item, spec[key])
        else:
            yield Flaw(path=f"{path}.{key}", kind="unknown", message=f"{path}.{key}: is not a field of {SCHEMA}")


def short(value: object, limit: int = 80) -> str:
    """The value for a message. Never a container's content: it may nest deeper than `repr` can follow."""
    if isinstance(value, dict | list):
        return f"<{'object' if isinstance(value, dict) else 'list'} of {len(value)}>"
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and value else "a non-empty string"


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "true or false"


def _anything(_value: Any) -> None:
    return None


def _sha256(value: Any) -> str | None:
    return None if isinstance(value, str) and _SHA256.fullmatch(value) else "a sha256 in lower-case hex"


def _release_id(value: Any) -> str | None:
    return None if isinstance(value, str) and RELEASE_ID.fullmatch(value) else "a release id such as flights-0001"


def _moment(value: Any) -> str | None:
    rule = "a UTC time such as 2013-07-01T12:00:00Z"
    if not isinstance(value, str) or not value.endswith("Z"):
        return rule
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return rule
    return None


def _date(value: Any) -> str | None:
    return None if isinstance(value, str) and _DATE.fullmatch(value) else "a date such as 2026-12-31"


def _at_least(minimum: float, *, whole: bool = False) -> Rule:
    def rule(value: Any) -> str | None:
        fits = is_number(value) and value >= minimum and (not whole or isinstance(value, int))
        return None if fits else f"a finite {'whole ' if whole else ''}number of at least {minimum:g}"

    return rule


def _one_of(*values: str) -> Rule:
    return lambda value: None if value in values else f"one of {', '.join(values)}"


def _share(value: Any) -> str | None:
    return None if is_number(value) and 0 <= value <= 1 else "a number from 0 to 1"


def _number(value: Any) -> str | None:
    return None if is_number(value) else "a finite number"


def _known_floors(value: Any) -> str | None:
    if not isinstance(value, dict) or not value:
        return "an object with at least one metric"
    fits = all(name in METRICS and is_number(floor) for name, floor in value.items())
    return None if fits else f"metric: finite number, with metrics of {', '.join(sorted(METRICS))}"


_COUNT = _at_least(0, whole=True)
_PERIOD = {"from": _text, "to": _text, "rows": _COUNT}
_POLICY: Mapping[str, Any] = {
    "floors": _known_floors,
    "max_drop": _at_least(0),
    "max_drops": _Each(_at_least(0)),
    "min_test_rows": _COUNT,
    "drift": {"required": _flag, "min_rows": _at_least(1, whole=True), "min_d": _share, "alpha": _share},
    "scans": {
        "required": _Each(_text, list),
        "exceptions": _Each({"scan": _text, "reason": _text, "owner": _text, "expires": _date}, list),
    },
}
_CHECK = {
    "name": _text,
    "rule": _one_of("floor", "champion", "rows", "drift", "scan"),
    "value": _anything,
    "limit": _anything,
    "outcome": _one_of("pass", "fail", "inconclusive"),
    "reason": _text,
}
_SCAN = {
    "tool": _text,
    "version": _text,
    "subject": _text,
    "subject_sha256": _sha256,
    "covered": _COUNT,
    "total": _COUNT,
    "database_date": _OrNull(_text),
    "verdict": _one_of("pass", "fail", "incomplete"),
    "reason": _text,
    "findings": _Each(_text, list),
}
_RECORD: Mapping[str, Any] = {
    "schema": _one_of(SCHEMA),
    "release": _release_id,
    "problem": _text,
    "kind": _one_of("binary", "multiclass", "regression"),
    "created_at": _moment,
    "data": {
        "source": _text,
        "snapshot_sha256": _sha256,
        "train": _PERIOD,
        "test": _PERIOD,
        "dropped": _Each(_COUNT),
    },
    "code": {"commit": _OrNull(_text), "dirty": _flag, "tree_sha256": _sha256},
    "lock_sha256": _sha256,
    "environment": {"python": _text, "packages": _Each(_text)},
    "parameters": _Each(_anything),
    "files": {"model.onnx": _sha256, "serving.json": _sha256},
    "model": {
        "bytes": _at_least(1, whole=True),
        "opset": _at_least(1, whole=True),
        "parity_max_abs_diff": _at_least(0),
        "parity_rows": _at_least(1, whole=True),
    },
    "metrics": _Each(_anything, minimum=1),
    "champion": _OrNull({"release": _release_id, "digest": _sha256, "metrics": _Each(_anything, minimum=1)}),
    "drift": {
        "features": _Each(
            {
                "role": _one_of("gate", "watch"),
                "n_reference": _COUNT,
                "n_current": _COUNT,
                "missing_reference": _COUNT,
                "missing_current": _COUNT,
                "d": _OrNull(_share),
                "p": _OrNull(_share),
            }
        ),
    },
    "scans": _Each(_SCAN),
    "gate": {
        "mode": _one_of("champion", "bootstrap"),
        "policy": _POLICY,
        "checks": _Each(_CHECK, list),
        "verdict": _one_of("pass", "fail", "inconclusive"),
    },
    "digest": _sha256,
}
