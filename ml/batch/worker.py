"""One shard of a run: predicted, written and receipted, or found done.

Every file appears whole under its name, and the receipt last: whatever moment a worker is killed at, the next one of
its shard starts it again or finds it done. Two workers of one shard wait for each other.
"""

import fcntl
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq

from ml.batch.run import Progress, Work, predict_rows
from ml.batch.shards import Fingerprint, Format, Input, Names, Receipt, shard_rows
from ml.batch.source import Source, open_source
from ml.data import atomic
from ml.errors import DataError, UsageError
from ml.serving.bundle import Bundle

_FOOTER_TAIL = 8  # the footer's length, four bytes, and the magic word


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One run over shards: the same in all of its workers. `folder` holds this run and nothing else."""

    source: Path
    folder: Path
    bundle: Bundle
    shards: int
    format: Format = "parquet"
    keep: tuple[str, ...] = ()

    def names(self, index: int) -> Names:
        """The files of one shard."""
        return Names(index=index, shards=self.shards, format=self.format)


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A run whose input has been looked at."""

    run: Run
    source: Source
    fingerprint: Fingerprint


def open_run(run: Run) -> Opened:
    """Look at the input, make the folders, and see that they hold no other run.

    Raises:
        DataError: `ML-BATCH-001` and `-002` the input, `-005` the folder cannot be written to.
        UsageError: `ML-BATCH-008` the folder holds parts of another run.
    """
    source = open_source(run.source, run.bundle.model.spec.features, run.keep)
    fingerprint = Fingerprint(
        release=run.bundle.release,
        record=run.bundle.record["digest"],
        input=_input(run.source, source),
        shards=run.shards,
        format=run.format,
        keep=run.keep,
    )
    if fingerprint.input.rows == 0:
        raise DataError("ML-BATCH-001", f"{run.source}: has no rows")
    try:
        for name in ("_receipts", "_dead"):
            (run.folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError("ML-BATCH-005", f"{run.folder}: cannot be written: {error.strerror}") from error
    _refuse_other(run.folder, fingerprint)
    return Opened(run=run, source=source, fingerprint=fingerprint)


def predict_shard(opened: Opened, index: int, progress: Progress = lambda _rows, _total: None) -> Receipt:
    """Predict one shard, unless its receipt says that it is done.

    Raises:
        DataError: As `predict_rows`; dead rows never fail a shard, their share is judged over the whole run.
    """
    run, names = opened.run, opened.run.names(index)
    with locked(run.folder / f".{names.stem}.lock"):
        done = read_receipt(run.folder / names.receipt)
        if done is not None and done.fingerprint == opened.fingerprint and _is_whole(run.folder, names, done):
            return done
        return _predict(opened, index, progress)


def _predict(opened: Opened, index: int, progress: Progress) -> Receipt:
    run, names, started = opened.run, opened.run.names(index), time.perf_counter()
    rows = shard_rows(opened.fingerprint.input.rows, run.shards)[index]
    part, letters = run.folder / names.part, run.folder / names.letters
    work = Work(source=opened.source, output=part, letters=letters, max_dead_share=1.0, rows=rows)
    counts = predict_rows(work, run.bundle.model, progress)
    receipt = Receipt(
        fingerprint=opened.fingerprint,
        shard=index,
        first=rows.start,
        last=rows.stop - 1,
        predicted=counts.accepted,
        dead=counts.dead,
        sha256=file_sha256(part),
        letters_sha256=file_sha256(letters) if counts.dead else None,
        seconds=round(time.perf_counter() - started, 3),
    )
    write(run.folder / names.receipt, receipt)
    return receipt


def read_receipt(path: Path) -> Receipt | None:
    """A shard's receipt; None when it is not there or is none, which is the same: the shard is not done."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Receipt)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write(path: Path, value: Any) -> None:
    """One JSON object in a file that is seen whole or not at all.

    Raises:
        DataError: `ML-BATCH-005`.
    """
    try:
        atomic.write(path, msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")
    except OSError as error:
        raise DataError("ML-BATCH-005", f"{path}: cannot be written: {error.strerror}") from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock that the system gives back when this process dies, however it dies.

    Kubernetes may start a pod's successor before the pod is gone for sure, and in a container every process has the
    same number, so that their temporary files would have the same name.
    """
    try:
        file = path.open("ab")
    except OSError as error:
        raise DataError("ML-BATCH-005", f"{path}: cannot be written: {error.strerror}") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def file_sha256(path: Path) -> str:
    """The hash of a file's content, in hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _input(path: Path, source: Source) -> Input:
    # Of Parquet the footer: it holds sizes, places and statistics of all data, and reading those for each shard would
    # cost more than predicting it. A CSV has to be read from its beginning anyway.
    if path.suffix == ".parquet":
        return Input(rows=source.count(), size=path.stat().st_size, kind="parquet footer", digest=_footer_sha256(path))
    return Input(rows=source.count(), size=path.stat().st_size, kind="file", digest=file_sha256(path))


def _footer_sha256(path: Path) -> str:
    length = pq.read_metadata(path).serialized_size + _FOOTER_TAIL
    with path.open("rb") as file:
        file.seek(-length, 2)
        return hashlib.sha256(file.read()).hexdigest()


def _refuse_other(folder: Path, wanted: Fingerprint) -> None:
    for path in sorted((folder / "_receipts").glob("*.json")):
        found = read_receipt(path)
        if found is not None and found.fingerprint != wanted:
            message = f"{folder}: holds parts of another run\n  there: {found.fingerprint}\n  asked: {wanted}"
            raise UsageError("ML-BATCH-008", message, "name another folder for this run, or remove the other one's")


def _is_whole(folder: Path, names: Names, receipt: Receipt) -> bool:
    """Whether the receipt's files are there; what they hold is proven when the run is gathered."""
    return (folder / names.part).is_file() and (receipt.dead == 0 or (folder / names.letters).is_file())
