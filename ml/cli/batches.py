"""The commands of `mlp batch` that look at a stack's cluster: how far a run is, its input to it, its result from it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from infra.cluster import named
from infra.names import namespace
from ml.stack import batches, cluster, config, volume
from ml.stack.batches import BatchRun
from toolchain.paths import repo_root

Stack = Annotated[str, typer.Option(help="The stack.")]
Name = Annotated[str | None, typer.Option("--run", help="Its name; not needed if there is only one.")]


def status(stack: Stack = "staging") -> None:
    """Say how far the batch runs of a stack are.

    Example: mlp batch status --stack staging
    """
    known = batches.runs(cluster.objects(stack, config.read(repo_root(), stack).kube_context))
    for one in known:
        print(shown(one))
    if not known:
        print(f"stack {stack} has no batch run; docs/batch.md says how to ask for one")


def put(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Becomes the run's input, whatever it is called here.")],
    stack: Stack = "staging",
    run: Name = None,
) -> None:
    """Bring a file to the volume of a run, which waits for its input.

    Example: mlp batch put june.parquet --stack staging
    """
    with _reached(stack, run) as (found, kubectl, pod):
        volume.put(kubectl, pod, file, found.input)
    print(f"{file} -> {found.input}\nnext: mlp batch status --stack {stack}")


def get(
    stack: Stack = "staging",
    run: Name = None,
    out: Annotated[Path | None, typer.Option(help="A new folder; by default .build/batch/RUN.")] = None,
) -> None:
    """Fetch a run that is complete: its parts, its dead letters and its summary.

    Example: mlp batch get --stack staging --out june
    """
    with _reached(stack, run) as (found, kubectl, pod):
        folder = out or repo_root() / ".build" / "batch" / found.name
        summary = volume.get(kubectl, pod, found.output, folder)
    print(f"{_sum(found.name, summary['rows'], summary['predicted'], summary['dead'])} -> {folder}")


def shown(run: BatchRun) -> str:
    """A run in a line, and what it found or why it gave up."""
    text = f"{run.name}: {run.done} of {run.shards} shards done; pods active {run.active}, failed {run.failed}"
    if run.summary is not None:
        text += f"\n  {_sum('complete', run.summary['rows'], run.summary['predicted'], run.summary['dead'])}"
    return text + (f"\n  {run.refused}" if run.refused else "")


def _sum(what: str, rows: int, predicted: int, dead: int) -> str:
    return f"{what}: {rows:,} rows = {predicted:,} predicted + {dead:,} dead letters"


@contextmanager
def _reached(stack: str, run: str | None) -> Iterator[tuple[BatchRun, volume.Kubectl, str]]:
    context = config.read(repo_root(), stack).kube_context
    found = batches.run_of(cluster.objects(stack, context), stack, run)
    kubectl = volume.Kubectl(cluster=named(os.environ, context), namespace=namespace(stack))
    with volume.reached(kubectl, batches.reaching_pod(found, volume.pod_name())) as pod:
        yield found, kubectl, pod
