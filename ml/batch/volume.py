"""`python3 -m ml.batch.volume`: brings a file to a run's volume and takes a complete run from it, by standard streams.

`mlp batch put` and `get` call it in a pod that holds the volume.
"""

import argparse
import hashlib
import json
import shutil
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from ml.batch.gather import SUMMARY, read_summary
from ml.data.atomic import AtomicFile
from ml.errors import DataError, PipelineError, UsageError


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the word says; returns the exit code as `ml.errors` says."""
    parser = argparse.ArgumentParser(prog="python3 -m ml.batch.volume", description=__doc__)
    parser.add_argument("word", choices=("put", "get"))
    parser.add_argument("path", type=Path)
    given = parser.parse_args(arguments)
    try:
        if given.word == "put":
            print(json.dumps(put(given.path, sys.stdin.buffer)), flush=True)
        else:
            get(given.path, sys.stdout.buffer)
    except PipelineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def put(path: Path, stream: IO[bytes]) -> dict[str, str | int]:
    """Write the stream to a file that appears whole, so that a worker which waits for it never reads a half.

    Returns:
        Its `size` in bytes and its `sha256`: whoever sent it compares them.

    Raises:
        DataError: `ML-BATCH-005` it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with AtomicFile(path) as file:
            shutil.copyfileobj(stream, file.handle, 1024 * 1024)
            file.handle.flush()
            with file.temporary.open("rb") as written:
                sha256 = hashlib.file_digest(written, "sha256").hexdigest()
            size = file.temporary.stat().st_size
            file.commit()
    except OSError as error:
        raise DataError("ML-BATCH-005", f"{path}: cannot be written: {error.strerror}") from error
    return {"size": size, "sha256": sha256}


def get(folder: Path, stream: IO[bytes]) -> None:
    """Write a complete run as a tar archive: its parts, its dead letters and last of all its summary.

    Raises:
        UsageError: `ML-BATCH-012` it is not complete.
    """
    summary = read_summary(folder)
    if summary is None:
        message = f"{folder.name}: is no complete run: it has no {SUMMARY}"
        raise UsageError("ML-BATCH-012", message, "mlp batch status says how far it is")
    with tarfile.open(fileobj=stream, mode="w|") as archive:
        for name in [*sorted(summary.files), SUMMARY]:
            archive.add(folder / name, arcname=name)


if __name__ == "__main__":
    sys.exit(main())
