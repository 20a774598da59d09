"""Tick batching: requests that wait in the same turn of the event loop share one session run.

No timer and no window: a lone request waits for nothing, a burst costs one run.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ml.serving.bins import FeatureBins
from ml.serving.encoder import RowTuple
from ml.serving.model import MODEL_FAULTS, Model

MAX_ROWS = 2048
"""Rows of one run: bounds how long the loop is held; the rest goes into the next turn."""


class ModelFaultError(Exception):
    """The model raised on a request's rows."""


class NonFiniteOutputError(Exception):
    """The model answered NaN or infinity for at least one row; args: (row index,)."""


class TooLateError(Exception):
    """The request waited longer than it may."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The predictions of one request; see `ml.serving.model.Output`."""

    labels: Sequence[Any]
    scores: Sequence[float] | None
    probabilities: NDArray[np.float64]


Result = Answer | ModelFaultError | NonFiniteOutputError | TooLateError


class Waiting(Protocol):
    """A request that waits for its run."""

    rows: Sequence[RowTuple]
    open: bool
    """False once it is done, or once nobody waits for the answer any more: its rows are not predicted then."""
    until_s: float
    """On `time.perf_counter`: after it the answer is worth nothing."""

    def done(self, result: Result) -> None:
        """Take the result; called once, and not when the request is no longer open."""
        ...


class TickBatcher:
    """Collects the requests of one turn and predicts them together."""

    def __init__(self, model: Model, bins: FeatureBins) -> None:
        self.rows = 0
        """Rows that wait now."""
        self._model = model
        self._bins = bins
        self._waiting: deque[Waiting] = deque()
        self._scheduled = False

    def submit(self, entry: Waiting) -> None:
        """Predict checked rows in the next turn."""
        self._waiting.append(entry)
        self.rows += len(entry.rows)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        taken: list[Waiting] = []
        late: list[Waiting] = []
        count = 0
        now = perf_counter()
        while self._waiting and (not taken or count + len(self._waiting[0].rows) <= MAX_ROWS):
            entry = self._waiting.popleft()
            self.rows -= len(entry.rows)
            if not entry.open:
                continue
            if now > entry.until_s:
                late.append(entry)
            else:
                taken.append(entry)
                count += len(entry.rows)
        self._scheduled = bool(self._waiting)
        if self._scheduled:
            asyncio.get_running_loop().call_soon(self._flush)
        for entry in late:
            entry.done(TooLateError())
        if not taken:
            return
        try:
            self._predict(taken)
        finally:  # whatever else was raised goes to the loop's handler; no request may wait for ever
            for entry in taken:
                if entry.open:
                    entry.done(ModelFaultError("unexpected"))

    def _predict(self, taken: Sequence[Waiting]) -> None:
        """Predict a group; when the model fails on it, each request alone, so one cannot fail the others."""
        results: Sequence[Result]
        try:
            results = self._answers([entry.rows for entry in taken])
        except MODEL_FAULTS as error:
            if len(taken) > 1:
                for entry in taken:
                    self._predict([entry])
                return
            fault = ModelFaultError(f"{type(error).__name__}: {error}")
            fault.__cause__ = error
            results = [fault]
        for entry, result in zip(taken, results, strict=True):
            if entry.open:  # an answer before it may have closed this one's connection
                entry.done(result)

    def _answers(self, requests: Sequence[Sequence[RowTuple]]) -> list[Answer | NonFiniteOutputError]:
        rows = requests[0] if len(requests) == 1 else list(chain.from_iterable(requests))
        raw = self._model.encoder.array(rows)
        raw.setflags(write=False)
        output = self._model.predict(raw)
        self._bins.add(raw, output.probabilities)
        all_finite = bool(output.finite.all())
        answers: list[Answer | NonFiniteOutputError] = []
        start = 0
        for request in requests:
            end = start + len(request)
            if all_finite or output.finite[start:end].all():
                scores = None if output.scores is None else output.scores[start:end]
                answers.append(Answer(output.labels[start:end], scores, output.probabilities[start:end]))
            else:
                answers.append(NonFiniteOutputError(int(np.argmin(output.finite[start:end]))))
            start = end
        return answers
