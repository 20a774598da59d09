import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import GateError
from ml.release.example import example, example_bytes
from ml.release.proof import problems
from ml.release.record import MAX_BYTES, canonical_bytes, parse, seal, unsealed

GOOD = example_bytes()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def codes(raw: bytes) -> set[str]:
    return {problem.code for problem in problems(raw)}


def resealed(change: Callable[[dict[str, Any]], Any]) -> bytes:
    """A forgery: changed after the verdict, with a digest that fits."""
    record = copy.deepcopy(example())
    change(record)
    return canonical_bytes(seal(record))


def test_a_good_record_has_no_problems() -> None:
    assert problems(GOOD) == unsealed(GOOD) == []
    assert parse(GOOD)["release"] == "example-0000"


def test_the_seal_does_not_depend_on_the_order_of_fields() -> None:
    record = example()

    assert canonical_bytes(seal(dict(reversed(record.items())))) == GOOD


@settings(max_examples=100)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_any_changed_byte_is_found(at: int, value: int) -> None:
    changed = bytearray(GOOD)
    changed[at] = value if value != GOOD[at] else value ^ 1

    assert unsealed(bytes(changed))


@settings(max_examples=100)
@given(st.integers(0, len(GOOD)), st.binary(min_size=1, max_size=2))
def test_any_inserted_byte_is_found(at: int, inserted: bytes) -> None:
    assert unsealed(GOOD[:at] + inserted + GOOD[at:])


@pytest.mark.integration
def test_any_deleted_byte_is_found() -> None:
    assert [at for at in range(len(GOOD)) if not unsealed(GOOD[:at] + GOOD[at + 1 :])] == []


NOT_JSON = {
    "empty": b"",
    "not utf-8": b"\xff\xfe",
    "not json": b"{",
    "a list": b"[]\n",
    "a nan literal": GOOD.replace(b"0.81", b"NaN"),
    "an infinity literal": GOOD.replace(b"0.81", b"-Infinity"),
    "nested too deep": b"[" * 100_000,
    "a huge integer": b'{"a": ' + b"9" * 5000 + b"}",
    "too long": b" " * (MAX_BYTES + 1),
}


@pytest.mark.parametrize("raw", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_what_is_not_a_json_object_is_refused_in_one_problem(raw: bytes) -> None:
    assert [problem.code for problem in problems(raw)] == ["ML-REL-101"]
    with pytest.raises(GateError):
        parse(raw)


NOT_CANONICAL = {
    "a number beyond floats": GOOD.replace(b"0.81", b"1e999"),
    "a lone surrogate": GOOD.replace(b'"made up"', b'"\\ud800"'),
    "other white space": GOOD.replace(b'"kind": ', b'"kind":  '),
    "a key twice": GOOD.replace(b'  "kind": "binary",', b'  "kind": "binary",\n  "kind": "binary",'),
    "no newline at the end": GOOD[:-1],
    "an escaped letter": GOOD.replace(b'"made up"', b'"m\\u0061de up"'),
    "nested deep": GOOD.replace(b'"made up"', b"[" * 900 + b"]" * 900),
}


@pytest.mark.parametrize("raw", NOT_CANONICAL.values(), ids=NOT_CANONICAL.keys())
def test_other_bytes_of_a_record_are_refused(raw: bytes) -> None:
    assert raw != GOOD
    assert codes(raw) & {"ML-REL-101", "ML-REL-102"}


def _set(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(record: dict[str, Any]) -> None:
        target: Any = record
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = to

    return change


def _drop_check(record: dict[str, Any]) -> None:
    checks = record["gate"]["checks"]
    checks[:] = [check for check in checks if (check["rule"], check["name"]) != ("floor", "accuracy")]


FORGERIES = {
    "another digest": (lambda r: None, "ML-REL-103"),
    "another schema": (_set("schema", to="ml-pipeline/release/v3"), "ML-REL-106"),
    "a missing field": (lambda r: r.pop("lock_sha256"), "ML-REL-104"),
    "a missing inner field": (lambda r: r["model"].pop("opset"), "ML-REL-104"),
    "an unknown field": (_set("note", to="trust me"), "ML-REL-105"),
    "verdict fail": (_set("gate", "verdict", to="fail"), "ML-REL-110"),
    "verdict inconclusive": (_set("gate", "verdict", to="inconclusive"), "ML-REL-110"),
    "an unheard-of verdict": (_set("gate", "verdict", to="passed"), "ML-REL-106"),
    "empty checks": (_set("gate", "checks", to=[]), "ML-REL-111"),
    "a check that failed": (_set("gate", "checks", 0, "outcome", to="fail"), "ML-REL-112"),
    "a floor without a check": (_drop_check, "ML-REL-113"),
    "a metric that is NaN": (_set("metrics", "accuracy", to="NaN"), "ML-REL-114"),
    "a metric that is null": (_set("metrics", "accuracy", to=None), "ML-REL-114"),
    "a metric that is text": (_set("metrics", "accuracy", to="0.81"), "ML-REL-114"),
    "a metric that is true": (_set("metrics", "accuracy", to=True), "ML-REL-114"),
    "a negative metric": (_set("metrics", "accuracy", to=-0.1), "ML-REL-114"),
    "a metric above its range": (_set("metrics", "accuracy", to=1.01), "ML-REL-114"),
    "a metric nobody knows": (_set("metrics", "vibes", to=1.0), "ML-REL-114"),
    "a missing metric": (lambda r: r["metrics"].pop("log_loss"), "ML-REL-114"),
    "no metrics at all": (_set("metrics", to={}), "ML-REL-106"),
    "a champion's NaN": (_set("champion", "metrics", "accuracy", to="NaN"), "ML-REL-114"),
    "better numbers than were judged": (_set("metrics", "accuracy", to=0.99), "ML-REL-115"),
    "numbers below the floor": (_set("metrics", "accuracy", to=0.1), "ML-REL-115"),
    "a softer policy": (_set("gate", "policy", "floors", "accuracy", to=0.1), "ML-REL-115"),
    "no floors": (_set("gate", "policy", "floors", to={}), "ML-REL-106"),
    "a champion hidden": (_set("champion", to=None), "ML-REL-115"),
    "a drifted feature": (_set("drift", "features", "distance", to={
        "role": "gate", "n_reference": 6000, "n_current": 1000, "missing_reference": 0, "missing_current": 0,
        "d": 0.5, "p": 0.0}), "ML-REL-115"),
    "a scan that failed": (_set("scans", "static", "verdict", to="fail"), "ML-REL-115"),
    "a scan taken out": (lambda r: r["scans"].pop("static"), "ML-REL-115"),
    "no rows": (_set("data", "test", "rows", to=0), "ML-REL-115"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "code"), FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forgery_is_found_for_its_own_reason(change: Callable[[dict[str, Any]], Any], code: str) -> None:
    raw = resealed(change)
    if code == "ML-REL-103":
        raw = raw.replace(b'"digest": "', b'"digest": "0', 1)

    assert code in codes(raw)


def test_everything_wrong_is_told_at_once() -> None:
    def change(record: dict[str, Any]) -> None:
        record["metrics"]["accuracy"] = "NaN"
        record["gate"]["verdict"] = "fail"
        record["note"] = 1
        del record["problem"]

    assert codes(resealed(change)) >= {"ML-REL-104", "ML-REL-105", "ML-REL-110", "ML-REL-114"}


def _paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, inner in items for path in [(*here, key), *_paths(inner, (*here, key))]]


@settings(max_examples=100)
@given(st.sampled_from(_paths(example())), JSON)
def test_no_value_anywhere_makes_the_judge_raise(path: tuple[Any, ...], value: Any) -> None:
    try:
        raw = resealed(_set(*path, to=value))
    except UnicodeEncodeError:  # a lone surrogate: such a record cannot even be written
        return

    for problem in problems(raw):
        assert problem.message


@given(JSON)
def test_no_json_makes_the_judge_raise(value: Any) -> None:
    assert problems(json.dumps(value).encode())


def test_a_number_that_is_not_finite_cannot_be_sealed() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        seal({"metrics": {"accuracy": float("nan")}})
