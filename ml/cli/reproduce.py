"""`mlp reproduce`: train again from a release record alone, and hold the result against it."""

from typing import Annotated

import typer

from ml import problem as problems
from ml.cli.display import steps
from ml.errors import GateError
from ml.release import store
from ml.training.reproduce import Reproduction
from toolchain.paths import repo_root


def reproduce(
    release_id: Annotated[str, typer.Argument(metavar="ID", help="A release, such as flights-0001.")],
) -> None:
    """Train again from the record alone. Exit code 3 if the model's bytes or a metric differ; says which input does.

    Example: mlp reproduce flights-0001
    """
    from ml.training.reproduce import reproduce as train_again  # noqa: PLC0415  (a second of imports)

    release = store.load(repo_root(), release_id)
    with steps() as progress:
        found = train_again(problems.current(), release.record, progress=progress)
    print("\n".join(_lines(release_id, found)))
    if not found.is_same:
        raise typer.Exit(GateError.exit_code)


def _lines(release_id: str, found: Reproduction) -> list[str]:
    if found.is_same:
        lines = [f"{release_id}: the same model bytes, serving.json and metrics came out again"]
        heading = "these inputs are not those of the record, and made no difference:"
    else:
        lines = [f"{release_id}: NOT reproduced"]
        lines += [f"  {name}: other bytes" for name in found.files]
        lines += [f"  metric {name}: {then} in the record, {now} here" for name, (then, now) in found.metrics.items()]
        heading = "these inputs differ:" if found.inputs else "no recorded input differs: look at the processor"
    lines += [heading] if found.inputs or not found.is_same else []
    lines += [f"  {name}: {then} in the record, {now} here" for name, (then, now) in found.inputs.items()]
    return lines
