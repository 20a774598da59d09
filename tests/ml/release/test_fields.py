"""The JSON Schemas: sound in themselves, and every break of a rule told by path, value and rule."""

import json
import subprocess
import sys
from typing import Any

import jsonschema
import pytest

from ml.gate.metrics import METRICS
from ml.release.example import example
from ml.release.fields import FOLDER, record_flaws

FILES = sorted(FOLDER.glob("*.json"))


def spoiled(*path: Any, to: Any) -> dict[str, Any]:
    record = example()
    target: Any = record
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = to
    return record


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_is_a_schema_of_its_dialect(path: Any) -> None:
    schema = json.loads(path.read_text())

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"].endswith(f"/{path.name}")


def _objects(schema: Any) -> list[dict[str, Any]]:
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    found = [schema] if isinstance(schema, dict) and "properties" in schema else []
    return found + [item for value in inner for item in _objects(value)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_object_with_named_fields_refuses_every_other(path: Any) -> None:
    for item in _objects(json.loads(path.read_text())):
        assert item.get("additionalProperties") is False, item["properties"].keys()
        assert set(item.get("required", [])) <= set(item["properties"])


def _references(schema: Any) -> list[dict[str, Any]]:
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    found = [schema] if isinstance(schema, dict) and "$ref" in schema else []
    return found + [item for value in inner for item in _references(value)]


def test_a_reference_has_no_rule_beside_it_which_would_be_lost() -> None:
    references = [item for path in FILES for item in _references(json.loads(path.read_text()))]

    assert references
    assert [item for item in references if not item.keys() <= {"$ref", "title"}] == []


def test_the_schema_and_the_gate_know_the_same_metrics() -> None:
    policy = json.loads((FOLDER / "policy.json").read_text())

    assert set(policy["$defs"]["metric"]["enum"]) == set(METRICS)


@pytest.mark.parametrize(
    ("path", "value", "kind", "message"),
    [
        (("digest",), "x" * 64, "wrong", f"record.digest={'x' * 64!r}: must be a sha256 in lower-case hex"),
        (("digest",), "a" * 64 + "\n", "wrong", "must be a sha256 in lower-case hex"),
        (("data", "test", "rows"), 1.0, "wrong", "record.data.test.rows=1.0: must be a whole number of at least 0"),
        (("data", "test", "rows"), True, "wrong", "record.data.test.rows=True: must be a whole number of at least 0"),
        (("model", "parity_max_abs_diff"), 10**400, "wrong", "must be a finite number of at least 0"),
        (("created_at",), "2013-02-31T12:00:00Z", "wrong", "must be a UTC time such as 2013-07-01T12:00:00Z"),
        (("data",), None, "wrong", "record.data=None: must be an object"),
        (("champion",), [], "wrong", "record.champion=<list of 0>: must be an object or null"),
        (("metrics",), {}, "wrong", "record.metrics=<object of 0>: must be an object with at least 1 entry"),
        (("files", "record.json"), "a" * 64, "wrong", "record.files='record.json': must be the name of a .json or"),
        (("files", "../x.json"), "a" * 64, "wrong", "record.files='../x.json': must be the name of a .json or .onnx"),
        (("drift", "features", "a b"), {"role": "gate"}, "missing", "record.drift.features['a b'].p: is missing"),
        (("code", "author"), "me", "unknown", "record.code.author: is not a field of ml-pipeline/release/v2"),
    ],
)
def test_a_broken_rule_is_told_by_path_value_and_rule(path: Any, value: Any, kind: str, message: str) -> None:
    flaws = record_flaws(spoiled(*path, to=value))

    assert {flaw.kind for flaw in flaws} == {kind}
    assert any(message in flaw.message for flaw in flaws)


def test_a_long_value_is_cut_and_a_deep_one_never_shown() -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]

    assert all(len(flaw.message) < 200 for flaw in record_flaws(spoiled("problem", to=9 * ["x" * 9999])))
    assert [flaw.message for flaw in record_flaws(spoiled("problem", to=deep))] == [
        "record.problem=<list of 1>: must be a non-empty string"
    ]


@pytest.mark.parametrize("version", ["v1", "v3"])
def test_another_version_of_the_record_is_not_read(version: str) -> None:
    assert record_flaws(spoiled("schema", to=f"ml-pipeline/release/{version}"))


@pytest.mark.parametrize(
    "path",
    [
        "search",
        "evaluation",
        "evaluation.confidence",
        "evaluation.intervals",
        "evaluation.slices",
        "champion.paired",
        "champion.slices",
        "champion.prediction_diff",
        "data.snapshot",
        "data.ledger",
        "data.freshness",
        "scans.static.scanned_at",
        "subjects",
        "gate.preset",
        *(f"gate.policy.{name}" for name in ("preset", "snapshot", "slices", "prediction_diff", "runtime", "waivers")),
        "gate.policy.scans.max_age_hours",
        "gate.policy.scans.advisories",
    ],
)
def test_a_record_without_its_evidence_is_none(path: str) -> None:
    record = example()
    target: Any = record
    *parents, name = path.split(".")
    for key in parents:
        target = target[key]
    del target[name]

    (flaw,) = record_flaws(record)
    assert (flaw.kind, flaw.path) == ("missing", f"record.{path}")


def test_a_first_release_has_no_champion_to_be_compared_with() -> None:
    assert record_flaws(example(lambda record: record.update(champion=None))) == []


def test_judging_a_record_loads_no_library_that_takes_a_second() -> None:
    """A format checker that jsonschema loads when it is there compiles a grammar first; a preview would wait for it."""
    script = (
        "import sys; from ml.release.example import example; from ml.release.fields import record_flaws; "
        "assert record_flaws(example()) == []; print([m for m in ('rfc3987_syntax', 'lark') if m in sys.modules])"
    )

    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "[]\n"
