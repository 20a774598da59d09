"""Counts live inputs and answers into the reference's bins, so that drift of live traffic is one subtraction away.

The number of counters is fixed by the release: 33 bins and a missing one for a number; for a category its most frequent
names in the reference, all others together, and the missing and unknown ones.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.serving.spec import ReferenceBins, Spec

BUFFERED_ROWS = 256
"""Rows kept before they are counted: one sorted lookup for many rows, and a bounded memory. With more, a row costs
less (0.9 us at 1024, 1.2 us at 256, for 30 features), but who asks at that moment waits longer (0.5 ms, 0.2 ms)."""

Place = Callable[[NDArray[Any]], NDArray[np.intp]]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Counter:
    """One column: the bin of each value, the bins' labels, and the counts so far."""

    name: str
    column: int
    place: Place
    labels: Sequence[str]
    counts: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", np.zeros(len(self.labels), dtype=np.int64))

    def add(self, values: NDArray[Any]) -> None:
        np.add(self.counts, np.bincount(self.place(values), minlength=len(self.counts)), out=self.counts)

    def read(self) -> tuple[str, list[tuple[str, int]]]:
        return self.name, list(zip(self.labels, self.counts.tolist(), strict=True))


class FeatureBins:
    """Counters per feature and bin, and of the answers; `add` only keeps references, `counts` does the work."""

    def __init__(self, spec: Spec) -> None:
        self._features = [
            _counter(feature.name, column, spec.reference[feature.name], feature.categories)
            for column, feature in enumerate(spec.features)
            if feature.name in spec.reference
        ]
        classes = [str(label) for label in spec.classes or []]
        self._answers = [_counter(name, 0, bins, classes) for name, bins in spec.predictions.items()]
        self._answer = _ANSWERS[spec.kind]
        self._buffer: list[NDArray[np.float32]] = []
        self._answered: list[NDArray[np.float64]] = []
        self._buffered = 0

    def add(self, raw: NDArray[np.float32], answers: NDArray[np.float64]) -> None:
        """Count encoded rows, (n_rows, n_features), and the probabilities or numbers that they got, (n_rows, any).

        The arrays must not change afterwards.
        """
        self._buffer.append(raw)
        self._answered.append(answers)
        self._buffered += len(raw)
        if self._buffered >= BUFFERED_ROWS:
            self._flush()

    def counts(self) -> Iterator[tuple[str, list[tuple[str, int]]]]:
        """Each feature with its (bin, count): bins '0' to 'k' in order, then what is in none of them."""
        self._flush()
        yield from (counter.read() for counter in self._features)

    def answers(self) -> Iterator[tuple[str, list[tuple[str, int]]]]:
        """The same of the model's answers: `score`, `class` or `value`."""
        self._flush()
        yield from (counter.read() for counter in self._answers)

    def _flush(self) -> None:
        if not self._buffer:
            return
        rows = np.concatenate(self._buffer)
        for counter in self._answers:
            counter.add(self._answer(np.concatenate(self._answered)))
        self._buffer.clear()
        self._answered.clear()
        self._buffered = 0
        for counter in self._features:
            counter.add(rows[:, counter.column])


_ANSWERS: Mapping[str, Callable[[NDArray[np.float64]], Any]] = {
    "binary": lambda probabilities: probabilities[:, 1],
    "multiclass": lambda probabilities: probabilities.argmax(axis=1),
    "regression": lambda numbers: numbers[:, 0],
}


def _counter(name: str, column: int, bins: ReferenceBins, categories: Sequence[str]) -> _Counter:
    if bins.categories is None:
        labels = [*(str(index) for index in range(len(bins.edges) + 1)), "missing"]
        return _Counter(name=name, column=column, place=_by_edges(bins.edges), labels=labels)
    labels = [*(str(index) for index in range(len(bins.categories))), "other", "unknown"]
    return _Counter(name=name, column=column, place=_by_code(bins.categories, categories), labels=labels)


def _by_edges(inner: Sequence[float]) -> Place:
    edges = np.asarray(inner, dtype=np.float64)

    def place(values: NDArray[Any]) -> NDArray[np.intp]:
        wide = values.astype(np.float64)
        found = np.searchsorted(edges, wide, side="left")
        found[np.isnan(wide)] = len(edges) + 1
        return found

    return place


def _by_code(named: Sequence[str], categories: Sequence[str]) -> Place:
    """A table from code to bin; the code of what is missing or unknown is -1, the table's last entry."""
    at = {name: index for index, name in enumerate(named)}
    table = np.array([at.get(name, len(named)) for name in categories] + [len(named) + 1], dtype=np.intp)
    return lambda codes: table[codes.astype(np.intp)]
