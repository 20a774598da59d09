"""The gate is closed under abuse: each kind of bad evidence ends in fail or inconclusive, with a reason of its own.

A row whose owner is another part of the pipeline belongs into that part's own table: what a signature, the ledger or
the champion's identity says is in `tests/ml/release`, how old a scan may be is in `tests/ml/security`.
"""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.gate.judge import evidence_of, judge
from ml.gate.reasons import REASONS, Reason
from tests.ml.gate.evidence import FIELDS, judged, reasons

Change = Callable[[dict[str, Any]], Any]


def at(*path: str, to: Any) -> Change:
    def change(fields: dict[str, Any]) -> None:
        for key in path[:-1]:
            fields = fields[key]
        if to is _GONE:
            del fields[path[-1]]
        else:
            fields[path[-1]] = to

    return change


_GONE = object()


def _rows(fields: dict[str, Any], rows: int) -> None:
    fields["champion"] = None  # a comparison on other rows than were judged is refused on its own
    fields["data"]["test"]["rows"] = rows
    fields["evaluation"]["counts"] |= {
        "rows": rows,
        "distinct_rows": rows,
        "distinct_predictions": min(rows, 2),
        "classes": {"0": rows // 2, "1": rows - rows // 2},
    }


def _copied(fields: dict[str, Any]) -> None:
    fields["champion"] = None
    fields["evaluation"]["counts"]["distinct_rows"] = 500


def _worse(fields: dict[str, Any]) -> None:
    fields["metrics"]["accuracy"] = 0.7
    fields["champion"]["paired"]["accuracy"] |= {"wins": 10, "losses": 110, "difference": -0.1}


def _unsure(fields: dict[str, Any]) -> None:
    fields["metrics"]["accuracy"] = 0.8
    fields["champion"]["paired"]["accuracy"] |= {"wins": 40, "losses": 40, "difference": 0.0}


ACCURACY = ("champion", "paired", "accuracy")
ABUSE: list[tuple[str, Change, str, str]] = [
    ("a NaN metric", at("metrics", "accuracy", to="NaN"), "fail", "metric-nan"),
    ("an infinite metric", at("metrics", "accuracy", to="Infinity"), "fail", "metric-infinite"),
    ("a metric that is text", at("metrics", "accuracy", to="0.99"), "fail", "metric-not-a-number"),
    ("a metric of 1.01", at("metrics", "accuracy", to=1.01), "fail", "metric-out-of-range"),
    ("a missing metric", at("metrics", "accuracy", to=_GONE), "fail", "metric-missing"),
    ("a metric nobody knows", at("metrics", "vibes", to=0.99), "fail", "metric-unknown"),
    ("an empty test set", lambda r: _rows(r, 0), "fail", "no-rows"),
    ("too few rows", lambda r: _rows(r, 99), "inconclusive", "too-few-rows"),
    ("one class only", at("evaluation", "counts", "classes", to={"0": 1000, "1": 0}), "inconclusive", "single-class"),
    (
        "too few of a class",
        at("evaluation", "counts", "classes", to={"0": 951, "1": 49}),
        "inconclusive",
        "too-few-of-a-class",
    ),
    (
        "constant predictions",
        at("evaluation", "counts", "distinct_predictions", to=1),
        "fail",
        "constant-predictions",
    ),
    ("duplicated rows", _copied, "inconclusive", "copied-rows"),
    (
        "permuted labels",
        at("evaluation", "intervals", "roc_auc", to={"low": 0.49, "high": 0.86, "standard_error": 0.1}),
        "fail",
        "no-better-than-chance",
    ),
    ("an interval of NaN", at("evaluation", "intervals", "roc_auc", "low", to="NaN"), "fail", "interval-unusable"),
    ("negative counts", at("evaluation", "counts", "rows", to=-1000), "fail", "counts-unusable"),
    ("counts that are no whole numbers", at("evaluation", "counts", "rows", to=1000.5), "fail", "counts-unusable"),
    (
        "counts that do not add up",
        at("evaluation", "counts", "classes", to={"0": 1, "1": 2}),
        "fail",
        "counts-unusable",
    ),
    ("negative wins", at(*ACCURACY, "wins", to=-1), "fail", "paired-unusable"),
    ("more wins than rows", at(*ACCURACY, "wins", to=10_000), "fail", "paired-unusable"),
    ("wins that do not fit the difference", at(*ACCURACY, "wins", to=900), "fail", "paired-unusable"),
    ("a negative standard error", at(*ACCURACY, "standard_error", to=-0.1), "fail", "paired-unusable"),
    (
        "a NaN standard error",
        at("champion", "paired", "log_loss", "standard_error", to="NaN"),
        "fail",
        "paired-unusable",
    ),
    ("a comparison on other rows", at(*ACCURACY, "n", to=2000), "fail", "paired-unusable"),
    ("no comparison at all", at("champion", "paired", to=_GONE), "fail", "paired-missing"),
    ("no comparison of a metric", at(*ACCURACY, to=_GONE), "fail", "paired-missing"),
    (
        "a comparison that contradicts the metrics",
        at("champion", "paired", "log_loss", "difference", to=-0.3),
        "fail",
        "paired-contradicts-metrics",
    ),
    ("a champion that is NaN", at("champion", "metrics", "accuracy", to="NaN"), "fail", "champion-metric-unusable"),
    ("another model's metrics", at("evaluation", "model_sha256", to="f" * 64), "fail", "another-models-metrics"),
    ("no evaluation", at("evaluation", to=_GONE), "fail", "evaluation-missing"),
    ("a metric below its floor", at("metrics", "accuracy", to=0.5), "fail", "beyond-floor"),
    ("a worse model", _worse, "fail", "worse-than-champion"),
    ("a model that may be worse", _unsure, "inconclusive", "not-proven-as-good"),
    ("a preset nobody knows", at("gate", "policy", "preset", to="lenient"), "fail", "policy-unusable"),
    ("no preset", at("gate", "policy", "preset", to=_GONE), "fail", "policy-unusable"),
    (
        "no limit for the age of a scan",
        at("gate", "policy", "scans", "max_age_hours", to=_GONE),
        "fail",
        "policy-unusable",
    ),
    ("no rule about snapshots", at("gate", "policy", "snapshot", to=_GONE), "fail", "policy-unusable"),
    ("no rule about slices", at("gate", "policy", "slices", to=_GONE), "fail", "policy-unusable"),
    ("no rule about answers", at("gate", "policy", "prediction_diff", to=_GONE), "fail", "policy-unusable"),
    ("no rule about the run time", at("gate", "policy", "runtime", to=_GONE), "fail", "policy-unusable"),
    ("no list of waivers", at("gate", "policy", "waivers", to=_GONE), "fail", "policy-unusable"),
    ("a margin of everything", at("gate", "policy", "comparison", "margin", to="inf"), "fail", "policy-unusable"),
    ("an alpha of one half", at("gate", "policy", "comparison", "alpha", to=0.5), "fail", "policy-unusable"),
    ("no drift result", at("drift", "features", to={}), "inconclusive", "drift-unmeasured"),
    ("a drift result of NaN", at("drift", "features", "distance", "d", to="NaN"), "fail", "drift-unusable"),
    ("a missing scan", at("scans", to={}), "fail", "scan-missing"),
    ("a failed scan", at("scans", "static", "verdict", to="fail"), "fail", "scan-failed"),
    ("an incomplete scan", at("scans", "static", "verdict", to="incomplete"), "inconclusive", "scan-incomplete"),
]


@pytest.mark.parametrize(("change", "verdict", "reason"), [row[1:] for row in ABUSE], ids=[row[0] for row in ABUSE])
def test_abuse_never_passes_and_says_what_it_is(change: Change, verdict: str, reason: str) -> None:
    judgement = judged(change)

    assert judgement.verdict == verdict
    assert reason in reasons(judgement)


def test_good_evidence_passes_so_that_the_table_proves_something() -> None:
    assert (judged().verdict, reasons(judged())) == ("pass", set())


def test_every_reason_that_can_refuse_is_in_the_table_or_owned_by_a_rule_of_its_own() -> None:
    elsewhere = {"ok", "waived", "drifted", "nothing-compared"}
    owned = {str(reason) for reason in Reason if reason.startswith(("scan-", "snapshot-"))}  # test_scans, test_snapshot
    elsewhere |= {"slices-missing", "slices-unusable", "slice-unmeasured", "slices-too-small", "slice-surely-worse"}
    elsewhere |= {"answers-not-compared", "answers-unusable", "answers-moved"}
    elsewhere |= {"runtime-missing", "runtime-unusable", "beyond-runtime-limit"}

    assert set(map(str, Reason)) - {row[3] for row in ABUSE} - owned <= elsewhere
    assert set(REASONS) == set(Reason)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _paths(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        for key, item in value.items():
            found += _paths(item, (*path, key))
    return found


SECTIONS = ("metrics", "champion", "evaluation", "drift", "scans", "data", "files", "kind", "created_at")
PATHS = [path for path in _paths(FIELDS) if path[0] in SECTIONS or path[:2] == ("gate", "policy")]


@given(st.lists(st.tuples(st.sampled_from(PATHS), JSON), min_size=1, max_size=3))
def test_no_value_anywhere_makes_the_gate_raise(changes: list[tuple[tuple[str, ...], Any]]) -> None:
    fields: dict[str, Any] = copy.deepcopy(FIELDS)
    for path, value in changes:
        target: Any = fields
        for key in path[:-1]:
            target = target.get(key) if isinstance(target, dict) else None
        if isinstance(target, dict):
            target[path[-1]] = value

    judgement = judge(evidence_of(fields), fields["gate"].get("policy"))

    assert judgement.verdict in ("pass", "fail", "inconclusive")
    assert [check.to_json() for check in judgement.checks]


@given(JSON, JSON)
def test_a_record_and_a_policy_of_anything_never_pass(record: Any, policy: Any) -> None:
    fields = record if isinstance(record, dict) else {}

    assert judge(evidence_of(fields), policy).verdict == "fail"
