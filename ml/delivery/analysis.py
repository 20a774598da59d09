"""Whether a release that takes traffic is as good as promised: the questions, asked of pooled counts. Pure.

Each question has its own limit and its own alpha over all looks (`ml.statistics.live`). The release passes when every
question passes, and fails with the first that fails. What the last look leaves open is inconclusive, which promotes
nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from ml.delivery.counts import Totals
from ml.delivery.promise import Promise
from ml.delivery.scores import Seen, ask
from ml.statistics.live import Limits, Outcome, judge

LOOKS_ALPHA: Final = 0.01
"""Of each question over all its looks: a release that is exactly at a limit is rolled back by chance this often."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What one question came to: `value` against `limit`, with the counts that it rests on."""

    question: str
    outcome: Outcome
    reason: str
    value: float | None
    limit: float
    counts: tuple[int, int]
    champion: tuple[int, int] = (0, 0)
    said: str = ""
    """What else there is to say: what the first failure saw, or why nothing was asked."""

    def words(self) -> str:
        """One line for a person."""
        value = "no value" if self.value is None else f"{self.value:.4g}"
        of = f" ({self.counts[1]} of {self.counts[0]})"
        beside = f", champion {self.champion[1]} of {self.champion[0]}" if self.champion[0] else ""
        said = f"; {self.said}" if self.said else ""
        return f"{self.question}: {value}{of}, limit {self.limit:g}{beside}: {self.outcome}, {self.reason}{said}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One look at all questions."""

    outcome: Outcome
    answers: Sequence[Answer] = field(default_factory=tuple)

    @property
    def deciding(self) -> Sequence[Answer]:
        """The answers that the outcome rests on: those that failed, or were left open."""
        return [answer for answer in self.answers if answer.outcome == self.outcome]


@dataclass(frozen=True, kw_only=True, slots=True)
class Probed:
    """Predictions that we asked for ourselves, by way of the live Service."""

    sent: int = 0
    failed: int = 0
    """Answered with 5xx, or not at all."""
    slow: int = 0
    """Took longer than the limit until the answer was here. A server that hardly gets a processor does not know."""
    said: str = ""
    """What the first that failed saw."""

    def __add__(self, other: "Probed") -> "Probed":
        return Probed(
            sent=self.sent + other.sent,
            failed=self.failed + other.failed,
            slow=self.slow + other.slow,
            said=self.said or other.said,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """What has been counted so far."""

    candidate: Totals
    """Since the switch."""
    champion: Totals = field(default_factory=Totals)
    """In a time before the switch; empty where there is no champion."""
    probes: Probed = field(default_factory=Probed)
    """Of the candidate's rows, those that were sent by ourselves, and what we saw."""
    clients: Seen | None = None
    """What clients sent to the candidate, and its answers; None where its reference is not known."""
    before: Seen | None = None
    """The same of the champion, in the time before the switch."""


def look(promise: Promise, window: Window, number: int) -> Verdict:
    """Judge a candidate's counts.

    Args:
        promise: The limits.
        window: The counts.
        number: Which look this is, from 1 to `promise.looks`.
    """
    mine, champion = window.candidate, window.champion
    answers = [
        _share(promise, number, "errors", _Share(_errors(mine), _errors(champion), promise.error_share)),
        _share(promise, number, "slow answers", _Share(_slow(mine), _slow(champion), promise.slow_share)),
        _share(promise, number, "lost rows", _Share(_lost(mine), _lost(champion), promise.lost_share)),
    ]
    probes = window.probes
    failed = _share(promise, number, "probes that failed", _Share(_failed(probes), (0, 0), promise.error_share))
    answers += [
        replace(_seen(failed), said=f"the first: {probes.said}" if probes.said else ""),
        _seen(_share(promise, number, "slow probes", _Share(_late(probes), (0, 0), promise.slow_share))),
        _scores(promise, window, number),
    ]
    return Verdict(outcome=_together([answer.outcome for answer in answers]), answers=answers)


class _Share(NamedTuple):
    candidate: tuple[int, int]
    champion: tuple[int, int]
    limit: float


def _errors(totals: Totals) -> tuple[int, int]:
    return totals.requests, totals.errors


def _slow(totals: Totals) -> tuple[int, int]:
    return totals.timed, totals.slow


def _lost(totals: Totals) -> tuple[int, int]:
    return totals.rows, totals.lost


def _failed(probes: Probed) -> tuple[int, int]:
    return probes.sent, probes.failed


def _late(probes: Probed) -> tuple[int, int]:
    return probes.sent, probes.slow


def _share(promise: Promise, number: int, question: str, asked: _Share) -> Answer:
    limits = Limits(share=asked.limit, ratio=promise.ratio, looks=promise.looks, alpha=LOOKS_ALPHA)
    found = judge(asked.candidate, asked.champion, number, limits)
    outcome, reason = found.outcome, found.reason
    total, count = asked.candidate
    if outcome != "fail" and total < promise.requests:
        outcome, reason = "inconclusive", "live-too-few-requests"
    return Answer(
        question=question,
        outcome=outcome,
        reason=reason,
        value=count / total if total else None,
        limit=asked.limit,
        counts=asked.candidate,
        champion=asked.champion,
    )


def _seen(answer: Answer) -> Answer:
    """What probes show may fail a release; that there are too few of them to prove anything is no reason to wait."""
    return answer if answer.outcome == "fail" else replace(answer, outcome="pass", reason="ok")


def _scores(promise: Promise, window: Window, number: int) -> Answer:
    found = ask(promise, window.clients, window.before, number, LOOKS_ALPHA)
    return Answer(
        question=f"rows whose {found.output or 'answer'} lies elsewhere",
        outcome=found.outcome,
        reason=found.reason,
        value=found.value,
        limit=round(found.limit, 4),
        counts=(found.rows, round((found.value or 0.0) * found.rows)),
        said=found.said,
    )


def _together(outcomes: Sequence[Outcome]) -> Outcome:
    if "fail" in outcomes:
        return "fail"
    return "inconclusive" if "inconclusive" in outcomes else "pass"
