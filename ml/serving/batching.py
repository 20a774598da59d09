"""Tick batching: requests that wait in the same turn of the event loop share one session run.

No timer and no window: a lone request waits for nothing, a burst costs one run.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Answer:
    """The predictions of one request; see `ml.serving.model.Output`."""

    labels: Sequence[Any]
    scores: Sequence[float] | None
    probabilities: NDArray[np.float64]


Entry = tuple[Sequence[RowTuple], asyncio.Future[Answer]]


class TickBatcher:
    """Collects the requests of one turn and predicts them together."""

    def __init__(self, model: Model, bins: FeatureBins) -> None:
        self._model = model
        self._bins = bins
        self._waiting: deque[Entry] = deque()
        self._scheduled = False

    def submit(self, rows: Sequence[RowTuple]) -> asyncio.Future[Answer]:
        """Predict checked rows in the next turn."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((rows, answer))
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._flush)
        return answer

    def _flush(self) -> None:
        taken: list[Entry] = []
        count = 0
        while self._waiting and (not taken or count + len(self._waiting[0][0]) <= MAX_ROWS):
            entry = self._waiting.popleft()
            if not entry[1].done():
                taken.append(entry)
                count += len(entry[0])
        self._scheduled = bool(self._waiting)
        if self._scheduled:
            asyncio.get_running_loop().call_soon(self._flush)
        if not taken:
            return
        try:
            self._predict(taken)
        finally:  # whatever else was raised goes to the loop's handler; no request may wait for ever
            for _, future in taken:
                if not future.done():
                    future.set_exception(ModelFaultError("unexpected"))

    def _predict(self, taken: Sequence[Entry]) -> None:
        """Predict a group; when the model fails on it, each request alone, so one cannot fail the others."""
        try:
            answers = self._answers([rows for rows, _ in taken])
        except MODEL_FAULTS as error:
            if len(taken) > 1:
                for entry in taken:
                    self._predict([entry])
                return
            fault = ModelFaultError(f"{type(error).__name__}: {error}")
            fault.__cause__ = error
            taken[0][1].set_exception(fault)
            return
        for (_, future), answer in zip(taken, answers, strict=True):
            if isinstance(answer, Answer):
                future.set_result(answer)
            else:
                future.set_exception(answer)

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
