"""Proves that a run is complete, and says so in `_summary.json`, the last file of a run.

Every row number must stand exactly once, in a part or among the dead letters: the numbers themselves are read, not only
the counts.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml.batch.shards import Fingerprint, Names, Receipt, shard_rows
from ml.batch.worker import Opened, file_sha256, locked, read_receipt, write
from ml.errors import DataError

SUMMARY = "_summary.json"


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is complete; `predicted + dead == rows`."""

    fingerprint: Fingerprint
    rows: int
    predicted: int
    dead: int
    worker_seconds: float
    """Of all shards together."""
    finished: float
    """Seconds since 1970."""
    files: dict[str, str]
    """Path below the folder -> SHA-256, of every part and every file of dead letters."""


def gather(
    opened: Opened, max_dead_share: float, counted: Callable[[Summary], None] = lambda _summary: None
) -> Summary | None:
    """The summary, written if the last receipt has come; None when a shard is not done yet.

    Every worker calls this after its shard. Of those that see all receipts the first writes the summary. One that is
    killed before it could do so has not ended well: its successor finds the shard done and gathers.

    Args:
        opened: The run.
        max_dead_share: Of all rows, in [0, 1].
        counted: Is told the sum of a run that is whole, before its dead rows are judged.

    Raises:
        DataError: `ML-BATCH-003` too many dead rows, `-009` the parts are not what the receipts say.
    """
    folder = opened.run.folder
    with locked(folder / ".summary.lock"):
        found = read_summary(folder)
        if found is not None and found.fingerprint == opened.fingerprint:
            return found
        receipts = [read_receipt(folder / opened.run.names(index).receipt) for index in range(opened.run.shards)]
        done = [receipt for receipt in receipts if receipt is not None]
        if len(done) < len(receipts):
            return None
        summary = _summary(opened, done)
        counted(summary)
        _judge(folder, summary, max_dead_share)
        write(folder / SUMMARY, summary)
        return summary


def read_summary(folder: Path) -> Summary | None:
    """The summary of a folder; None while it is not complete."""
    try:
        return msgspec.json.decode((folder / SUMMARY).read_bytes(), type=Summary)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _judge(folder: Path, summary: Summary, max_dead_share: float) -> None:
    if summary.dead > max_dead_share * summary.rows:
        message = f"{summary.dead} of {summary.rows} rows cannot be predicted, at most {max_dead_share:.1%} may"
        raise DataError("ML-BATCH-003", message, f"read {folder / '_dead'}; {folder / SUMMARY} was not written")


def _summary(opened: Opened, receipts: list[Receipt]) -> Summary:
    folder, wanted = opened.run.folder, opened.fingerprint
    files: dict[str, str] = {}
    for index, (receipt, rows) in enumerate(
        zip(receipts, shard_rows(wanted.input.rows, wanted.shards), strict=True),
    ):
        names = opened.run.names(index)
        if receipt.fingerprint != wanted or receipt.shard != index or receipt.rows != rows:
            raise _broken(folder, names, f"its receipt is for rows {receipt.first} to {receipt.last} of another run")
        files |= _proven(folder, names, receipt)
    strange = sorted({path.name for path in folder.glob("part-*")} - set(files))
    if strange:
        message = f"{folder}: {', '.join(strange[:10])} belong to no receipt of this run"
        raise DataError("ML-BATCH-009", message, "remove them: whoever reads the folder would read them as well")
    for left in folder.glob(".part-*.tmp"):  # of workers that were killed
        left.unlink(missing_ok=True)
    return Summary(
        fingerprint=wanted,
        rows=wanted.input.rows,
        predicted=sum(receipt.predicted for receipt in receipts),
        dead=sum(receipt.dead for receipt in receipts),
        worker_seconds=round(sum(receipt.seconds for receipt in receipts), 3),
        finished=round(time.time(), 3),
        files=files,
    )


def _proven(folder: Path, names: Names, receipt: Receipt) -> dict[str, str]:
    """The shard's files with their hashes, once its rows are proven to stand in them exactly once."""
    files = {names.part: receipt.sha256}
    if receipt.letters_sha256 is not None:
        files[names.letters] = receipt.letters_sha256
    try:
        for name, sha256 in files.items():
            if file_sha256(folder / name) != sha256:
                raise _broken(folder, names, f"{name} is not the file that its receipt names")
        predicted = _predicted_rows(folder / names.part)
        dead = _dead_rows(folder / names.letters) if receipt.dead else np.array([], dtype=np.int64)
    except OSError as error:
        raise _broken(folder, names, f"{error.filename} cannot be read: {error.strerror}") from error
    if (len(predicted), len(dead)) != (receipt.predicted, receipt.dead):
        raise _broken(folder, names, f"holds {len(predicted)} + {len(dead)} rows, not as many as its receipt says")
    if not np.array_equal(np.sort(np.concatenate([predicted, dead])), np.arange(receipt.first, receipt.last + 1)):
        raise _broken(folder, names, f"does not hold each of the rows {receipt.first} to {receipt.last} exactly once")
    return files


def _predicted_rows(path: Path) -> NDArray[np.int64]:
    if path.suffix == ".parquet":
        column = pq.read_table(path, columns=["row"])["row"]
    else:
        options = pyarrow.csv.ConvertOptions(include_columns=["row"], column_types={"row": pa.int64()})
        parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
        column = pyarrow.csv.read_csv(path, parse_options=parsing, convert_options=options)["row"]
    return np.asarray(column.to_numpy(), dtype=np.int64)


def _dead_rows(path: Path) -> NDArray[np.int64]:
    with path.open("rb") as lines:
        return np.array([json.loads(line)["row"] for line in lines], dtype=np.int64)


def _broken(folder: Path, names: Names, why: str) -> DataError:
    message = f"{folder / names.part}: {why}"
    return DataError("ML-BATCH-009", message, f"remove {folder / names.receipt} and run again: the shard is made anew")
