from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.drift.decide import Outcome, judge, ranked, retrain, verdict

POLICY = {"required": True, "min_rows": 500, "min_d": 0.05, "alpha": 0.01}
CLASSIC = {**POLICY, "rule": "classic"}
SHARE = st.floats(0, 1)


def number(d: Any = 0.0, p: Any = 1.0, role: str = "gate", rows: int = 1000, **more: Any) -> dict[str, Any]:
    counts = {"n_reference": 4000, "n_current": rows, "missing_reference": 0, "missing_current": 0}
    return {"role": role, "kind": "number", **counts, "d": d, "p": p, **more}


def category(tv: float, p: float, role: str = "gate") -> dict[str, Any]:
    return {**number(role=role, p=p), "kind": "category", "d": None, "tv": tv}


def drift(prediction: dict[str, Any] | None = None, **features: Any) -> dict[str, Any]:
    return {"features": features, "prediction": prediction or {}}


def states(section: dict[str, Any], policy: Any = POLICY) -> dict[str, str]:
    return {outcome.name: outcome.state for outcome in judge(section, policy)}


@pytest.mark.parametrize(
    ("result", "state"),
    [
        (number(d=0.05, p=1e-9), "moved"),
        (number(d=0.0499, p=1e-9), "still"),
        (number(d=0.5, p=0.011), "still"),
        (number(d=0.5, p=0.01), "moved"),
        (number(d=0.5, p=1e-9, rows=499), "too-few"),
        (number(d=None, p=None, rows=0), "too-few"),
        (number(d=None, p=1e-9), "unusable"),
        (number(d=float("nan"), p=0.5), "unusable"),
        (number(d=1.5, p=0.5), "unusable"),
        (number(d=0.5, p="0.5"), "unusable"),
        (number(d=True, p=0.5), "unusable"),
        ({**number(), "n_current": -1}, "unusable"),
        ({**number(), "n_reference": None}, "unusable"),
        ({}, "unusable"),
        (category(tv=0.06, p=1e-9), "moved"),
        (category(tv=0.06, p=0.5), "still"),
    ],
)
def test_a_feature_moved_beyond_chance_and_beyond_the_floor_on_enough_rows(result: dict[str, Any], state: str) -> None:
    assert states(drift(x=result)) == {"x": state}


def test_a_result_of_an_older_record_is_a_number() -> None:
    old = {key: value for key, value in number(d=0.5, p=1e-9).items() if key != "kind"}

    assert states({"features": {"x": old}}) == {"x": "moved"}


def test_a_missing_share_is_a_test_of_its_own() -> None:
    lost = number(missing_current=200, missing_p=1e-9, rows=800)

    outcomes = judge(drift(x=lost), POLICY)

    assert {outcome.name: outcome.state for outcome in outcomes} == {"x": "still", "x: missing": "moved"}
    assert outcomes[1].effect == pytest.approx(0.2)


def test_a_column_that_is_gone_moved_although_it_has_no_distribution() -> None:
    gone = number(d=None, p=None, rows=0, missing_current=1000, missing_p=0.0)

    assert states(drift(x=gone)) == {"x": "too-few", "x: missing": "moved"}
    assert verdict(judge(drift(x=gone), POLICY)) == "alarm"


def test_many_tests_ask_for_more_evidence() -> None:
    alone = drift(x=number(d=0.3, p=0.009))
    among = drift(x=number(d=0.3, p=0.009), **{f"y{i}": number(p=0.5) for i in range(9)})

    assert states(alone)["x"] == "moved"
    assert states(among)["x"] == "still"


def test_watched_features_do_not_weaken_the_gated_ones() -> None:
    section = drift(x=number(d=0.3, p=0.009), **{f"y{i}": number(p=0.5, role="watch") for i in range(9)})

    assert states(section)["x"] == "moved"


def test_the_classic_rule_looks_at_the_p_of_each_number_alone() -> None:
    section = drift(
        {"score": number(d=0.5, p=0.0)},
        x=number(d=0.001, p=0.049),
        y=number(d=0.9, p=0.05),
        z=category(tv=0.9, p=0.0),
        w=number(d=0.9, p=0.0, rows=499),
        v=number(p=0.9, missing_p=0.0),
    )

    assert states(section, CLASSIC) == {"x": "moved", "y": "still", "w": "too-few", "v": "still"}


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"x": number()}, "ok"),
        ({"x": number(d=0.5, p=0.0)}, "alarm"),
        ({"x": number(), "y": number(d=0.5, p=0.0, role="watch")}, "warn"),
        ({"x": number(rows=10), "y": number(d=0.5, p=0.0, role="watch")}, "inconclusive"),
        ({"x": number(rows=10), "y": number(d=0.5, p=0.0)}, "alarm"),
        ({"y": number(d=0.5, p=0.0, role="watch")}, "warn"),
        ({"y": number(rows=10, role="watch")}, "inconclusive"),
        ({"x": number(), "y": number(rows=10, role="watch")}, "ok"),
        ({"x": number(d=None, p=None)}, "alarm"),
        ({"x": number(), "y": number(d=None, p=None, role="watch")}, "warn"),
        ({}, "inconclusive"),
    ],
)
def test_the_verdict(features: dict[str, Any], expected: str) -> None:
    assert verdict(judge(drift(**features), POLICY)) == expected


def test_the_models_own_answers_count_by_their_role() -> None:
    moved = number(d=0.5, p=0.0, role="watch")

    assert verdict(judge(drift({"score": moved}, x=number()), POLICY)) == "warn"
    assert verdict(judge(drift({"score": {**moved, "role": "gate"}}, x=number()), POLICY)) == "alarm"
    assert states(drift({"score": moved}, score=number())) == {"score": "still", "score: prediction": "moved"}


def test_retraining_helps_when_the_world_moved_and_not_when_values_are_lost() -> None:
    assert retrain(judge(drift(x=number(d=0.5, p=0.0)), POLICY))
    assert not retrain(judge(drift(x=number(missing_current=900, missing_p=0.0)), POLICY))
    assert not retrain(judge(drift(x=number(d=0.5, p=0.0, role="watch")), POLICY))


def test_what_moved_comes_first_then_the_larger_effect() -> None:
    section = drift(
        a=number(d=0.01), b=number(d=0.3, p=0.5), c=number(d=0.1, p=0.0), d=number(d=0.2, p=0.0, role="watch")
    )

    assert [outcome.name for outcome in ranked(judge(section, POLICY))] == ["d", "c", "b", "a"]


@given(st.lists(st.tuples(SHARE, SHARE, st.integers(0, 2000)), max_size=12), st.integers(0, 11), SHARE)
def test_a_greater_effect_or_a_smaller_p_never_calms_the_verdict(
    results: list[tuple[float, float, int]], which: int, amount: float
) -> None:
    section = drift(**{f"x{i}": number(d, p, rows=rows) for i, (d, p, rows) in enumerate(results)})
    before = {outcome.name for outcome in judge(section, POLICY) if outcome.state == "moved"}
    name = f"x{which}"
    if name in section["features"]:
        worse = section["features"][name]
        worse["d"], worse["p"] = max(worse["d"], amount), min(worse["p"], 1 - amount)

    after = {outcome.name for outcome in judge(section, POLICY) if outcome.state == "moved"}

    assert before <= after


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(sorted([*number(missing_p=0.5), "tv"])), JSON))
def test_nothing_in_a_result_makes_it_raise_or_pass_unseen(result: dict[str, Any]) -> None:
    outcomes = judge(drift(x={**result, "role": "gate"}), POLICY)

    assert verdict(outcomes) in ("ok", "alarm", "inconclusive")
    assert all(outcome.state in ("unusable", "too-few") or _is_whole(outcome) for outcome in outcomes)


def _is_whole(outcome: Outcome) -> bool:
    return outcome.effect is not None and outcome.p is not None and outcome.rows >= POLICY["min_rows"]
