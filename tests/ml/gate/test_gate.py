import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.gate.check import Check
from ml.gate.judge import Evidence, evidence_of, judge, verdict_of
from ml.gate.metrics import METRICS, plain
from ml.release.example import POLICY, example

SHARES = st.floats(0, 1)
ALL = ["accuracy", "f1", "log_loss", "rmse", "roc_auc"]
CLASSIC: dict[str, Any] = {
    "preset": "classic",
    "classic": {"metrics": ALL, "max_drop": 0.05, "max_drops": {}},
}
RANK = {"fail": 0, "inconclusive": 1, "pass": 2}
NO_NUMBER = {"metric-missing", "metric-nan", "metric-infinite", "metric-not-a-number"}
UNUSABLE = [math.nan, math.inf, -math.inf, "NaN", "0.9", None, True, [], 10**400]


def record(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    return example(change)


def check(fields: dict[str, Any], rule: str, name: str) -> dict[str, Any]:
    found = [c for c in fields["gate"]["checks"] if (c["rule"], c["name"]) == (rule, name)]
    assert len(found) == 1, fields["gate"]["checks"]
    return dict(found[0])


def judged(metrics: dict[str, Any], champion: dict[str, Any] | None = None, **policy: Any) -> tuple[Check, ...]:
    evidence = Evidence(
        kind="binary",
        metrics=metrics,
        champion=None if champion is None else {"metrics": champion},
        test_rows=1000,
        drift={},
        scans={},
        created_at="2013-08-01",
    )
    still = {
        "drift": {**POLICY["drift"], "required": False, "rule": "classic"},
        "scans": {**POLICY["scans"], "required": []},
        "snapshot": {"required": False},
    }
    return judge(evidence, {**POLICY, **CLASSIC, **still, **policy}).checks


def reasons(checks: tuple[Check, ...], name: str) -> set[str]:
    return {str(c.reason) for c in checks if c.name == name}


def test_good_evidence_passes_and_says_against_whom() -> None:
    gate = record(lambda r: None)["gate"]

    assert (gate["verdict"], gate["mode"]) == ("pass", "champion")


def test_without_a_champion_only_the_floors_count_and_the_record_says_so() -> None:
    gate = record(lambda r: r.update(champion=None))["gate"]

    assert (gate["verdict"], gate["mode"]) == ("pass", "bootstrap")
    assert {c["rule"] for c in gate["checks"]} == {
        "floor",
        "model",
        "slice",
        "runtime",
        "rows",
        "data",
        "drift",
        "scan",
    }


@pytest.mark.parametrize("value", UNUSABLE, ids=repr)
@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_a_metric_that_is_no_finite_number_fails_with_its_own_reason(metric: str, value: Any) -> None:
    metrics = {"accuracy": 0.9, "log_loss": 0.1, metric: value}

    assert reasons(judged(metrics), metric) <= NO_NUMBER
    assert verdict_of([c.outcome for c in judged(metrics)]) == "fail"


@pytest.mark.parametrize(("metric", "value"), [("accuracy", -0.01), ("accuracy", 1.01), ("log_loss", -1e-9)])
def test_an_impossible_value_fails_even_where_it_would_be_better(metric: str, value: float) -> None:
    assert reasons(judged({"accuracy": 0.9, "log_loss": 0.1, metric: value}), metric) == {"metric-out-of-range"}


def test_a_missing_metric_fails() -> None:
    assert reasons(judged({"accuracy": 0.9}), "log_loss") == {"metric-missing"}


@pytest.mark.parametrize(("metric", "limit", "better"), [("accuracy", 0.6, 0.0001), ("log_loss", 0.7, -0.0001)])
def test_the_floor_is_inclusive_and_knows_the_direction(metric: str, limit: float, better: float) -> None:
    good = {"accuracy": 0.9, "log_loss": 0.1}

    assert reasons(judged({**good, metric: limit}), metric) == {"ok"}
    assert reasons(judged({**good, metric: limit + better}), metric) == {"ok"}
    assert reasons(judged({**good, metric: limit - better}), metric) == {"beyond-floor"}


@pytest.mark.parametrize(
    ("metric", "champion", "allowed", "refused"),
    [("accuracy", 0.75, 0.7, 0.6999), ("log_loss", 0.4, 0.45, 0.4501), ("roc_auc", 0.9, 0.85, 0.8499)],
)
def test_the_allowed_drop_is_inclusive_and_knows_the_direction(
    metric: str, champion: float, allowed: float, refused: float
) -> None:
    good = {"accuracy": 0.75, "log_loss": 0.4}
    theirs = {**good, metric: champion}

    assert reasons(judged({**good, metric: allowed}, theirs), metric) == {"ok"}
    assert reasons(judged({**good, metric: refused}, theirs), metric) - {"ok"} == {"worse-than-champion"}


def test_a_metric_may_have_a_drop_of_its_own_unit() -> None:
    metrics, champion = (
        {"accuracy": 0.9, "log_loss": 0.1, "rmse": 120.0},
        {"accuracy": 0.9, "log_loss": 0.1, "rmse": 100.0},
    )

    assert "worse-than-champion" in reasons(judged(metrics, champion), "rmse")
    own = {"classic": {**CLASSIC["classic"], "max_drops": {"rmse": 25.0}}}
    assert reasons(judged(metrics, champion, **own), "rmse") == {"ok"}


@pytest.mark.parametrize("value", UNUSABLE, ids=repr)
def test_a_champion_without_a_usable_value_never_lets_the_candidate_through(value: Any) -> None:
    good = {"accuracy": 0.9, "log_loss": 0.1}

    assert "champion-metric-unusable" in reasons(judged(good, {**good, "accuracy": value}), "accuracy")


def test_a_metric_that_only_the_champion_has_is_missing() -> None:
    good = {"accuracy": 0.9, "log_loss": 0.1}

    assert reasons(judged(good, {**good, "f1": 0.5}), "f1") == {"metric-missing"}


def test_too_few_rows_are_inconclusive_however_good_the_metrics() -> None:
    def few(fields: dict[str, Any]) -> None:
        fields["champion"] = None
        fields["data"]["test"]["rows"] = 99
        fields["evaluation"]["counts"] |= {"rows": 99, "distinct_rows": 99, "classes": {"0": 49, "1": 50}}
        fields["gate"]["policy"]["min_class_rows"] = 0

    fields = record(few)

    assert fields["gate"]["verdict"] == "inconclusive"
    assert check(fields, "rows", "test_rows")["reason"] == "too-few-rows"


def _feature(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda r: r["drift"]["features"]["distance"].update(changes)


@pytest.mark.parametrize(
    ("changes", "verdict", "reason"),
    [
        ({"d": 0.0999, "p": 0.0}, "pass", "ok"),
        ({"d": 0.1, "p": 0.0}, "fail", "drifted"),
        ({"d": 0.1, "p": 0.02}, "pass", "ok"),
        ({"d": 0.9, "p": 0.0, "n_current": 99}, "inconclusive", "too-few-rows"),
        ({"d": None, "p": None, "n_current": 0}, "inconclusive", "too-few-rows"),
        ({"d": None}, "fail", "drift-unusable"),
        ({"p": 1.5}, "fail", "drift-unusable"),
        ({"p": "NaN"}, "fail", "drift-unusable"),
        ({"n_current": -1}, "fail", "drift-unusable"),
    ],
)
def test_drift_needs_chance_ruled_out_and_an_effect(changes: dict[str, Any], verdict: str, reason: str) -> None:
    fields = record(_feature(**changes))

    assert fields["gate"]["verdict"] == verdict
    assert check(fields, "drift", "distance")["reason"] == reason


def test_a_watched_feature_never_blocks() -> None:
    def change(fields: dict[str, Any]) -> None:
        fields["drift"]["features"]["temp"] = {
            **fields["drift"]["features"]["distance"],
            "role": "watch",
            "d": 1.0,
            "p": 0.0,
        }

    assert record(change)["gate"]["verdict"] == "pass"


def test_no_drift_evidence_is_inconclusive_where_the_policy_asks_for_it() -> None:
    fields = record(lambda r: r["drift"].update(features={}))

    assert check(fields, "drift", "drift")["reason"] == "drift-unmeasured"
    assert fields["gate"]["verdict"] == "inconclusive"


WAIVER = {"rule": "scan", "of": "static", "reason": "no data", "owner": "me", "expires": "2013-08-01"}


@pytest.mark.parametrize(
    ("verdict", "expires", "outcome", "reason"),
    [
        ("pass", "2013-08-01", "pass", "ok"),
        ("incomplete", "2013-08-01", "pass", "waived"),
        ("incomplete", "2013-07-31", "inconclusive", "scan-incomplete"),
        ("incomplete", None, "inconclusive", "scan-incomplete"),
        ("fail", "2099-12-31", "fail", "scan-failed"),
        ("unheard of", "2099-12-31", "fail", "scan-failed"),
        (None, "2099-12-31", "fail", "scan-missing"),
    ],
)
def test_a_waiver_accepts_an_incomplete_scan_until_its_day_and_nothing_else(
    verdict: str | None, expires: str | None, outcome: str, reason: str
) -> None:
    def change(fields: dict[str, Any]) -> None:
        fields["scans"]["static"]["verdict"] = verdict
        if expires is not None:
            fields["gate"]["policy"]["waivers"] = [{**WAIVER, "expires": expires}]

    found = check(record(change), "scan", "static")
    assert (found["outcome"], found["reason"]) == (outcome, reason)


def test_a_scan_that_is_missing_fails() -> None:
    assert check(record(lambda r: r.update(scans={})), "scan", "static")["reason"] == "scan-missing"


@given(SHARES, SHARES, st.floats(0, 10), SHARES, st.sampled_from(["classic", None]))
def test_a_better_metric_never_gets_a_worse_verdict(
    accuracy: float, more: float, loss: float, less: float, champion: str | None
) -> None:
    theirs = None if champion is None else {"accuracy": 0.8, "log_loss": 0.4}

    def rank(accuracy: float, loss: float) -> int:
        return RANK[verdict_of([c.outcome for c in judged({"accuracy": accuracy, "log_loss": loss}, theirs)])]

    before = rank(accuracy, loss)

    assert rank(max(accuracy, more), loss) >= before
    assert rank(accuracy, loss * less) >= before


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ([], "fail"),
        (["pass"], "pass"),
        (["pass", "inconclusive"], "inconclusive"),
        (["inconclusive", "fail"], "fail"),
        (["pass", "maybe"], "fail"),
    ],
)
def test_the_worst_outcome_is_the_verdict(outcomes: list[str], verdict: str) -> None:
    assert verdict_of(outcomes) == verdict


def test_every_metric_has_a_range() -> None:
    assert all(metric.low < metric.high for metric in METRICS.values())


def test_numbers_that_json_cannot_hold_become_words() -> None:
    assert [plain(value) for value in (math.nan, math.inf, -math.inf, 0.5)] == ["NaN", "Infinity", "-Infinity", 0.5]


def test_the_evidence_in_a_record_gives_the_verdict_in_it_again() -> None:
    fields = record(lambda r: None)
    again = judge(evidence_of(fields), fields["gate"]["policy"])

    assert [c.to_json() for c in again.checks] == fields["gate"]["checks"]
