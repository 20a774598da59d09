"""Rotates the passwords that a stack draws for itself: of the two database roles, and of MLflow's administrator.

Both ends read the Secret by themselves: Postgres' `bootstrap.sql` gives each role the mounted password, MLflow holds
its administrator to the mounted one at its start. So a rotation writes the Secret and has them read it; the value goes
through no argument, no log and no statement of ours. `rotating` stands in the Secret until all of it is done: a command
that was killed is run again and finishes with the value that was drawn.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from infra.names import (
    DATABASE_MOUNT,
    DATABASE_SECRET,
    LOGIN_SECRET,
    NAME_LABEL,
    PASSWORD_FIELD,
    TRAINING_MOUNT,
    TRAINING_SECRET,
)
from ml.errors import ConfigError, SurroundingsError, TransientError
from ml.stack.cluster import secret, unready
from ml.stack.objects import Objects
from ml.stack.searches import searches
from ml.stack.values import Values, change, mark, show_soon, version_of
from ml.stack.waiting import Waiting

Execute = Callable[[str, Sequence[str]], str]
"""Runs a command in a pod; what it prints."""

UNFINISHED_FIELD: Final = "rotating"
POSTGRES: Final = "postgres"
MLFLOW: Final = "mlflow"
MOUNTED_WITHIN_S: Final = 180
BACK_WITHIN_S: Final = 300
_TEMPLATE: Final = "/spec/template/metadata"


@dataclass(frozen=True, kw_only=True)
class Password:
    """One password.

    Attributes:
        secret: Holds it.
        mount: Where Postgres' pod sees it, of a database role; None: Postgres does not know it.
        mlflow: Whether MLflow reads it, at its start.
    """

    secret: str
    mount: str | None
    mlflow: bool


@dataclass(frozen=True, kw_only=True)
class Place:
    """The stack's namespace, a way into its pods, and how long one waits."""

    found: Objects
    execute: Execute
    waiting: Waiting


MLFLOW_ROLE: Final = Password(secret=DATABASE_SECRET, mount=DATABASE_MOUNT, mlflow=True)
TRAINING_ROLE: Final = Password(secret=TRAINING_SECRET, mount=TRAINING_MOUNT, mlflow=False)
LOGIN: Final = Password(secret=LOGIN_SECRET, mount=None, mlflow=True)


def rotate(place: Place, password: Password, draw: Callable[[], str]) -> float:
    """Draw a password and have both ends use it.

    Postgres asks for a password when a connection opens, not later. Between its change and MLflow's restart MLflow
    therefore works on the connections it has, and then is away while it starts. Serving uses neither.

    Returns:
        The seconds that MLflow was away; 0 when it does not read this password.

    Raises:
        ConfigError: `ML-SECRET-006` a search runs, whose workers hold the password.
        TransientError: `ML-SECRET-007` or `ML-SECRET-008`, something does not take it in time. Run again, it goes on.
    """
    found = place.found
    if password is TRAINING_ROLE and UNFINISHED_FIELD not in secret(found, password.secret):
        _refuse_while_searching(found)
    values = change(found, password.secret, lambda values: _begun(values, draw))
    version = version_of(found, password.secret)
    if password.mount is not None:
        _tell_postgres(place, password.mount, values[PASSWORD_FIELD], version)
    away_s = _restart_mlflow(place, version) if password.mlflow else 0.0
    change(found, password.secret, _finished)
    return away_s


def _begun(values: Values, draw: Callable[[], str]) -> Values:
    return values if UNFINISHED_FIELD in values else {**values, PASSWORD_FIELD: draw(), UNFINISHED_FIELD: "yes"}


def _finished(values: Values) -> Values:
    return {field: value for field, value in values.items() if field != UNFINISHED_FIELD}


def _tell_postgres(place: Place, mount: str, value: str, version: str) -> None:
    """Give the role its password, once Postgres' pod sees it: a restart in between would give it the earlier one."""
    pod, looks = _postgres(place.found), count()
    wanted = hashlib.sha256(value.encode()).hexdigest()

    def missing() -> Sequence[str]:
        show_soon(place.found, pod, version, next(looks))
        try:
            seen = place.execute(pod, ["sha256sum", f"{mount}/{PASSWORD_FIELD}"])
        except SurroundingsError as error:  # it may be starting
            return [f"{pod} ({error.message})"]
        return [] if seen.split()[:1] == [wanted] else [f"{pod}, which still sees the earlier one"]

    place.waiting.until("Postgres sees the new password", missing, MOUNTED_WITHIN_S, "ML-SECRET-007")
    # What its entrypoint does at every start. The password stays in the pod: psql reads it from the mounted file.
    where = [f"SECRETS={DATABASE_MOUNT}", f"TRAINING_SECRETS={TRAINING_MOUNT}"]
    psql = ["psql", "--no-psqlrc", "--quiet", "--host=/run/postgresql", "--username=postgres", "--dbname=postgres"]
    place.execute(pod, ["env", *where, *psql, "--variable=VERBOSITY=terse", "--file=/etc/database/bootstrap.sql"])


def _postgres(found: Objects) -> str:
    for pod in found.every("pod"):
        if (pod["metadata"].get("labels") or {}).get(NAME_LABEL) == POSTGRES:
            return str(pod["metadata"]["name"])
    raise TransientError("ML-SECRET-007", "there is no pod of Postgres that could be told", "the same command again")


def _restart_mlflow(place: Place, version: str) -> float:
    """A new pod for this version of the Secret, once; ready means that it has searched both of its databases."""
    mark(place.found, "deployment", MLFLOW, version, _TEMPLATE)
    return place.waiting.until(
        "MLflow is back",
        lambda: list(unready(place.found.one("deployment", MLFLOW) or {})),
        BACK_WITHIN_S,
        "ML-SECRET-008",
    )


def _refuse_while_searching(found: Objects) -> None:
    running = [one.study for one in searches(found) if one.active]
    if running:
        message = f"search {', '.join(running)} runs, and its workers open connections with the present password"
        raise ConfigError("ML-SECRET-006", message, "mlp search status says when it is over; then the same command")
