"""`python3 -m ml.delivery`: what the Jobs of a release run in the cluster, a smoke test or the analysis."""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from infra.names import SLOTS
from ml.delivery.caller import Caller
from ml.delivery.promise import Promise
from ml.delivery.smoke import Limits
from ml.delivery.smoke_job import smoke
from ml.errors import PipelineError

MESSAGE: Final = Path("/dev/termination-log")
"""What stands in here is what `pulumi up` and `kubectl describe` show of a pod that has failed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what came of it as the last line; returns 0, 3 when the release must not have the traffic, or another."""
    given = _parser().parse_args(arguments)
    try:
        result = given.run(given)
    except PipelineError as error:
        print(error, file=sys.stderr, flush=True)
        with suppress(OSError):  # outside of a pod there is none
            MESSAGE.write_text(str(error), encoding="utf-8")
        return error.exit_code
    print(json.dumps(result, sort_keys=True), flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m ml.delivery", description=__doc__)
    jobs = parser.add_subparsers(required=True)
    smoked = jobs.add_parser("smoke", help="call a slot as clients will, and compare its answers with the record")
    smoked.set_defaults(run=_smoke)
    smoked.add_argument("--p99-ms", type=float, default=Limits().p99_s * 1e3, help="for one row (default: %(default)s)")
    watched = jobs.add_parser("analysis", help="watch the release that has the traffic; take it back on a breach")
    watched.set_defaults(run=_analysis)
    watched.add_argument("--stack", required=True)
    watched.add_argument("--namespace", required=True)
    watched.add_argument("--slot", required=True, choices=SLOTS)
    watched.add_argument("--back", choices=SLOTS, help="the slot that gets the traffic back; none: there is no other")
    watched.add_argument(
        "--champion", help="the release in that slot, whose champion-serving.json lies beside the others"
    )
    watched.add_argument("--prometheus", required=True, help="such as http://prometheus:9090")
    watched.add_argument("--promise", type=json.loads, default={}, help="JSON, fields of ml.delivery.promise.Promise")
    for job in (smoked, watched):
        job.add_argument("--url", required=True, help="such as http://model-green")
        job.add_argument("--key-file", required=True, type=Path, help="holds the API key")
        job.add_argument("--release-dir", required=True, type=Path, help="holds record.json and serving.json")
    return parser


def _smoke(given: argparse.Namespace) -> dict[str, Any]:
    return smoke(_caller(given), given.release_dir, Limits(p99_s=given.p99_ms / 1e3))


def _analysis(given: argparse.Namespace) -> dict[str, Any]:
    from ml.delivery.analysis_job import Task, analyse  # noqa: PLC0415  (loads scipy, which a smoke test does not need)
    from ml.stack.objects import in_cluster  # noqa: PLC0415

    task = Task(
        stack=given.stack,
        slot=given.slot,
        back=given.back,
        directory=given.release_dir,
        champion=given.champion,
        prometheus=given.prometheus,
        promise=Promise(**given.promise),
    )
    return analyse(task, in_cluster(given.namespace), _caller(given))


def _caller(given: argparse.Namespace) -> Caller:
    return Caller(given.url, given.key_file.read_text(encoding="utf-8").strip())


if __name__ == "__main__":
    sys.exit(main())
