"""`mlp release`: make a release, look at it, prove it, put it into a stack, register it."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ml.cli.display import diff_markdown, markdown, moment_of, show_diff, show_history, show_record, steps
from ml.cli.search import Minutes, Resume, SamplerName, SearchFile, Trials, Workers, search_wanted
from ml.cli.stacks import known_running, require_linked, save
from ml.errors import GateError, UsageError
from ml.release import store
from ml.release.diff import differences
from ml.release.ledger import at
from ml.stack import cluster, config, slots
from ml.stack.entries import entries
from ml.training import plan as plans
from toolchain.paths import home, repo_root

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Releases: make, show, verify, stage, publish.")

Id = Annotated[str, typer.Argument(metavar="ID", help="A release, such as flights-0001.")]
Root = Annotated[Path, typer.Option(hidden=True)]
Stack = Annotated[str, typer.Option(help="The stack.")]


@app.command()
def create(
    through: Annotated[str | None, typer.Option(help="Last month to train on, YYYY-MM; the next one judges.")] = None,
    champion: Annotated[
        str | None, typer.Option(help="Release to compare with, or none. By default what is live in staging.")
    ] = None,
    release_id: Annotated[str | None, typer.Option("--id", help="By default the next free one.")] = None,
    *,
    seed: Annotated[int | None, typer.Option(help="Of every random choice.")] = None,
    snapshot: Annotated[str | None, typer.Option(help="Train on this snapshot, by its hash.")] = None,
    trials: Trials = plans.DEFAULT_TRIALS,
    minutes: Minutes = plans.DEFAULT_MINUTES,
    workers: Workers = None,
    sampler: SamplerName = "halton",
    resume: Resume = True,
    search: SearchFile = None,
    root: Root = repo_root(),
) -> None:
    """Train, judge, scan and write releases/ID/. Exit code 3 if the verdict is not pass; the record is written anyway.

    Example: mlp release create --through 2013-06
    """
    from ml.data.pin import current  # noqa: PLC0415  (the user's folder may import anything)
    from ml.release.create import Request, create  # noqa: PLC0415
    from ml.release.signing import signer  # noqa: PLC0415  (loads cryptography)

    key = signer(root, home(), os.environ, now=datetime.now(tz=UTC))  # before minutes of training
    request = Request(
        through=through,
        champion=_champion(root, champion),
        release_id=release_id,
        seed=seed,
        search=search_wanted(trials, minutes, workers, sampler, resume=resume, file=search),
    )
    with steps() as progress:
        release = create(root, current(snapshot), request, now=datetime.now(tz=UTC), signer=key, progress=progress)
    show_record(release.record)
    print(f"releases/{release.id}/record.json  digest {release.digest}")
    if release.record["gate"]["verdict"] != "pass":
        raise typer.Exit(GateError.exit_code)
    print(f"next: mlp release stage {release.id} --stack staging")


def _champion(root: Path, asked: str | None) -> str | None:
    if asked == "none":
        return None
    if asked is not None:
        return asked
    if not config.path_of(root, "staging").exists():
        return None
    live = config.read(root, "staging").state.live_held
    return None if live is None else live.release


@app.command()
def show(
    release_id: Id,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="The record as it is.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="For a comment or a report.")] = False,
    root: Root = repo_root(),
) -> None:
    """Show a release: the verdict, every check and why.

    Example: mlp release show flights-0001
    """
    release = store.load(root, release_id)
    if as_json:
        print(json.dumps(release.record, sort_keys=True, indent=2, ensure_ascii=False))
        return
    if not store.is_trustworthy(root, release_id):
        store.verify(root, release_id)  # raises, with every reason
    if as_markdown:
        print(markdown(release.record))
    else:
        show_record(release.record)


@app.command()
def verify(release_id: Id, root: Root = repo_root()) -> None:
    """Prove a release: signed by a trusted key, not changed since, and passed. Exit code 3 with every problem.

    Example: mlp release verify flights-0001
    """
    release = store.verify(root, release_id)
    print(f"{release.id} verifies and passed; digest {release.digest}")


@app.command()
def report(release_id: Id, root: Root = repo_root()) -> None:
    """Write a release's report.html anew: one page for reviewers, a view of the record.

    Example: mlp release report flights-0001
    """
    from ml.release.report import write  # noqa: PLC0415  (draws: seconds of imports)

    if not store.is_trustworthy(root, release_id):
        store.verify(root, release_id)  # raises, with every reason
    print(write(root, store.load(root, release_id)).relative_to(root))


@app.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="The earlier release.")],
    after: Annotated[str, typer.Argument(metavar="B", help="The later release.")],
    *,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="For a comment.")] = False,
    root: Root = repo_root(),
) -> None:
    """What changed from one release to another: metrics, parameters, data, code, packages, drift, scans.

    Example: mlp release diff flights-0001 flights-0002
    """
    releases = [store.load(root, release_id) for release_id in (before, after)]
    for release in releases:
        if not store.is_trustworthy(root, release.id):
            store.verify(root, release.id)  # raises, with every reason
    changes = differences(releases[0].record, releases[1].record)
    if as_markdown:
        print(diff_markdown(before, after, changes))
    else:
        show_diff(before, after, changes)


@app.command()
def sign(release_id: Id, root: Root = repo_root()) -> None:
    """Sign a release anew, by a key of this machine: for one whose key was revoked. Everything else must verify.

    Example: mlp release sign flights-0001
    """
    from ml.release.signing import signer  # noqa: PLC0415

    release = store.sign_again(root, release_id, signer(root, home(), os.environ, now=datetime.now(tz=UTC)))
    print(f"{release.id} is signed; next: git add releases/{release.id}, and commit it")


@app.command()
def stage(
    release_id: Id,
    stack: Stack = "staging",
    *,
    live: Annotated[bool, typer.Option("--live/--no-live", help="Also let it take the traffic.")] = True,
    root: Root = repo_root(),
) -> None:
    """Put a release into the stack's idle slot, by editing Pulumi.STACK.yaml. Nothing is deployed.

    Example: mlp release stage flights-0002 --stack staging
    """
    release = store.verify(root, release_id)
    file = config.read(root, stack)
    running = known_running(stack, file)
    state = slots.stage(file.state, slots.Held(release=release.id), running, take_traffic=live)
    require_linked(root, state)
    if save(file, state):
        print(f"next: git commit Pulumi.{stack}.yaml, then pulumi up --stack {stack}")


@app.command()
def history(
    stack: Stack = "staging",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Every entry as it is kept.")] = False,
    root: Root = repo_root(),
) -> None:
    """What was live in a stack, from the first release on: its ledger, checked. Exit code 3 if somebody changed it.

    Example: mlp release history --stack prod
    """
    found = entries(cluster.objects(stack, config.read(root, stack).kube_context), stack)
    if as_json:
        print(json.dumps([entry.to_json() for entry in found], sort_keys=True, indent=2, ensure_ascii=False))
    else:
        show_history(stack, found)


@app.command("live-at")
def live_at(
    time: Annotated[str, typer.Argument(metavar="TIME", help="UTC unless it says otherwise: 2026-11-24T10:30:00Z.")],
    stack: Stack = "staging",
    root: Root = repo_root(),
) -> None:
    """Which release took the traffic of a stack at a time.

    Example: mlp release live-at 2026-11-24T10:30:00Z --stack prod
    """
    asked = moment_of(time)
    entry = at(entries(cluster.objects(stack, config.read(root, stack).kube_context), stack), asked)
    if entry is None:
        message = f"stack {stack!r}: nothing was live at {asked}, by its ledger"
        raise UsageError("ML-REL-155", message, f"mlp release history --stack {stack}")
    print(f"{entry.release} in slot {entry.slot}, {entry.event} since {entry.time} by {entry.who}")
    print(f"record {entry.record_digest}\nimage  {entry.image or 'unknown'}\ncommit {entry.commit or 'unknown'}")


@app.command()
def publish(stack: Stack = "staging", root: Root = repo_root()) -> None:
    """Write what is live into the stack's ledger, and show its releases in MLflow; the live one is the champion.

    Example: mlp release publish --stack staging
    """
    from ml.stack.publish import publish as publish_all  # noqa: PLC0415

    file = config.read(root, stack)
    if not file.state.slots:
        raise UsageError("ML-REL-014", f"stack {stack!r} holds no release", "mlp release stage ID")
    with steps() as progress:
        lines = publish_all(root, stack, file.state, cluster.objects(stack, file.kube_context), progress)
    print("\n".join(lines))
