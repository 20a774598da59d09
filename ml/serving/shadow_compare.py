"""Two answers to the same request, compared row by row, and the counts of it. Pure."""

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from ml.serving.spec import Spec

BOUNDS: Final = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
SAME_NUMBER: Final = 0.01
"""Of the scale: numbers of two regression models that are closer count as the same answer, since no two are equal."""
MAX_VERSIONS: Final = 2
"""Releases of the other slot that are kept apart; of more, the one that came first ends its series."""
_VERSION_CHARS: Final = 64


class UnreadableError(Exception):
    """The other slot's answer is none."""


class _Output(msgspec.Struct, frozen=True):
    name: str
    data: list[Any]


class _Body(msgspec.Struct, frozen=True):
    """Any of the three forms of an answer; see `ml.serving.predict` and `ml.serving.inference`."""

    model_version: str
    prediction: Any = None
    probability: float | None = None
    predictions: list[Any] | None = None
    probabilities: list[float] | None = None
    outputs: list[_Output] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelled:
    """Labels of some rows, or numbers, and for labels the probability of each."""

    labels: Sequence[Any]
    scores: Sequence[float] | None


@dataclass(kw_only=True, slots=True)
class Counts:
    """What was compared with one release of the other slot."""

    same: int = 0
    different: int = 0
    same_rows: int = 0
    different_rows: int = 0
    differences: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    difference_sum: float = 0.0


class Comparison:
    """Compares for one release and counts, by the release it is compared with; `failed` and `dropped` are requests."""

    def __init__(self, spec: Spec) -> None:
        self.failed = 0
        self.dropped = 0
        self.counts: dict[str, Counts] = {}
        self._classes = [] if spec.kind == "regression" else list(spec.classes or [])
        self._scale = _scale(spec) if spec.kind == "regression" else None
        self._read = msgspec.json.Decoder(_Body).decode

    def compare(self, ours: Labelled, body: bytes) -> None:
        """Count what the other slot answered.

        Raises:
            UnreadableError: It is no answer to as many rows.
        """
        try:
            parsed = self._read(body)
            theirs = self._labelled(parsed)
            rows = [self._row(ours, theirs, index) for index in range(len(ours.labels))]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LookupError, TypeError, ValueError) as error:
            raise UnreadableError(f"{type(error).__name__}: {error}") from error
        if len(theirs.labels) != len(ours.labels) or not 0 < len(parsed.model_version) <= _VERSION_CHARS:
            raise UnreadableError(f"{len(theirs.labels)} answers to {len(ours.labels)} rows")
        self._count(parsed.model_version, rows)

    def requests(self) -> Iterator[tuple[Mapping[str, str], int]]:
        """Outcome and the release that was compared with -> requests."""
        for against, found in self.counts.items():
            yield {"outcome": "same", "against": against}, found.same
            yield {"outcome": "different", "against": against}, found.different
        yield {"outcome": "failed", "against": ""}, self.failed
        yield {"outcome": "dropped", "against": ""}, self.dropped

    def rows(self) -> Iterator[tuple[Mapping[str, str], int]]:
        """Outcome and the release that was compared with -> rows."""
        for against, found in self.counts.items():
            yield {"outcome": "same", "against": against}, found.same_rows
            yield {"outcome": "different", "against": against}, found.different_rows

    def _labelled(self, body: _Body) -> Labelled:
        if body.outputs is not None:
            by_name = {output.name: output.data for output in body.outputs}
            return Labelled(labels=by_name["predictions"], scores=self._scores(by_name))
        if body.predictions is not None:
            return Labelled(labels=body.predictions, scores=body.probabilities)
        scores = None if body.probability is None else [body.probability]
        return Labelled(labels=[] if body.prediction is None else [body.prediction], scores=scores)

    def _scores(self, by_name: Mapping[str, list[Any]]) -> list[float] | None:
        """Of the v2 form, which has every class's probability in one list: those of the labels."""
        flat = by_name.get("probabilities")
        if flat is None:
            return None
        width = len(self._classes)
        return [flat[row * width + self._classes.index(label)] for row, label in enumerate(by_name["predictions"])]

    def _row(self, ours: Labelled, theirs: Labelled, row: int) -> tuple[bool, float | None]:
        """Whether a row got the same answer, and how far apart the two are; None where that cannot be said."""
        mine, other = ours.labels[row], theirs.labels[row]
        if self._scale is not None:
            difference = abs(_number(mine) - _number(other)) / self._scale
            return difference <= SAME_NUMBER, difference
        same = mine == other
        if ours.scores is None or theirs.scores is None:
            return same, None
        one, two = _number(ours.scores[row]), _number(theirs.scores[row])
        if same:
            return True, abs(one - two)
        # The other label of two has the rest of the probability; of more, nobody knows how the rest is spread.
        return False, abs(one - (1 - two)) if len(self._classes) == 2 else None

    def _count(self, against: str, rows: Sequence[tuple[bool, float | None]]) -> None:
        if against not in self.counts:
            if len(self.counts) >= MAX_VERSIONS:
                del self.counts[next(iter(self.counts))]
            self.counts[against] = Counts()
        found = self.counts[against]
        same = sum(equal for equal, _ in rows)
        found.same_rows += same
        found.different_rows += len(rows) - same
        if same == len(rows):
            found.same += 1
        else:
            found.different += 1
        for _, difference in rows:
            if difference is not None:
                found.differences[bisect_left(BOUNDS, difference)] += 1
                found.difference_sum += difference


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not finite")
    return number


def _scale(spec: Spec) -> float:
    """How far the release's numbers reach: what a difference of two numbers is measured by."""
    bins = spec.predictions.get("value")
    known = bins.edges if bins is not None and len(bins.edges) > 1 else [float(one) for one in spec.golden.predictions]
    return (max(known) - min(known)) or 1.0
