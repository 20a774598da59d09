"""`mlp promote` and `mlp rollback`: move what is proven forward, and go back to what was."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from infra.names import namespace
from ml.cli.display import steps
from ml.cli.stacks import known_running, require_linked, save
from ml.delivery.capacity import Capacity, hand_back
from ml.errors import GateError, UsageError
from ml.gate import accepted
from ml.release import images, store
from ml.security.image import scan_image
from ml.stack import cluster, commands, config, slots
from toolchain.paths import home, repo_root

BACK_PATIENCE_S = 20.0
"""Pods of an image that the node has are ready in ten; a release that is bad should not stay for more than that."""

Root = Annotated[Path, typer.Option(hidden=True)]


def promote(
    source: Annotated[str, typer.Option("--from", help="The stack in which the release is live.")] = "staging",
    target: Annotated[str, typer.Option("--to", help="The stack that gets it.")] = "prod",
    root: Root = repo_root(),
) -> None:
    """Let the release that is live in one stack take the next one's traffic: same record, same image digest.

    Reads what the cluster really runs, scans that image, writes the result to releases/ID/images/ and signs it, edits
    Pulumi.TARGET.yaml, and neither builds nor deploys anything. Needs a signing key as mlp release create does.

    Example: mlp promote --from staging --to prod
    """
    if source == target:
        raise UsageError("ML-REL-015", f"--from {source} --to {target}: must be two stacks", "mlp promote --help")
    source_file, target_file = config.read(root, source), config.read(root, target)
    objects = cluster.objects(source, source_file.kube_context)
    proven = cluster.proven(objects, source)
    release = store.verify(root, proven.held.release)
    if release.digest != proven.record_digest:
        message = (
            f"{release.id}: stack {source!r} runs the record {proven.record_digest}, "
            f"releases/{release.id} holds {release.digest}: what was proven is not what would be promoted"
        )
        raise GateError("ML-REL-022", message, f"git checkout -- releases/{release.id}, or pulumi up --stack {source}")
    _refuse_waivers(target, target_file, release)
    running = known_running(target, target_file)
    state = slots.stage(target_file.state, proven.held, running, take_traffic=True)
    state = replace(state, images={**state.images, **cluster.platform_images(objects)})
    require_linked(root, state)
    evidence = _image_evidence(root, release, str(proven.held.image))
    _refuse_waivers(target, target_file, release, images.unjudged(release, proven.held.image))
    if save(target_file, state):
        files = " ".join(map(str, evidence))
        print(f"next: git add {files} && git commit {files} Pulumi.{target}.yaml, then pulumi up --stack {target}")


def _image_evidence(root: Path, release: store.Release, image: str) -> list[Path]:
    """Look into the image and write what was found beside the record, signed, unless that was done today.

    Raises:
        GateError: If the image must not run, or no trusted key is at hand.
        ConfigError: If a key cannot be read.
        SurroundingsError: If nobody could look.
    """
    now = datetime.now(tz=UTC)
    if not images.scanned_on(release, image, f"{now:%Y-%m-%d}"):
        from ml.release.signing import signer  # noqa: PLC0415  (loads cryptography)

        key = signer(root, home(), os.environ, now=now)  # before the scan
        with steps() as progress:
            progress(f"scanning {image}")
            scans = scan_image(root, image)
        images.write(release, images.judged(release, image, scans, now), key)
    return [path(release, image).relative_to(root) for path in (images.path_of, images.signature_of)]


def _refuse_waivers(stack: str, file: config.StackFile, release: store.Release, also: Sequence[str] = ()) -> None:
    """Refuse what the stack's program would refuse, before its file is edited; `also` is what the image rests on."""
    today = datetime.now(tz=UTC).strftime("%Y-%m-%d")
    found = accepted.refusals(release.record, stack, file.accepted, today, also)
    if found:
        message = accepted.refusal(release.id, stack, found)
        raise GateError("ML-GATE-207", message, accepted.how_to_accept(stack, found))


def rollback(
    stack: Annotated[str, typer.Option(help="The stack.")],
    *,
    to: Annotated[str | None, typer.Option(help="The release to go back to; by default the earlier one.")] = None,
    config_only: Annotated[bool, typer.Option("--config-only", help="Edit the stack file, deploy nothing.")] = False,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="Do not wait for that slot to grow where the other one serves with more.")
    ] = False,
    root: Root = repo_root(),
) -> None:
    """Let the earlier release, which is still in the other slot, take the traffic again.

    Makes that slot as big as the one that has the traffic, waits for it at most 20 s, moves the traffic, and only then
    edits Pulumi.STACK.yaml, runs pulumi up with the policy pack, and writes the ledger and the alias champion. Ends
    a weighted step as well. Run again, it finishes what was cut off and never goes forward again.

    Example: mlp rollback --stack prod
    """
    file = config.read(root, stack)
    running = known_running(stack, file)
    back = _is_back(root, file.state, to)
    state = replace(file.state, weight=0) if back else slots.roll_back(file.state, running)
    held = state.live_held
    if held is None or (to is not None and held.release != to):
        message = f"stack {stack!r}: no slot holds {to}"
        raise UsageError("ML-REL-016", message, f"mlp release stage {to} --stack {stack}, then pulumi up")
    store.verify(root, held.release)
    if not config_only and running is not None:
        _move(stack, file, state, at_once=at_once)
    save(file, state)
    if config_only:
        print(f"next: pulumi up --stack {stack}, then mlp release publish --stack {stack}")
        return
    commands.up(root, stack)
    from ml.stack.publish import publish  # noqa: PLC0415

    with steps() as progress:
        lines = publish(root, stack, state, cluster.objects(stack, file.kube_context), progress)
    print("\n".join(lines))
    print(f"{held.release} takes the traffic of {stack} again; commit Pulumi.{stack}.yaml")


def _move(stack: str, file: config.StackFile, state: slots.State, *, at_once: bool) -> None:
    """Give the traffic back before anything else: the rest takes seconds, and clients wait for none of it."""
    began = monotonic()
    sizes = Capacity(
        objects=cluster.objects(stack, file.kube_context),
        namespace=namespace(stack),
        fix=f"mlp rollback --stack {stack}",
        required=False,
        say=_say,
        patience_s=BACK_PATIENCE_S,
    )
    if asyncio.run(hand_back(sizes, state.live, at_once=at_once)):
        print(f"slot {state.live} has the traffic again after {monotonic() - began:.2f} s")


def _say(line: str) -> None:
    print(line, flush=True)


def _is_back(root: Path, state: slots.State, to: str | None) -> bool:
    """Whether the earlier release is live already, so that a second call does not bring the bad one back."""
    live, idle = state.live_held, state.slots.get(slots.other(state.live))
    if to is not None:
        return live is not None and live.release == to
    if live is None or idle is None:
        return False
    made = [str(store.load(root, held.release).record.get("created_at")) for held in (live, idle)]
    return made[0] < made[1]
