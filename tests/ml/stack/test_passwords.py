"""Passwords that a stack draws for itself: whatever is cut off, Secret, Postgres and MLflow agree in the end."""

import json

import pytest

from ml.errors import ConfigError, SurroundingsError, TransientError
from ml.stack import passwords
from ml.stack.cluster import secret
from tests.ml.stack.rotating import OLD, Database, KilledError, Watch, drawing

ALL = {"role mlflow": passwords.MLFLOW_ROLE, "role training": passwords.TRAINING_ROLE, "login": passwords.LOGIN}
NEW = "canary-drawn-1"


def rotate(database, password, watch=None, draw=None):
    return passwords.rotate(database.place(watch or Watch()), password, draw or drawing())


def agree(database):
    """Everybody uses what the Secrets hold, and no rotation is open."""
    names = ("postgres-auth", "training-auth", "mlflow-auth")
    assert [name for name in names if set(secret(database, name)) != {"password", "username"}] == []
    held = {name: database.password(name) for name in names}
    assert database.roles == {name: held[name] for name in database.roles}
    assert database.mlflow == {name: held[name] for name in database.mlflow}
    assert database.login == held["mlflow-auth"]
    status = database.objects["deployment", "mlflow"]["status"]
    assert (status["readyReplicas"], status["availableReplicas"]) == (1, 1)


@pytest.mark.parametrize("password", ALL.values(), ids=ALL.keys())
def test_every_side_uses_the_new_password_and_the_others_stay(password):
    database = Database()

    rotate(database, password)

    agree(database)
    for one in ALL.values():
        expected = NEW if one is password else f"{OLD}-{one.secret}"
        assert database.password(one.secret) == expected


@pytest.mark.parametrize(
    ("password", "starts"), [(passwords.MLFLOW_ROLE, 1), (passwords.TRAINING_ROLE, 0), (passwords.LOGIN, 1)]
)
def test_mlflow_restarts_once_and_only_for_what_it_reads(password, starts):
    database, watch = Database(), Watch()

    away_s = rotate(database, password, watch)

    assert database.starts == starts
    assert away_s == starts


def test_postgres_is_told_only_what_its_pod_sees():
    """Told earlier, a restart of it would bring the earlier password back."""
    database, watch = Database(lag=5), Watch()

    rotate(database, passwords.MLFLOW_ROLE, watch)

    looks = [words[0] for words in database.commands]
    assert looks == ["sha256sum"] * 6 + ["env"]
    assert watch.time >= 5


def writes_of(password):
    database = Database()
    rotate(database, password)
    return database.writes


CUTS = [(name, nth) for name, password in ALL.items() for nth in range(1, writes_of(password) + 1)]


def test_there_are_writes_to_be_killed_after():
    assert [sum(name == one for one, _ in CUTS) >= least for name, least in zip(ALL, (5, 4, 3), strict=True)] == [
        True
    ] * 3


@pytest.mark.parametrize(("name", "nth"), CUTS)
def test_one_that_is_killed_after_any_write_is_finished_with_the_value_that_was_drawn(name, nth):
    database, draw, password = Database(), drawing(), ALL[name]
    last = nth == sum(name == one for one, _ in CUTS)
    database.dies_after = nth

    with pytest.raises(KilledError):
        rotate(database, password, draw=draw)
    database.settle()
    if not last:  # else it was complete, and the next one would be a rotation of its own
        rotate(database, password, draw=draw)

    agree(database)
    assert database.password(password.secret) == NEW
    assert database.starts == int(password.mlflow)


def test_postgres_that_starts_anew_in_between_has_the_password_that_it_sees():
    database, draw = Database(), drawing()
    database.dies_after = 1
    with pytest.raises(KilledError):
        rotate(database, passwords.MLFLOW_ROLE, draw=draw)
    database.roles = dict(database.mounted)

    rotate(database, passwords.MLFLOW_ROLE, draw=draw)

    agree(database)


def test_a_pod_that_never_sees_it_is_named_and_nobody_was_told():
    database = Database(lag=10_000)

    with pytest.raises(TransientError, match=r"ML-SECRET-007.*postgres-0, which still sees the earlier one"):
        rotate(database, passwords.MLFLOW_ROLE)

    assert database.roles["postgres-auth"] == f"{OLD}-postgres-auth" == database.mlflow["postgres-auth"]
    assert database.starts == 0


def test_a_pod_that_cannot_be_reached_yet_is_waited_for(monkeypatch):
    database, watch, failures = Database(lag=0), Watch(), [1, 1]
    real = database.execute

    def execute(pod, words):
        if failures:
            failures.pop()
            raise SurroundingsError("ML-CLUSTER-023", "kubectl exec: container not found", "")
        return real(pod, words)

    monkeypatch.setattr(database, "execute", execute)
    rotate(database, passwords.MLFLOW_ROLE, watch)

    assert any("container not found" in words for words in watch.said)
    agree(database)


def test_without_a_pod_of_postgres_it_says_so():
    database = Database()
    del database.objects["pod", "postgres-0"]

    with pytest.raises(TransientError, match="ML-SECRET-007"):
        rotate(database, passwords.MLFLOW_ROLE)


def test_mlflow_that_does_not_come_back_is_an_error_and_the_rotation_stays_open(monkeypatch):
    database = Database()
    monkeypatch.setattr(database, "settle", lambda: None)

    with pytest.raises(TransientError, match=r"ML-SECRET-008.*not been rolled out"):
        rotate(database, passwords.LOGIN)
    assert "rotating" in secret(database, "mlflow-auth")


def searching(database, active):
    database.objects["job", "search-1"] = {
        "metadata": {"name": "search-1", "labels": {"app.kubernetes.io/name": "search"}},
        "status": {"active": active},
    }


def test_while_a_search_runs_its_role_keeps_its_password():
    database = Database()
    searching(database, 1)

    with pytest.raises(ConfigError, match="ML-SECRET-006: search 1 runs"):
        rotate(database, passwords.TRAINING_ROLE)
    assert database.writes == 0
    rotate(database, passwords.MLFLOW_ROLE)
    searching(database, 0)
    rotate(database, passwords.TRAINING_ROLE)
    agree(database)


@pytest.mark.parametrize("password", ALL.values(), ids=ALL.keys())
def test_no_password_is_in_what_is_said_run_or_annotated(password):
    database, watch = Database(), Watch()

    rotate(database, password, watch)

    others = [found for (kind, _), found in database.objects.items() if kind != "secret"]
    assert watch.said
    assert "canary" not in json.dumps([watch.said, database.commands, others])
