"""Counts live inputs into the training data's bins, so that drift of live traffic is one subtraction away."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ml.serving.spec import Spec

BUFFERED_ROWS = 1024
"""Rows kept before they are counted: one sorted lookup for many rows, and a bounded memory."""


class FeatureBins:
    """Counters per feature and bin; `add` only keeps a reference, `counts` does the work."""

    def __init__(self, spec: Spec) -> None:
        self._columns = [
            (column, feature.name, np.asarray(spec.reference[feature.name].edges, dtype=np.float64))
            for column, feature in enumerate(spec.features)
            if feature.kind == "number" and feature.name in spec.reference
        ]
        self._counts = [np.zeros(len(edges) + 2, dtype=np.int64) for _, _, edges in self._columns]
        self._buffer: list[NDArray[np.float32]] = []
        self._buffered = 0

    def add(self, raw: NDArray[np.float32]) -> None:
        """Count encoded rows, (n_rows, n_features). The array must not change afterwards."""
        self._buffer.append(raw)
        self._buffered += len(raw)
        if self._buffered >= BUFFERED_ROWS:
            self._flush()

    def counts(self) -> Iterator[tuple[str, list[tuple[str, int]]]]:
        """Each feature with its (bin, count): bins '0' to 'k' in order of the edges, then 'missing'."""
        self._flush()
        for (_, name, edges), counts in zip(self._columns, self._counts, strict=True):
            labels = [*(str(index) for index in range(len(edges) + 1)), "missing"]
            yield name, list(zip(labels, counts.tolist(), strict=True))

    def _flush(self) -> None:
        if not self._buffer:
            return
        rows = np.concatenate(self._buffer)
        self._buffer.clear()
        self._buffered = 0
        for (column, _, edges), counts in zip(self._columns, self._counts, strict=True):
            values = rows[:, column].astype(np.float64)
            missing = np.isnan(values)
            bins = np.searchsorted(edges, values, side="left")
            bins[missing] = len(edges) + 1
            np.add(counts, np.bincount(bins, minlength=len(counts)), out=counts)
