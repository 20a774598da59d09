"""`python3 -m ml.batch`: one worker of a run over shards, in a pod of an Indexed Job or on any machine.

It predicts its shard, and gathers the run if its shard was the last one. Whatever moment it is killed at, calling it
again is right.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ml.batch.gather import Summary, gather
from ml.batch.run import MAX_DEAD_SHARE
from ml.batch.shards import FORMATS
from ml.batch.worker import Run, open_run, predict_shard
from ml.errors import ConfigError, PipelineError, UsageError
from ml.pushed import gauge, push
from ml.serving.bundle import Bundle, load

INDEX = "JOB_COMPLETION_INDEX"
"""Kubernetes sets it in every pod of an Indexed Job."""
_LOOK_EVERY_S = 5.0
_SAY_EVERY_ROWS = 100_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Predict a shard; returns the exit code as `ml.errors` says."""
    given = parser().parse_args(arguments)
    try:
        _work(given)
    except PipelineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(prog="python3 -m ml.batch", description=__doc__)
    found.add_argument("--run", required=True, help="its name, for logs and metrics")
    found.add_argument("--release-dir", type=Path, required=True, help="holds record.json, model.onnx, serving.json")
    found.add_argument("--input", type=Path, required=True, help="CSV (.csv, .csv.gz) or Parquet")
    found.add_argument("--output", type=Path, required=True, help="folder of this run and nothing else")
    found.add_argument("--shards", type=int, required=True)
    found.add_argument("--index", type=int, default=os.environ.get(INDEX), help=f"from 0; by default ${INDEX}")
    found.add_argument("--format", choices=FORMATS, default="parquet")
    found.add_argument("--keep", default="", help="input columns to copy, separated by commas")
    found.add_argument("--max-dead-share", type=float, default=MAX_DEAD_SHARE, help="of all rows of the run")
    found.add_argument("--wait", action="store_true", help="for an input that is not there yet, for ever")
    found.add_argument(
        "--push", default="", help="the Pushgateway that the sum goes to, such as http://pushgateway:9091"
    )
    found.add_argument("--result", type=Path, help="the summary is written here as well, once it is known")
    return found


def _work(given: argparse.Namespace) -> None:
    if given.index is None or not 0 <= given.index < given.shards:
        message = f"--index {given.index} of --shards {given.shards}: must be from 0 to {given.shards - 1}"
        raise UsageError("ML-BATCH-010", message, f"--index NUMBER, or run it in an Indexed Job, which sets {INDEX}")
    bundle = _bundle(given.release_dir)
    if given.wait:
        _wait_for(given.input)
    run = Run(
        source=given.input,
        folder=given.output,
        bundle=bundle,
        shards=given.shards,
        format=given.format,
        keep=tuple(name for name in given.keep.split(",") if name),
    )
    opened = open_run(run)
    _say("shard_started", run=given.run, shard=given.index, fingerprint=str(opened.fingerprint))
    receipt = predict_shard(opened, given.index, _Progress(given.run, given.index))
    _say("shard_done", run=given.run, shard=given.index, predicted=receipt.predicted, dead=receipt.dead)
    summary = gather(opened, given.max_dead_share, lambda counted: _push(given, _rows(counted, given)))
    if summary is not None:
        _finish(given, summary)


def _bundle(directory: Path) -> Bundle:
    """The release, whatever its id: the files say it, and are verified."""
    try:
        release = str(json.loads((directory / "record.json").read_bytes())["release"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError("ML-BATCH-011", f"{directory}: holds no release: {error!r}", "--release-dir") from error
    return load(directory, release)


def _wait_for(path: Path) -> None:
    """A run may be asked for before its input is on the volume: that is how a person gets a volume to put it on."""
    said = False
    while not path.is_file():
        if not said:
            _say("waiting_for_input", path=str(path), next="mlp batch put FILE")
        said = True
        time.sleep(_LOOK_EVERY_S)


class _Progress:
    """A line of the log every so many rows."""

    def __init__(self, run: str, shard: int) -> None:
        self._run, self._shard, self._said = run, shard, 0

    def __call__(self, rows: int, total: int | None) -> None:
        if rows - self._said >= _SAY_EVERY_ROWS:
            self._said = rows
            _say("shard_progress", run=self._run, shard=self._shard, rows=rows, of=total)


def _finish(given: argparse.Namespace, summary: Summary) -> None:
    facts = {"run": given.run, "rows": summary.rows, "predicted": summary.predicted, "dead": summary.dead}
    _say("run_complete", **facts, release=summary.fingerprint.release, worker_seconds=summary.worker_seconds)
    words = "When the run was last complete."
    success = gauge("ml_batch_last_success_timestamp_seconds", words, {"": summary.finished})
    _push(given, _rows(summary, given) + success)
    if given.result is not None:
        given.result.write_bytes(msgspec.json.encode({**facts, "shards": summary.fingerprint.shards}))


def _rows(counted: Summary, given: argparse.Namespace) -> str:
    values = {"predicted": counted.predicted, "dead": counted.dead}
    limit = gauge("ml_batch_max_dead_share", "Of all rows, that the run allows.", {"": given.max_dead_share})
    return gauge("ml_batch_rows", "Rows of the run, by what became of them.", values, "outcome") + limit


def _push(given: argparse.Namespace, text: str) -> None:
    if given.push:
        push(given.push, {"job": "batch", "run": given.run}, text)


def _say(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
