"""Reads a user's CSV or Parquet file in chunks, as typed tables; what is no row or no value is named and set aside.

Memory is bounded by a block of the file. Nothing is guessed but the delimiter, from the header: encoding and time
zone are given, and a file that contradicts them is refused.
"""

import codecs
import csv
import gzip
import io
import zoneinfo
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from ml.data.cells import Cells
from ml.data.contract import Contract
from ml.errors import DataError

FORMATS = (".csv", ".csv.gz", ".tsv", ".txt", ".parquet")
CHUNK_ROWS = 50_000
BLOCK_BYTES = 8 * 2**20  # of a CSV file; a longer line is refused
DELIMITERS = ",;\t|"
RAGGED = "ragged_row"
_HEADER_BYTES = 2**20
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a file is to be read. `delimiter` None: the one that gives the most columns of the contract."""

    encoding: str = "utf-8"
    delimiter: str | None = None
    zone: str | None = None  # of times without an offset, if not the contract's


def dialect_problems(dialect: Dialect) -> list[str]:
    """What in a dialect names nothing: an encoding, a zone, a delimiter."""
    wrong = []
    try:
        codecs.lookup(dialect.encoding)
    except LookupError:
        wrong.append(f"--encoding {dialect.encoding!r}: there is none of that name, for example utf-8, latin-1, utf-16")
    if dialect.delimiter is not None and len(dialect.delimiter) != 1:
        wrong.append(f"--delimiter {dialect.delimiter!r}: must be one character")
    if dialect.zone is not None and dialect.zone not in zoneinfo.available_timezones():
        wrong.append(f"--time-zone {dialect.zone!r}: there is none of that name, for example America/New_York, UTC")
    return wrong


@dataclass(frozen=True, kw_only=True, slots=True)
class BadRow:
    """A row that became no typed row: its number (the first row of data is 1), sorted reason codes, its cells."""

    number: int
    codes: tuple[str, ...]
    cells: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Some rows: those that have the contract's types, indexed by their number in the file, and the others."""

    table: pd.DataFrame
    bad: Sequence[BadRow]


def read(path: Path, contract: Contract, key: Sequence[str], dialect: Dialect) -> Iterator[Chunk]:
    """Read a file.

    Args:
        path: Ends in one of `FORMATS`.
        contract: Its columns are read, others are ignored.
        key: Columns that are read as well.
        dialect: How.

    Raises:
        DataError: `ML-DATA-001` columns lack, `-006` it cannot be read, `-007` a column is there twice, `-008` it is
            not in the encoding, `-009` its times are not comparable.
    """
    if not path.name.endswith(FORMATS):
        raise DataError("ML-DATA-006", f"{path}: must end in {', '.join(FORMATS)}", "convert it, or rename it")
    wanted = list(dict.fromkeys([*contract.schema.columns, *key, *([contract.time] if contract.time else [])]))
    cells = Cells(contract=contract, zone=dialect.zone)
    with _readable(path, dialect):
        opened = _parquet(path, wanted) if path.suffix == ".parquet" else _csv(path, wanted, dialect)
        for batch, numbers, ragged in opened:
            yield typed(cells, batch, numbers, ragged)


def typed(cells: Cells, batch: pa.RecordBatch, numbers: Sequence[int], ragged: Sequence[BadRow] = ()) -> Chunk:
    """Convert cells to the contract's types; rows with a cell that is none go to `bad`."""
    columns = {name: cells.convert(name, batch.column(name)) for name in batch.schema.names}
    table = pd.DataFrame({name: column.converted for name, column in columns.items()})
    table.index = pd.Index(list(numbers), dtype="int64")
    codes: dict[int, list[str]] = {}
    for name in sorted(columns):
        reasons = columns[name].reasons
        for position in reasons.to_numpy().nonzero()[0].tolist():
            codes.setdefault(position, []).append(f"{name}:{reasons.iloc[position]}")
    bad = [
        BadRow(number=numbers[i], codes=tuple(sorted(found)), cells=batch.slice(i, 1).to_pylist()[0])
        for i, found in sorted(codes.items())
    ]
    return Chunk(table=table.drop(index=[row.number for row in bad]), bad=[*ragged, *bad])


_Batches = Iterator[tuple[pa.RecordBatch, Sequence[int], Sequence[BadRow]]]


@contextmanager
def _readable(path: Path, dialect: Dialect) -> Iterator[None]:
    try:
        yield
    except (UnicodeError, LookupError) as error:
        raise _undecodable(path, dialect, str(error)) from error
    except (pa.ArrowException, OSError, EOFError, csv.Error) as error:
        words = str(error) or type(error).__name__
        if "UTF8" in words:
            raise _undecodable(path, dialect, "it holds bytes that are not UTF-8") from error
        raise DataError("ML-DATA-006", f"{path}: cannot be read: {words}", "correct the file or the path") from error


def _undecodable(path: Path, dialect: Dialect, words: str) -> DataError:
    fix = "name its encoding, for example: mlp data validate FILE --encoding latin-1"
    return DataError("ML-DATA-008", f"{path}: is not in {dialect.encoding}: {words}", fix)


def _parquet(path: Path, wanted: Sequence[str]) -> _Batches:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        _check_header(path, file.schema_arrow.names, wanted)
        start = 1
        for batch in file.iter_batches(batch_size=CHUNK_ROWS, columns=list(wanted), use_threads=False):
            yield batch, range(start, start + batch.num_rows), ()
            start += batch.num_rows


def _csv(path: Path, wanted: Sequence[str], dialect: Dialect) -> _Batches:
    header = _header(path, wanted, dialect)
    ragged: dict[int, BadRow] = {}  # those that arrow met and that were not handed on yet: it reads ahead
    unclosed: list[int] = []

    def reject(row: Any) -> str:
        number = row.number - 1  # arrow counts the header as row 1
        ragged[number] = BadRow(number=number, codes=(RAGGED,), cells={"line": row.text, "fields": row.actual_columns})
        if row.text.count('"') % 2:
            unclosed.append(number)
        return "skip"

    number = 0
    for batch in _open_csv(path, wanted, dialect, header.delimiter, reject):
        numbers = _numbers(number, batch.num_rows, ragged)
        number = numbers[-1] if numbers else number
        while number + 1 in ragged:
            number += 1
        yield batch, numbers, [ragged.pop(each) for each in sorted(ragged) if each <= number]
    if unclosed:
        # It swallowed every row after it, and no one can say where it should have ended.
        message = f"{path}: a quote opens in row {unclosed[0]} and never closes"
        raise DataError("ML-DATA-006", message, "close it, or write a quote inside a cell twice")
    if ragged:
        empty = pa.record_batch([pa.array([], pa.string()) for _ in wanted], names=list(wanted))
        yield empty, [], [ragged[each] for each in sorted(ragged)]


def _numbers(last: int, rows: int, ragged: Iterable[int]) -> list[int]:
    """The numbers of the next rows after `last`: those in between that are ragged are no rows."""
    gone = np.fromiter(ragged, dtype=np.int64)
    found = np.setdiff1d(np.arange(last + 1, last + 1 + rows + len(gone)), gone, assume_unique=True)
    return list(found[:rows].tolist())


def _open_csv(path: Path, wanted: Sequence[str], dialect: Dialect, delimiter: str, reject: Any) -> Any:
    return pyarrow.csv.open_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(
            use_threads=False, block_size=BLOCK_BYTES, encoding="utf8" if _is_utf8(dialect) else dialect.encoding
        ),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=reject
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=list(wanted), column_types=dict.fromkeys(wanted, pa.string()), strings_can_be_null=False
        ),
    )


def _is_utf8(dialect: Dialect) -> bool:
    return codecs.lookup(dialect.encoding).name in ("utf-8", "utf-8-sig")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Header:
    names: Sequence[str]
    delimiter: str


def _header(path: Path, wanted: Sequence[str], dialect: Dialect) -> _Header:
    """The names in the first line, read with the delimiter that makes the most sense."""
    encoding = "utf-8-sig" if _is_utf8(dialect) else dialect.encoding
    opened = gzip.open if path.name.endswith(".gz") else open
    with cast("io.BufferedReader", opened(path, "rb")) as file:
        start = file.read(_HEADER_BYTES)
    if not start.strip():
        raise DataError("ML-DATA-002", f"{path}: the file is empty; a header and 1 row are needed", "correct the file")
    for mark, name in _MARKS.items():
        if start.startswith(mark) and not codecs.lookup(dialect.encoding).name.startswith("utf-16"):
            raise _undecodable(path, dialect, f"it begins with the mark of {name}")
    line = codecs.getincrementaldecoder(encoding)().decode(start).lstrip("\r\n")
    if "\x00" in line.partition("\n")[0]:
        raise _undecodable(path, dialect, "it holds zero bytes, so is no text")
    readings = {
        mark: next(csv.reader(io.StringIO(line), delimiter=mark), []) for mark in dialect.delimiter or DELIMITERS
    }
    best = max(readings, key=lambda mark: len(set(readings[mark]) & set(wanted)))
    _check_header(path, readings[best], wanted)
    return _Header(names=readings[best], delimiter=best)


def _check_header(path: Path, found: Sequence[str], wanted: Sequence[str]) -> None:
    absent = [name for name in wanted if name not in found]
    if len(absent) == len(wanted):
        first = ", ".join(found)[:80]
        message = f"{path}: the first line ({first}) names no column of the contract"
        fix = f"the first line must be the header: {', '.join(wanted)[:200]}"
        raise DataError("ML-DATA-001", message, fix)
    double = sorted({name for name in found if found.count(name) > 1}) if isinstance(found, list) else []
    if double:
        message = f"{path}: the columns {', '.join(double[:10])} are there more than once"
        raise DataError("ML-DATA-007", message, "rename or remove all but one of each")
    if absent:
        raise DataError(
            "ML-DATA-001",
            f"{path}: the table lacks the columns {', '.join(absent[:10])}; it has {', '.join(found[:40])}",
            "correct the source, or the contract if the column is gone for good",
        )
