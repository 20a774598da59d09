"""`python3 -m ml.drift`: the live check where the command line's own libraries are not installed."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ml.drift.check import check, exit_code
from ml.drift.prometheus import Source
from ml.errors import PipelineError, UsageError


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the verdict as one line of JSON; returns the exit code: 0, 3 on an alarm, others as `ml.errors` says."""
    parser = argparse.ArgumentParser(prog="python3 -m ml.drift", description=__doc__)
    parser.add_argument("--prometheus", required=True, help="such as http://prometheus:9090")
    parser.add_argument("--release-dir", required=True, type=Path, help="holds serving.json and, best, record.json")
    parser.add_argument("--window", default="1h", help="a PromQL duration (default: 1h)")
    parser.add_argument("--match", action="append", default=[], metavar="LABEL=VALUE", help="only counters so labelled")
    parser.add_argument("--min-rows", type=int, help="fewer rows are inconclusive (default: as in the record)")
    given = parser.parse_args(arguments)
    try:
        source = Source(url=given.prometheus, window=given.window, match=labels(given.match))
        result = check(source, given.release_dir, given.min_rows)
    except PipelineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(json.dumps(result, sort_keys=True), flush=True)
    return exit_code(result)


def labels(pairs: Sequence[str]) -> dict[str, str]:
    """`LABEL=VALUE` words as a mapping."""
    split = [pair.partition("=") for pair in pairs]
    for name, equals, _ in split:
        if not equals or not name.isidentifier():
            raise UsageError("ML-DRIFT-004", f"--match {name!r}: must be LABEL=VALUE", "--match slot=blue")
    return {name: value for name, _, value in split}


if __name__ == "__main__":
    sys.exit(main())
