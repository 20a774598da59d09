"""Drift decided: from the statistics in a record, or of live counts, to what moved. Pure, standard library only.

The gate re-runs it on the numbers inside a record; the live check runs it on live counts. A feature has moved when the
difference is beyond chance (adjusted over all tests of its role, Benjamini-Hochberg), at least as large as the floor,
and seen on enough rows. The floor is a share of probability for every kind of test: the Kolmogorov-Smirnov distance of
numbers, the total variation of categories, the change of the missing share. So features can be ranked by one effect.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeGuard

from ml.statistics.multiplicity import benjamini_hochberg

Role = Literal["gate", "watch"]
Part = Literal["distribution", "missing", "prediction"]
State = Literal["still", "moved", "unconfirmed", "too-few", "unusable"]
Verdict = Literal["ok", "warn", "alarm", "inconclusive"]
CLASSIC_ALPHA = 0.05
ROLES: Sequence[Role] = ("gate", "watch")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One test and how it ended.

    `effect` and `floor` are shares of probability, `p` the test's own, `adjusted` over all tests of the role; `rows`
    the smaller side. Under the rule `classic` the floor is 0 and `adjusted` is `p`.
    """

    feature: str
    part: Part
    role: Role
    state: State
    effect: float | None
    floor: float
    p: float | None
    adjusted: float | None
    rows: int

    @property
    def name(self) -> str:
        """The feature, and which part of it when that is not its distribution."""
        return self.feature if self.part == "distribution" else f"{self.feature}: {self.part}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Test:
    feature: str
    part: Part
    role: Role
    effect: Any
    p: Any
    rows: int | None


def judge(drift: Mapping[str, Any], policy: Mapping[str, Any]) -> list[Outcome]:
    """Every test of a record's `drift` (or of a section of that shape), gated ones first, then by name.

    Args:
        drift: `features` and, where measured, `prediction`.
        policy: The policy's `drift`: `min_rows`, `min_d`, `alpha`; `rule` is "sound" unless it says "classic": then
            a number has moved when its Kolmogorov-Smirnov p is below 0.05, and nothing else is looked at.
    """
    classic = policy.get("rule", "sound") == "classic"
    tests = [test for test in _tests(drift) if not classic or _is_classic(drift, test)]
    outcomes: list[Outcome] = []
    for role in ROLES:
        mine = [test for test in tests if test.role == role]
        enough = [test for test in mine if _is_usable(test) and (test.rows or 0) >= policy["min_rows"]]
        p_values = [float(test.p) for test in enough]
        adjusted = p_values if classic else benjamini_hochberg(p_values)
        known = dict(zip(map(id, enough), adjusted, strict=True))
        outcomes += [_outcome(test, known.get(id(test)), policy, classic=classic) for test in mine]
    return outcomes


def verdict(outcomes: Iterable[Outcome]) -> Verdict:
    """Alarm: a gated test moved or cannot be used. Inconclusive: one has too few rows, or there is none at all.

    Without any gated test the watched ones decide whether there is enough to say ok or warn.
    """
    made = list(outcomes)
    gated = [outcome for outcome in made if outcome.role == "gate"]
    if any(outcome.state in ("moved", "unusable") for outcome in gated):
        return "alarm"
    if not made or any(outcome.state == "too-few" for outcome in gated or made):
        return "inconclusive"
    return "warn" if any(outcome.state in ("moved", "unconfirmed", "unusable") for outcome in made) else "ok"


def confirmed(windows: Sequence[Sequence[Outcome]], alarm: int) -> list[Outcome]:
    """The outcomes of the newest window, in which what moved only there is `unconfirmed`.

    A test is confirmed when it moved in at least `alarm` of the windows, the newest among them. Windows with too few
    rows do not count; where fewer than `alarm` have enough, it must have moved in all of those: the first day of a
    service must be able to raise an alarm.

    Args:
        windows: Each as `judge` gives it, the newest first; at least one.
        alarm: At least 1.
    """
    earlier = [{outcome.name: outcome.state for outcome in window} for window in windows]

    def state(outcome: Outcome) -> State:
        states = [known.get(outcome.name) for known in earlier]
        told, moved = sum(s in ("moved", "still") for s in states), states.count("moved")
        return "unconfirmed" if outcome.state == "moved" and moved < min(alarm, told) else outcome.state

    return [replace(outcome, state=state(outcome)) for outcome in windows[0]]


def ranked(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """What moved first, then by falling effect, then by name."""
    return sorted(outcomes, key=lambda o: (("moved", "unconfirmed").count(o.state) == 0, -(o.effect or 0.0), o.name))


def retrain(outcomes: Iterable[Outcome]) -> bool:
    """Whether a new training could help: a gated distribution moved. A rising missing share wants the source mended."""
    return any(o.role == "gate" and o.state == "moved" and o.part != "missing" for o in outcomes)


def _tests(drift: Mapping[str, Any]) -> list[_Test]:
    tests: list[_Test] = []
    parts: Sequence[tuple[str, Part]] = (("features", "distribution"), ("prediction", "prediction"))
    for key, part in parts:
        for name, result in sorted(_mapping(drift.get(key)).items()):
            tests += _of(name, _mapping(result), part)
    return tests


def _of(name: str, result: Mapping[str, Any], part: Part) -> list[_Test]:
    role: Role = "watch" if result.get("role") == "watch" else "gate"  # a role that nobody knows must not hide a result
    effect = result.get("tv") if result.get("kind") == "category" else result.get("d")
    rows = _smaller(result.get("n_reference"), result.get("n_current"))
    tests = [_Test(feature=name, part=part, role=role, effect=effect, p=result.get("p"), rows=rows)]
    if result.get("missing_p") is not None:
        tests.append(_missing(name, result, role))
    return tests


def _missing(name: str, result: Mapping[str, Any], role: Role) -> _Test:
    counts = [result.get(f"{what}_{side}") for side in ("reference", "current") for what in ("n", "missing")]
    effect, rows = None, None
    known = [count for count in counts if _is_count(count)]
    if len(known) == len(counts):
        rows = min(known[0] + known[1], known[2] + known[3])
        effect = abs(known[1] / (known[0] + known[1]) - known[3] / (known[2] + known[3])) if rows else 0.0
    return _Test(feature=name, part="missing", role=role, effect=effect, p=result["missing_p"], rows=rows)


def _is_classic(drift: Mapping[str, Any], test: _Test) -> bool:
    """The classic rule knows the distributions of numeric features only."""
    return test.part == "distribution" and _mapping(drift["features"][test.feature]).get("kind", "number") == "number"


def _outcome(test: _Test, adjusted: float | None, policy: Mapping[str, Any], *, classic: bool) -> Outcome:
    floor = 0.0 if classic else float(policy["min_d"])
    if not _is_usable(test):
        state: State = "unusable"
    elif adjusted is None:
        state = "too-few"
    elif classic:
        state = "moved" if adjusted < CLASSIC_ALPHA else "still"
    else:
        state = "moved" if test.effect >= floor and adjusted <= policy["alpha"] else "still"
    usable = state != "unusable"
    return Outcome(
        feature=test.feature,
        part=test.part,
        role=test.role,
        state=state,
        effect=test.effect if usable else None,
        floor=floor,
        p=test.p if usable else None,
        adjusted=adjusted,
        rows=test.rows or 0,
    )


def _is_usable(test: _Test) -> bool:
    """No rows on a side is too few to decide; rows without a distance and a p are no evidence at all."""
    if test.rows is None:
        return False
    return test.rows == 0 or (_is_share(test.effect) and _is_share(test.p))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _smaller(left: object, right: object) -> int | None:
    return min(left, right) if _is_count(left) and _is_count(right) else None


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= sys.maxsize


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1  # NaN is in no range
