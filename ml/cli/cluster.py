"""`mlp cluster`: the local single-node Kubernetes of this machine."""

import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ml.errors import UsageError
from toolchain import cluster
from toolchain.cluster import processes
from toolchain.display import Display

app = typer.Typer(
    help="The local Kubernetes cluster: plain processes on this machine, data below MLP_HOME/cluster.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
)

FOLLOW_S = 0.3
STATE_STYLES = {"ready": "green", "not ready": "yellow", "dead": "red", "stopped": "dim"}


@app.command(epilog="Example: mlp cluster up && kubectl get nodes")
def up() -> None:
    """Start what is not running, and wait until the node is ready. Needs root.

    Safe to repeat. After a reboot, or after its processes were killed, the same cluster comes back with its data.
    """
    cluster.up(Display())
    where = cluster.layout()
    print(f"  kubeconfig {where.admin_kubeconfig}")
    print(f"  docker     unix://{where.docker_socket}")
    print(f"  registry   {cluster.REGISTRY}")


@app.command(epilog="Example: mlp cluster down && mlp cluster up")
def down() -> None:
    """Stop every pod and component. The data stay for the next `up`."""
    cluster.down(Display())


@app.command(epilog="Example: mlp cluster status --json | jq '.[] | select(.state != \"ready\")'")
def status(
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list instead of a table.")] = False,
) -> None:
    """Show each component: process, state, since when, what it serves. Exit code 1 unless all are ready."""
    parts = cluster.status()
    if as_json:
        print(json.dumps([dataclasses.asdict(part) for part in parts], indent=2))
    else:
        _print_table(parts)
    other = cluster.running_home()
    if other is not None and other != cluster.layout().root.parent:
        Console(stderr=True).print(f"Another home's cluster runs on this machine: MLP_HOME={other}", soft_wrap=True)
    if any(part.state != "ready" for part in parts):
        raise typer.Exit(1)


def _print_table(parts: list[cluster.ComponentStatus]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("component", "pid", "state", "since (UTC)", "serves"):
        table.add_column(heading, overflow="fold")
    for part in parts:
        since = (part.since or "").removesuffix("+00:00").replace("T", " ")
        state = f"[{STATE_STYLES[part.state]}]{part.state}[/]"
        table.add_row(part.component, str(part.pid or ""), state, since, part.serves)
    Console().print(table)


@app.command(epilog="Example: mlp cluster logs kubelet --lines 50 --follow")
def logs(
    component: Annotated[str, typer.Argument(help="A name that `mlp cluster status` shows.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of the last lines.")] = 100,
) -> None:
    """Print a component's log."""
    names = cluster.ORDER
    if component not in names:
        raise UsageError(
            "ML-CLUSTER-013", f"component {component!r}: must be one of {', '.join(names)}", "mlp cluster status"
        )
    log = cluster.log_path(cluster.layout(), component)
    size = log.stat().st_size if log.exists() else 0
    for line in processes.tail(log, lines):
        print(line)
    if follow:
        for text in _growth(log, size):
            print(text, end="", flush=True)


def _growth(log: Path, position: int) -> Iterator[str]:
    """What is appended to a file after `position`; starts over when the file was rotated."""
    while True:
        size = log.stat().st_size if log.exists() else 0
        position = 0 if size < position else position
        if size > position:
            with log.open("rb") as file:
                file.seek(position)
                content = file.read()
            position += len(content)
            yield content.decode(errors="replace")
        time.sleep(FOLLOW_S)


@app.command(epilog="Example: mlp cluster delete --yes")
def delete(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Stop the cluster and remove everything it made: data, images, volumes, bridge, iptables chains.

    The local state of the stacks that were deployed into it goes as well; the next `make up` starts from nothing.
    """
    where = cluster.layout().root
    if not where.exists():
        print(f"there is no cluster at {where}")
        return
    if not yes:
        typer.confirm(f"Remove the cluster at {where} with all its data?", abort=True)
    cluster.delete(Display())
