"""Predicts a whole file in this process, with the server's own model and encoder.

Every row ends in the output or in the dead letters, and the sum is checked. The cluster's sharded jobs call the same
function on their shard.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ml.batch.sink import DeadLetters, Predictions
from ml.batch.source import Chunk, DeadRow, Source, open_source
from ml.data.atomic import AtomicFile
from ml.data.schema import RowError
from ml.errors import DataError, UsageError
from ml.serving.encoder import RowTuple
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
    try:
        total, accepted, dead = _write(opened, output, model, options, progress)
    except OSError as error:
        raise DataError("ML-BATCH-005", f"{output}: cannot be written: {error.strerror}") from error
    return Report(
        total=total,
        accepted=accepted,
        dead=dead,
        output=output,
        dead_letters=dead_letters_of(output) if dead else None,
        seconds=time.perf_counter() - started,
    )


def _write(source: Source, output: Path, model: Model, options: Options, progress: Progress) -> tuple[int, int, int]:
    """Both files, committed together or not at all; the rows read, predicted and dead."""
    letters_path = dead_letters_of(output)
    with ExitStack() as stack:
        table, dead = (stack.enter_context(AtomicFile(path)) for path in (output, letters_path))
        predictions = Predictions(table, _schema(model.spec, source))
        stack.callback(predictions.close)
        letters = DeadLetters(dead)
        total = _run(source, model, predictions, letters, progress)
        predictions.close()
        _balance(total, predictions.rows, letters.rows, source)
        if letters.rows:
            dead.commit()
        else:
            letters_path.unlink(missing_ok=True)
        if letters.rows > options.max_dead_share * total:
            message = f"{letters.rows} of {total} rows cannot be predicted, at most {options.max_dead_share:.1%} may"
            raise DataError("ML-BATCH-003", message, f"read {letters_path}; {output} was not written")
        table.commit()
        return total, predictions.rows, letters.rows


def _run(source: Source, model: Model, predictions: Predictions, letters: DeadLetters, progress: Progress) -> int:
    total = 0
    for chunk in source.chunks():
        total += len(chunk.numbers) + len(chunk.dead)
        for row in chunk.dead:
            letters.write(row)
        positions, rows = _encode(chunk, model, letters)
        for part in _predict(model, positions, rows, chunk, letters):
            columns: list[Any] = [[chunk.numbers[position] for position in part.positions]]
            columns += [pc.take(column, pa.array(part.positions)) for column in chunk.kept.columns]
            predictions.write([*columns, *part.values])
        progress(total, source.total)
    return total


def _encode(chunk: Chunk, model: Model, letters: DeadLetters) -> tuple[list[int], list[RowTuple]]:
    """Positions and values of the rows that the schema takes; the others become dead letters."""
    encoder = model.encoder
    try:
        return list(range(len(chunk.rows))), encoder.convert(chunk.rows)
    except (msgspec.ValidationError, OverflowError):
        pass
    positions, rows = [], []
    for position, row in enumerate(chunk.rows):
        try:
            rows += encoder.check([row])
        except RowError as error:
            letters.write(_dead(chunk, model.spec, position, str(error).removeprefix("row 0: ")))
        else:
            positions.append(position)
    return positions, rows


@dataclass(frozen=True, slots=True)
class _Part:
    """Predicted rows of a chunk: their positions in it, and the columns of their answers."""

    positions: Sequence[int]
    values: Sequence[Sequence[Any]]


def _predict(
    model: Model, positions: Sequence[int], rows: Sequence[RowTuple], chunk: Chunk, letters: DeadLetters
) -> list[_Part]:
    """Predict rows; where the model fails, halves of them, until the row that makes it fail is alone."""
    if not rows:
        return []
    try:
        output = model.predict(model.encoder.array(rows))
    except MODEL_FAULTS as error:
        if len(rows) == 1:
            letters.write(_dead(chunk, model.spec, positions[0], f"the model failed: {type(error).__name__}: {error}"))
            return []
        half = len(rows) // 2
        first = _predict(model, positions[:half], rows[:half], chunk, letters)
        return first + _predict(model, positions[half:], rows[half:], chunk, letters)
    values = [output.labels] if output.scores is None else [output.labels, output.scores]
    if not output.finite.all():
        for position in itertools.compress(positions, ~output.finite):
            letters.write(_dead(chunk, model.spec, position, "the model's answer is not a finite number"))
        positions = list(itertools.compress(positions, output.finite))
        values = [list(itertools.compress(column, output.finite)) for column in values]
    return [_Part(positions, values)]


def _dead(chunk: Chunk, spec: Spec, position: int, reason: str) -> DeadRow:
    values = {feature.name: value for feature, value in zip(spec.features, chunk.rows[position], strict=True)}
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


def _balance(total: int, accepted: int, dead: int, source: Source) -> None:
    if total == 0:
        raise DataError("ML-BATCH-001", "the input has no rows")
    if accepted + dead != total or source.total not in (None, total):
        said = "" if source.total is None else f", the file says {source.total}"
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
