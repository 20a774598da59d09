"""The gate: evidence in, verdict out.

Pure and standard library only: the Pulumi program and the policy pack re-run it on the numbers inside a record. It
reads no file, no clock and no network. Fails closed: what is missing, unknown or not a number never passes, and no
value whatever makes it raise.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ml.gate.check import Check, check
from ml.gate.metrics import mapping, plain
from ml.gate.reasons import Outcome, Reason
from ml.gate.rules.answers import same_answers
from ml.gate.rules.champion import compared, contradictions, non_inferior, within_drop
from ml.gate.rules.drift import drifted
from ml.gate.rules.floors import better_than_chance, floors
from ml.gate.rules.rows import decisive_rows, enough_rows, measured_with
from ml.gate.rules.runtime import quick_enough
from ml.gate.rules.scans import scanned
from ml.gate.rules.slices import sliced
from ml.gate.rules.snapshot import pinned
from ml.gate.scans import subjects_of
from ml.gate.usable import policy_problem
from ml.gate.waivers import waive

Mode = Literal["champion", "bootstrap"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What the gate judges; each part as it stands in the record, whatever its type.

    `champion` is None when there is no champion: bootstrap, absolute limits only. `created_at` decides whether a
    waiver had expired, so that a record's verdict never changes with the day it is read.
    """

    kind: Any
    metrics: Any
    champion: Any
    test_rows: Any
    drift: Any
    scans: Any
    created_at: Any
    evaluation: Any = None
    model_sha256: Any = None
    subjects: Mapping[str, Any] = field(default_factory=dict)
    """Scan -> SHA-256 of what it must have looked at."""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """The gate's answer. `power` says of each metric what these rows could have told."""

    mode: Mode
    checks: tuple[Check, ...]
    verdict: Outcome
    power: Mapping[str, Mapping[str, Any]]


def judge(evidence: Evidence, policy: object) -> Judgement:
    """Judge the evidence; by a policy that the gate does not understand nothing passes."""
    mode: Mode = "bootstrap" if evidence.champion is None else "champion"
    problem = policy_problem(policy)
    if problem is not None or not isinstance(policy, Mapping):
        checks: tuple[Check, ...] = (check("policy", "policy", problem, None, Reason.POLICY_UNUSABLE),)
        return Judgement(mode=mode, checks=checks, verdict="fail", power={})
    checks = tuple(waive(_checks(evidence, policy), policy, evidence.created_at))
    verdict = verdict_of([check.outcome for check in checks])
    return Judgement(mode=mode, checks=checks, verdict=verdict, power=_power(evidence, policy))


def evidence_of(record: Mapping[str, Any]) -> Evidence:
    """The evidence in a record of any shape; its `gate` may still be missing."""
    return Evidence(
        kind=record.get("kind"),
        metrics=record.get("metrics"),
        champion=record.get("champion"),
        test_rows=mapping(mapping(record.get("data")).get("test")).get("rows"),
        drift=record.get("drift"),
        scans=record.get("scans"),
        created_at=record.get("created_at"),
        evaluation=record.get("evaluation"),
        model_sha256=mapping(record.get("files")).get("model.onnx"),
        subjects=subjects_of(record),
        data=mapping(record.get("data")),
    )


def section(judgement: Judgement, policy: Mapping[str, Any]) -> dict[str, Any]:
    """The record's `gate`."""
    return {
        "preset": policy["preset"],
        "mode": judgement.mode,
        "policy": policy,
        "checks": [check.to_json() for check in judgement.checks],
        **({"power": judgement.power} if judgement.power else {}),
        "verdict": judgement.verdict,
    }


def verdict_of(outcomes: Sequence[str]) -> Outcome:
    """Fail if any failed (or none was made), else inconclusive if any was, else pass."""
    if not outcomes or any(outcome not in ("pass", "inconclusive") for outcome in outcomes):
        return "fail"
    return "inconclusive" if "inconclusive" in outcomes else "pass"


def _checks(evidence: Evidence, policy: Mapping[str, Any]) -> Iterator[Check]:
    metrics, evaluation = mapping(evidence.metrics), mapping(evidence.evaluation)
    preset = policy["preset"]
    yield from floors(metrics, policy)
    yield measured_with(evaluation, evidence.model_sha256)
    if preset == "sound":
        yield from better_than_chance(evaluation, metrics)
    if evidence.champion is not None:
        yield from _against_champion(evidence, policy)
    champion = None if evidence.champion is None else mapping(evidence.champion)
    yield from sliced(evaluation, champion, policy)
    if champion is not None:
        yield from same_answers(champion, policy)
    yield from quick_enough(evaluation, policy)
    yield enough_rows(evidence.test_rows, policy)
    if preset == "sound":
        yield from decisive_rows(evidence.kind, evaluation, evidence.test_rows, policy)
    yield from pinned(mapping(evidence.data), policy)
    yield from drifted(mapping(evidence.drift), policy["drift"])
    yield from scanned(mapping(evidence.scans), evidence.subjects, evidence.created_at, policy["scans"])


def _against_champion(evidence: Evidence, policy: Mapping[str, Any]) -> Iterator[Check]:
    metrics, champion = mapping(evidence.metrics), mapping(evidence.champion)
    if policy["preset"] == "classic":
        yield from within_drop(metrics, champion, policy)
    else:
        counts = mapping(mapping(evidence.evaluation).get("counts"))
        yield from non_inferior(metrics, champion, counts.get("distinct_rows"), policy)
        yield from contradictions(metrics, champion, counts)


def _power(evidence: Evidence, policy: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What the judging rows could have told about each metric, had the two models been equally good."""
    if policy["preset"] != "sound" or evidence.champion is None:
        return {}
    judged = compared(mapping(evidence.metrics), mapping(evidence.champion), policy)
    return {
        name: {
            "margin": plain(margin),
            "detectable_drop": plain(result.detectable),
            "pass_if_equal": plain(result.pass_if_equal),
        }
        for name, (result, margin) in judged.items()
    }
