"""`mlp keys`: who may sign releases. Public keys are committed; a private key stays where it was made."""

import getpass
import os
import subprocess
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ml.errors import UsageError
from ml.release import signing
from ml.release.keys import FOLDER, TrustedKey, trusted
from toolchain.paths import home, repo_root

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Keys that sign releases: create, list, trust, revoke."
)

Root = Annotated[Path, typer.Option(hidden=True)]
Owner = Annotated[str | None, typer.Option(help="Person or team; by default who git says you are.")]
Expires = Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Last day on which it may sign.")]


@app.command()
def create(owner: Owner = None, expires: Expires = None, root: Root = repo_root()) -> None:
    """Make a signing key: the private half under MLP_HOME, readable by you only; the public half to be committed.

    Example: mlp keys create --owner "release team" --expires 2027-12-31
    """
    now = datetime.now(tz=UTC)
    key = signing.create(root, home(), owner or _me(root), now=now, expires=_end_of(expires))
    print(f"key {key.keyid} of {key.owner}; the private half is in {home() / 'keys'}")
    _next(key)


@app.command("list")
def list_(root: Root = repo_root()) -> None:
    """List the trusted keys: who owns them, whether they may sign, and which of them this machine has.

    Example: mlp keys list
    """
    trust, mine = trusted(root), signing.at_hand(home(), os.environ)
    now = signing.moment(datetime.now(tz=UTC))
    table = Table()
    for name in ("key", "owner", "created", "expires", "state", "here"):
        table.add_column(name, no_wrap=name == "key")
    for key in sorted(trust.keys.values(), key=lambda key: key.created):
        cells = (key.keyid[:16], key.owner, key.created[:10], (key.expires or "never")[:10], _state(key, now))
        table.add_row(*map(escape, cells), "yes" if key.keyid in mine else "no")
    Console(highlight=False).print(table)
    for keyid in mine:
        if keyid not in trust.keys:
            print(f"this machine has key {keyid}, which the checkout does not trust; next: mlp keys trust {keyid}")
    for problem in trust.problems:
        print(problem)


@app.command()
def trust(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A key id of this machine, or a PEM file of a public key.")],
    owner: Owner = None,
    expires: Expires = None,
    root: Root = repo_root(),
) -> None:
    """Let a key sign releases: writes its public half into releases/keys/, for a review to decide.

    Example: mlp keys trust ci.pub.pem --owner "release workflow"
    """
    now = datetime.now(tz=UTC)
    _next(signing.trust(root, home(), key, owner or _me(root), now=now, expires=_end_of(expires)))


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A key id, or its start.")],
    because: Annotated[str, typer.Option(help="The reason, for whoever finds a refused release.")] = "no reason given",
    root: Root = repo_root(),
) -> None:
    """Refuse everything that a key has signed, earlier releases too: the time in a record is the signer's own word.

    A release that is still wanted: mlp release sign RELEASE with another key.

    Example: mlp keys revoke 5f0c --because "laptop lost"
    """
    found = signing.revoke(root, key, because, now=datetime.now(tz=UTC))
    print(f"key {found.keyid} of {found.owner} was revoked at {found.revoked_at}: {found.revoked_because}")
    _next(found)


def _next(key: TrustedKey) -> None:
    print(f"next: git add {FOLDER / key.keyid}.json, and commit it")


def _state(key: TrustedKey, now: str) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at[:10]}"
    return "expired" if key.expires is not None and key.expires < now else "signs"


def _end_of(day: str | None) -> datetime | None:
    if day is None:
        return None
    try:
        return datetime.combine(date.fromisoformat(day), time(23, 59, 59), tzinfo=UTC)
    except ValueError as error:
        message = f"--expires {day!r}: must be a date such as 2027-12-31"
        raise UsageError("ML-CONF-015", message, "mlp keys create --help") from error


def _me(root: Path) -> str:
    named = subprocess.run(["git", "config", "user.name"], cwd=root, capture_output=True, text=True, check=False)
    return named.stdout.strip() or getpass.getuser()
