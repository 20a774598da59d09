"""Secrets that are exchanged while clients call: nobody gets an error, and the old ones are dead afterwards."""

import base64
import json
import time
from collections.abc import Mapping

import httpx
import psycopg
import pytest

from tests.e2e.bench import GENTLE, Bench
from tests.e2e.clients import Clients, Load, Seen
from tests.e2e.drills import UP
from tests.e2e.machine import Machine
from tests.e2e.matrix.canaries import Commands, found, places
from tests.e2e.matrix.rows import Row, row
from tests.e2e.matrix.watching import Watching
from tests.e2e.reads import STAGING, mlflow_versions
from tests.e2e.two_releases import FIRST, PORT, api_key

pytestmark = pytest.mark.e2e

OLD_KEY_DEAD_WITHIN_S = 120
"""The kubelet shows a Secret within 90 s, the server reads it within one more; the rest is the command itself."""
MLFLOW_BACK_WITHIN_S = 60
COMMAND_S = 400
"""Longest run of any of the commands: each gives up by itself before."""
FEW = Load(kept=1, fresh=1, pause_s=0.1, piped_hz=0.5)
HASTY = Load(kept=1, fresh=1, pause_s=0.1, piped_hz=1)
STACK = ("--stack", "staging")
SEARCH = "http://127.0.0.1:30500/api/2.0/mlflow/experiments/search?max_results=1"


def test_row_51_secrets_are_rotated_under_load(bench: Bench) -> None:
    with row(51, "API key, database password and MLflow's password are rotated under load") as result:
        machine = bench.machine
        bench.settle()
        machine.run("mlp", "api-key", "retire", *STACK, check=False, timeout_s=COMMAND_S)  # of a run that was cut off
        before = _values(machine)
        with Commands() as commands:
            between = _the_key_is_rotated(bench, result)
            _the_old_key_is_retired(bench, result, before["key"], between["key"])
            _the_passwords_are_rotated(bench, result, between)
        after = _values(machine)

        result.control("every value is another one", not set(before.values()) & set(after.values()), sorted(after))
        where = dict(places(machine, commands))
        known = found(where, ["model-api-key-hashes"])
        result.control("the search finds what is in the state", "pulumi stack export" in known, known)
        spoken = [name for name, content in where.items() if name.startswith("log of ") and content]
        result.control("the pods' logs could be read", len(spoken) >= 5, len(spoken))
        result.facts |= {"places_searched": len(where), "bytes_searched": sum(map(len, where.values()))}
        assert found(where, [*before.values(), *between.values(), *after.values()]) == []


def _the_key_is_rotated(bench: Bench, result: Row) -> Mapping[str, str]:
    """Clients of the old key run while it is rotated, and clients of both while Pulumi runs; the values then."""
    machine = bench.machine
    wrong = _hasty(bench, "no-key-of-this-stack")
    result.control("a wrong key is refused with 401", _all_refused(wrong), wrong.failures[:1])
    with bench.clients() as old:
        killed = machine.run("timeout", "-s", "KILL", "2", "mlp", "api-key", "rotate", *STACK, check=False)
        started = time.monotonic()
        if killed.returncode:
            second = machine.run("mlp", "api-key", "rotate", *STACK, check=False, timeout_s=COMMAND_S)
            # The kill may have come when everything was done, and only the end of the process was not.
            assert second.returncode == 0 or "ML-SECRET-001" in second.stdout, second.stdout[-500:]
        result.facts |= {"first_exit": killed.returncode, "rotate_s": round(time.monotonic() - started, 1)}
        again = machine.run("mlp", "api-key", "rotate", *STACK, check=False, timeout_s=COMMAND_S)
        assert "ML-SECRET-001" in again.stdout, again.stdout[-500:]
        values = _values(machine)
        result.control("there is another key", values["key"] != bench.key)
        with Clients(PORT, values["key"], bench.rows, FEW) as new:
            _pulumi_changes_no_secret(machine)
    _lost_nothing(result, "old key, until it is retired", old.seen, 100)
    _lost_nothing(result, "new key, beside the old one", new.seen, 100)
    return values


def _the_old_key_is_retired(bench: Bench, result: Row, old: str, new: str) -> None:
    still = _hasty(bench, old)
    assert not still.failures, f"before it is retired the old key answers: {still.failures[:3]}"
    with Clients(PORT, new, bench.rows, GENTLE) as clients:
        started = time.monotonic()
        machine = bench.machine
        machine.run("mlp", "api-key", "retire", *STACK, timeout_s=COMMAND_S)
        result.facts["old_key_dead_s"] = round(time.monotonic() - started, 1)
        dead = _hasty(bench, old)
        _pulumi_changes_no_secret(machine)
        later = _hasty(bench, old)
    _lost_nothing(result, "new key, while the old one goes", clients.seen, 100)
    assert _all_refused(dead), f"{dead.total} calls, {len(dead.failures)} refused: {dead.failures[:3]}"
    assert _all_refused(later), f"back after pulumi up: {later.failures[:3]}"
    assert result.facts["old_key_dead_s"] <= OLD_KEY_DEAD_WITHIN_S
    assert api_key(machine) == new


def _the_passwords_are_rotated(bench: Bench, result: Row, before: Mapping[str, str]) -> None:
    machine = bench.machine
    opens = _opens_the_database(machine, before["database"])
    result.control("the old password opens the database before", opens)
    # Of now: `bench.key` is the one that was retired.
    with Clients(PORT, before["key"], bench.rows, GENTLE) as clients:
        with Asked(before["login"]) as asked:
            machine.run("mlp", "database-password", "rotate", *STACK, timeout_s=COMMAND_S)
            asked.once_more()
        machine.run("mlp", "database-password", "rotate", "--role", "training", *STACK, timeout_s=COMMAND_S)
        machine.run("mlp", "mlflow-password", "rotate", *STACK, timeout_s=COMMAND_S)
        _pulumi_changes_no_secret(machine)
    result.facts["mlflow_away_s"] = round(asked.longest_s, 1)
    result.control("MLflow really was asked, and was away", asked.answers >= 5 and asked.refusals > 0, asked.refusals)
    result.lost_nothing(clients.seen)
    assert asked.longest_s <= MLFLOW_BACK_WITHIN_S
    assert FIRST in mlflow_versions(machine), "mlp reads runs with the new password"
    assert _opens_the_database(machine, _values(machine)["database"])
    assert not _opens_the_database(machine, before["database"])


class Asked(Watching):
    """Asks MLflow for a search of both its databases again and again; how long it was away."""

    def __init__(self, password: str) -> None:
        super().__init__()
        self.answers, self.refusals, self.longest_s = 0, 0, 0.0
        self._client = httpx.Client(auth=("operator", password), timeout=5, trust_env=False)
        self._last = time.monotonic()

    def __exit__(self, *failure: object) -> None:
        super().__exit__(*failure)
        self._client.close()

    def once_more(self) -> None:
        """Wait for another answer, so that the last gap is a whole one."""
        goal, end = self.answers + 2, time.monotonic() + MLFLOW_BACK_WITHIN_S
        while self.answers < goal:
            assert time.monotonic() < end, f"MLflow did not answer again within {MLFLOW_BACK_WITHIN_S} s"
            time.sleep(0.2)

    def look(self) -> None:
        try:
            good = self._client.get(SEARCH).status_code == 200
        except httpx.HTTPError:
            good = False
        if good:
            now = time.monotonic()
            self.answers += 1
            self.longest_s, self._last = max(self.longest_s, now - self._last), now
        self.refusals += not good


def _hasty(bench: Bench, key: str) -> Seen:
    """A few calls of the same clients with a key."""
    with Clients(PORT, key, bench.rows, HASTY) as clients:
        time.sleep(4)
    return clients.seen


def _all_refused(seen: Seen) -> bool:
    return seen.total >= 20 and len(seen.failures) == seen.total and all(" 401 " in why for _, _, why in seen.failures)


def _lost_nothing(result: Row, who: str, seen: Seen, least: int) -> None:
    """As `Row.lost_nothing`, kept under a name of its own: the row has several groups of clients."""
    result.control(f"clients with the {who} really called", seen.total >= least, seen.total)
    assert not seen.failures, f"{who}: {len(seen.failures)} of {seen.total}: {seen.failures[:3]}"


def _pulumi_changes_no_secret(machine: Machine) -> None:
    """An update that expects no change, then one with a refresh; neither touches a Secret."""
    before = _versions(machine)
    machine.run(*UP, "--expect-no-changes", timeout_s=300)
    assert _versions(machine) == before
    machine.run(*UP, "--refresh", timeout_s=300)
    assert _versions(machine) == before


def _secrets(machine: Machine) -> list[Mapping[str, Mapping[str, str]]]:
    """All of them; their values stay out of the walk's log."""
    command = ("kubectl", "get", "secrets", "-n", STAGING, "-o", "json")
    items: list[Mapping[str, Mapping[str, str]]] = json.loads(machine.run(*command, timeout_s=60, logged=False).stdout)[
        "items"
    ]
    return items


def _versions(machine: Machine) -> Mapping[str, str]:
    return {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in _secrets(machine)}


def _values(machine: Machine) -> Mapping[str, str]:
    held = {one["metadata"]["name"]: one["data"] for one in _secrets(machine)}
    wanted = {
        "key": held["model-api-key"]["key"],
        "database": held["postgres-auth"]["password"],
        "training": held["training-auth"]["password"],
        "login": held["mlflow-auth"]["password"],
    }
    return {name: base64.b64decode(value).decode() for name, value in wanted.items()}


def _opens_the_database(machine: Machine, password: str) -> bool:
    """Whether the role `mlflow` gets in with it, over the network as MLflow does."""
    host = machine.kubectl("get", "pod", "postgres-0", "-n", STAGING)["status"]["podIP"]
    try:
        with psycopg.connect(
            host=host, user="mlflow", dbname="mlflow", password=password, connect_timeout=10
        ) as session:
            return session.execute("select 1").fetchone() == (1,)
    except psycopg.OperationalError as error:
        if "password authentication failed" not in str(error):
            raise
        return False
