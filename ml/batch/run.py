"""Predicts rows of a file in this process, with the server's own model and encoder.

Every row ends in the output or in the dead letters, and the sum is checked. The cluster's sharded jobs call
`predict_rows` on their shard.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ml.batch.columns import encode
from ml.batch.sink import DeadLetters, Predictions
from ml.batch.source import Chunk, DeadRow, Source, open_source
from ml.data.atomic import AtomicFile
from ml.data.schema import RowError
from ml.errors import DataError, UsageError
from ml.serving.model import MODEL_FAULTS, Model
from ml.serving.spec import Spec

MAX_DEAD_SHARE = 0.1

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What became of the rows; `accepted + dead == total`."""

    total: int
    accepted: int
    dead: int
    output: Path
    dead_letters: Path | None
    seconds: float


def dead_letters_of(output: Path) -> Path:
    """Where the rows go that were not predicted."""
    return output.with_name(f"{output.name}.dead.jsonl")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What a caller may choose.

    `keep` are columns of the input to copy, such as a key. Above `max_dead_share`, in [0, 1], nothing is written to
    the output; the dead letters stay for diagnosis.
    """

    keep: Sequence[str] = ()
    max_dead_share: float = MAX_DEAD_SHARE


DEFAULTS = Options()


def predict_file(
    source: Path,
    output: Path,
    model: Model,
    options: Options = DEFAULTS,
    progress: Progress = lambda _rows, _total: None,
) -> Report:
    """Predict every row of a CSV or Parquet file.

    Args:
        source: Input with one column a feature, by name.
        output: Table with columns row, the kept ones, prediction and (classifiers) probability.
        model: The verified release's model.
        options: What to keep and how many dead rows to accept.
        progress: Called after each chunk with the rows done and, where known, all.

    Raises:
        DataError: `ML-BATCH-001` and `-002` the input, `-003` too many dead rows, `-004` rows do not add up,
            `-005` the output cannot be written.
        UsageError: `ML-BATCH-006` output, input and kept columns do not fit together.
    """
    started = time.perf_counter()
    _check_output(source, output, options.keep)
    opened = open_source(source, model.spec.features, options.keep)
    work = Work(source=opened, output=output, letters=dead_letters_of(output), max_dead_share=options.max_dead_share)
    counts = predict_rows(work, model, progress)
    return Report(
        total=counts.total,
        accepted=counts.accepted,
        dead=counts.dead,
        output=output,
        dead_letters=work.letters if counts.dead else None,
        seconds=time.perf_counter() - started,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """Rows of an opened input, and where they go. `rows` are the numbers that are wanted; None: all, at least one."""

    source: Source
    output: Path
    letters: Path
    max_dead_share: float
    rows: range | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What became of the rows; `accepted + dead == total`."""

    total: int
    accepted: int
    dead: int


def predict_rows(work: Work, model: Model, progress: Progress = lambda _rows, _total: None) -> Counts:
    """Predict rows into both files, which are committed together or not at all; no dead letters, no file of them.

    Raises:
        DataError: `ML-BATCH-001` the input, `-003` too many dead rows, `-004` rows do not add up, `-005` a file cannot
            be written.
    """
    try:
        return _write(work, model, progress)
    except OSError as error:
        place = error.filename or f"{work.output} or {work.letters}"  # a full disk does not say which
        fix = f"give the folder space and rights and run the same command; {work.output} was not written"
        raise DataError("ML-BATCH-005", f"{place}: cannot be written: {error.strerror}", fix) from error


def _write(work: Work, model: Model, progress: Progress) -> Counts:
    with ExitStack() as stack:
        table, dead = (stack.enter_context(AtomicFile(path)) for path in (work.output, work.letters))
        predictions = Predictions(table, _schema(model.spec, work.source))
        stack.callback(predictions.close)
        letters = DeadLetters(dead)
        total = _run(work, model, predictions, letters, progress)
        predictions.close()
        _balance(total, predictions.rows, letters.rows, work)
        if letters.rows:
            dead.commit()
        else:
            work.letters.unlink(missing_ok=True)
        if letters.rows > work.max_dead_share * total:
            message = f"{letters.rows} of {total} rows cannot be predicted, at most {work.max_dead_share:.1%} may"
            raise DataError("ML-BATCH-003", message, f"read {work.letters}; {work.output} was not written")
        table.commit()
        return Counts(total=total, accepted=predictions.rows, dead=letters.rows)


def _run(work: Work, model: Model, predictions: Predictions, letters: DeadLetters, progress: Progress) -> int:
    total = 0
    wanted = work.source.total if work.rows is None else len(work.rows)
    for chunk in work.source.chunks(work.rows):
        total += len(chunk.numbers) + len(chunk.dead)
        for row in chunk.dead:
            letters.write(row)
        if chunk.numbers:
            _predict_chunk(chunk, model, predictions, letters)
        progress(total, wanted)
    return total


def _predict_chunk(chunk: Chunk, model: Model, predictions: Predictions, letters: DeadLetters) -> None:
    positions, encoded = _encode(chunk, model, letters)
    numbers = np.asarray(chunk.numbers, dtype=np.int64)
    for part in _predict(model, positions, encoded, chunk, letters):
        columns: list[Any] = [numbers[part.positions]]
        columns += [pc.take(column, pa.array(part.positions)) for column in chunk.kept.columns]
        predictions.write([*columns, *part.values])


def _encode(chunk: Chunk, model: Model, letters: DeadLetters) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Positions and encoded cells of the rows that the schema takes; the others become dead letters."""
    encoded, sure = encode(model.spec.features, chunk.columns, len(chunk.numbers))
    for position in np.flatnonzero(~sure).tolist():
        try:
            row = model.encoder.check([chunk.row(position)])
        except RowError as error:
            letters.write(_dead(chunk, model.spec, position, str(error).removeprefix("row 0: ")))
        else:
            encoded[position], sure[position] = model.encoder.array(row)[0], True
    return np.flatnonzero(sure), encoded if sure.all() else encoded[sure]


@dataclass(frozen=True, slots=True)
class _Part:
    """Predicted rows of a chunk: their positions in it, and the columns of their answers."""

    positions: NDArray[np.intp]
    values: Sequence[Sequence[Any]]


def _predict(
    model: Model, positions: NDArray[np.intp], rows: NDArray[np.float32], chunk: Chunk, letters: DeadLetters
) -> list[_Part]:
    """Predict rows; where the model fails, halves of them, until the row that makes it fail is alone."""
    if not len(rows):
        return []
    try:
        output = model.predict(rows)
    except MODEL_FAULTS as error:
        if len(rows) == 1:
            reason = f"the model failed: {type(error).__name__}: {error}"
            letters.write(_dead(chunk, model.spec, int(positions[0]), reason))
            return []
        half = len(rows) // 2
        first = _predict(model, positions[:half], rows[:half], chunk, letters)
        return first + _predict(model, positions[half:], rows[half:], chunk, letters)
    values = [output.labels] if output.scores is None else [output.labels, output.scores]
    if not output.finite.all():
        for position in positions[~output.finite].tolist():
            letters.write(_dead(chunk, model.spec, position, "the model's answer is not a finite number"))
        positions = positions[output.finite]
        values = [list(compress(column, output.finite)) for column in values]
    return [_Part(positions, values)]


def _dead(chunk: Chunk, spec: Spec, position: int, reason: str) -> DeadRow:
    values = {feature.name: value for feature, value in zip(spec.features, chunk.row(position), strict=True)}
    return DeadRow(number=chunk.numbers[position], reason=reason, values=values)


def _schema(spec: Spec, source: Source) -> pa.Schema:
    fields = [pa.field("row", pa.int64()), *source.kept_schema]
    fields.append(pa.field("prediction", _label_type(spec)))
    if spec.kind != "regression":
        fields.append(pa.field("probability", pa.float64()))
    return pa.schema(fields)


def _label_type(spec: Spec) -> pa.DataType:
    if spec.kind == "regression":
        return pa.float64()
    return pa.array(spec.classes).type


def _balance(total: int, accepted: int, dead: int, work: Work) -> None:
    if total == 0 and work.rows is None:
        raise DataError("ML-BATCH-001", "the input has no rows")
    wanted = work.source.total if work.rows is None else len(work.rows)
    if accepted + dead != total or wanted not in (None, total):
        said = "" if wanted is None else f", of {wanted} that were asked for"
        message = f"{accepted} accepted and {dead} dead rows do not make {total} read{said}"
        raise DataError("ML-BATCH-004", message, "nothing was written; report this as a defect")


def _check_output(source: Path, output: Path, keep: Sequence[str]) -> None:
    if output.suffix not in {".csv", ".parquet"}:
        raise UsageError("ML-BATCH-006", f"{output}: must end in .csv or .parquet")
    if output.resolve() == source.resolve():
        raise UsageError("ML-BATCH-006", f"{output}: is the input")
    taken = sorted({"row", "prediction", "probability"} & set(keep))
    if taken or len(set(keep)) != len(keep):
        raise UsageError("ML-BATCH-006", f"--keep {', '.join(keep)}: columns must differ from each other and our own")
