"""A search in the cluster, one of whose workers is killed the hard way in the middle of a trial."""

import json
import os
import re
import signal
from typing import Any

import pytest

from tests.e2e.faults import process_of
from tests.e2e.jobs import ask_for, pods_of, succeeded
from tests.e2e.machine import Machine
from tests.e2e.reads import STAGING, eventually

pytestmark = pytest.mark.e2e

STUDY, TRIALS, WORKERS, THROUGH = "killed", 8, 2, "2013-10"
OF_STUDY = f"from trials join studies using (study_id) where study_name = '{STUDY}'"
# A row that runs, with the worker that runs it: `pod/process`.
RUNNING = (
    "select t.number, a.value_json from trials t join trial_user_attributes a using (trial_id) "
    "join studies s using (study_id) where t.state = 'RUNNING' and a.key = 'worker' and s.study_name = '{study}' "
    "and t.number > 0 order by 1"
)


def sql(machine: Machine, query: str) -> list[list[str]]:
    """Rows of the database `training`, asked inside the pod: the network's role has a password that nobody prints."""
    command = ("kubectl", "exec", "-n", STAGING, "postgres-0", "--", "psql", "-U", "postgres", "-d", "training")
    out = machine.text(*command, "-h", "/run/postgresql", "-At", "-F", "|", "-c", query)
    return [line.split("|") for line in out.splitlines()]


def pods(machine: Machine) -> list[dict[str, Any]]:
    return pods_of(machine, f"search-{STUDY}")


def start_search(machine: Machine, trials: int = TRIALS) -> None:
    wanted = {"study": STUDY, "through": THROUGH, "trials": trials, "workers": WORKERS, "minutes": 30}
    ask_for(machine, "training", wanted)


def kill_one_in_a_trial(machine: Machine) -> str:
    """Kill a worker in the middle of a trial; the name of its pod.

    It is halted first: so what the database says of its trial stays true until the kill.
    """
    eventually(lambda: sql(machine, "select to_regclass('trial_user_attributes') is not null") == [["t"]], 420)
    eventually(lambda: bool(sql(machine, RUNNING.format(study=STUDY))), 120)
    for _ in range(20):
        for pod in pods(machine):
            pid = process_of(pod, "ml.training.worker")
            if pid is None:
                continue
            os.kill(pid, signal.SIGSTOP)
            # An Indexed Job gives its pods host names of their own; the worker signs with it.
            mine = [row for row in sql(machine, RUNNING.format(study=STUDY)) if pod["spec"]["hostname"] in row[1]]
            os.kill(pid, signal.SIGKILL if mine else signal.SIGCONT)
            if mine:
                print(f"\nkilled {pod['metadata']['name']} ({pid}) while its trial {mine[0][0]} was running")
                return str(pod["metadata"]["name"])
    raise AssertionError("control: no worker was ever seen in a trial")


def finished(machine: Machine) -> bool:
    return succeeded(machine, f"search-{STUDY}") == WORKERS


@pytest.fixture(scope="module")
def killed(machine: Machine) -> str:
    machine.run("make", "up", timeout_s=45 * 60)
    start_search(machine)
    name = kill_one_in_a_trial(machine)
    eventually(lambda: finished(machine), 1200)
    return name


@pytest.fixture(scope="module")
def section(machine: Machine, killed: str) -> dict[str, Any]:
    machine.run("mlp", "search", "result", "--stack", "staging", "--study", STUDY, "--out", "search.json")
    return dict(json.loads((machine.clone / "search.json").read_text()))


def test_the_killed_pod_died_of_the_kill_and_was_replaced(machine: Machine, killed: str) -> None:
    found = {one["metadata"]["name"]: one for one in pods(machine)}
    (ended,) = found[killed]["status"]["containerStatuses"]
    index = "batch.kubernetes.io/job-completion-index"
    same = [
        one for one in found.values() if one["metadata"]["labels"][index] == found[killed]["metadata"]["labels"][index]
    ]

    assert ended["state"]["terminated"]["exitCode"] == 137
    assert sorted(one["status"]["phase"] for one in same) == ["Failed", "Succeeded"]


def test_every_trial_is_accounted_for(machine: Machine, section: dict[str, Any]) -> None:
    log = "\n".join(
        machine.text("kubectl", "logs", "-n", STAGING, one["metadata"]["name"])
        for one in pods(machine)
        if one["status"]["phase"] == "Succeeded"
    )
    (line,) = [text for text in log.splitlines() if text.startswith('{"search"')]
    trials = json.loads(line)["trials"]

    assert [one["trial"] for one in trials] == list(range(TRIALS))
    assert {one["state"] for one in trials} <= {"complete", "pruned"}
    assert [one["causes"] for one in trials if one["attempts"] > 1] == [["worker lost"]]
    counts = section["trials"]
    assert counts["complete"] + counts["pruned"] == TRIALS
    assert (counts["failed"], counts["not_started"], counts["retried"]) == (0, 0, 1)
    assert sql(machine, f"select count(*) {OF_STUDY} and state in ('RUNNING', 'WAITING')") == [["0"]]


def test_the_best_value_is_that_of_one_process_with_the_same_seed_and_budget(
    machine: Machine, section: dict[str, Any]
) -> None:
    budget = ("--trials", str(TRIALS), "--workers", "1", "--minutes", "30")
    machine.run("mlp", "train", "--through", THROUGH, *budget, "--out", "alone", timeout_s=1200)
    alone = json.loads((machine.clone / "alone" / "search.json").read_text())

    assert section["best"] == alone["best"]
    assert section["given"] == alone["given"]
    assert {k: v for k, v in section["trials"].items() if k != "retried"} == {
        k: v for k, v in alone["trials"].items() if k != "retried"
    }


def test_the_winner_of_the_cluster_makes_the_same_model(machine: Machine, section: dict[str, Any]) -> None:
    machine.run("mlp", "train", "--through", THROUGH, "--search", "search.json", "--out", "taken", timeout_s=600)

    assert (machine.clone / "taken/model.onnx").read_bytes() == (machine.clone / "alone/model.onnx").read_bytes()


def test_the_password_is_in_no_argument_log_or_specification(machine: Machine, killed: str) -> None:
    template = "jsonpath={.data.password}"
    encoded = machine.secret("kubectl", "get", "secret", "training-auth", "-n", STAGING, "-o", template)
    password = machine.secret("bash", "-c", f"echo {encoded} | base64 -d")
    shown = json.dumps(machine.kubectl("get", "jobs,pods", "-n", STAGING))
    shown += "".join(machine.text("kubectl", "logs", "-n", STAGING, one["metadata"]["name"]) for one in pods(machine))

    assert len(password) > 20
    assert password not in shown
    assert re.search(rf"search {STUDY}: \d+ of {TRIALS} trials", shown)


def test_the_role_of_a_search_opens_no_other_database(machine: Machine, killed: str) -> None:
    (grants,) = sql(machine, "select rolsuper, rolcreatedb, rolcreaterole from pg_roles where rolname = 'training'")
    rules = sql(
        machine, "select array_to_string(database, ',') from pg_hba_file_rules where 'training' = any(user_name)"
    )

    assert grants == ["f", "f", "f"]
    assert rules == [["training"]]


def test_more_trials_under_the_same_name_run_the_missing_ones(machine: Machine, section: dict[str, Any]) -> None:
    """The Job is replaced under its name: its arguments are another count."""
    began = f"select number, datetime_start {OF_STUDY} order by 1"
    before = sql(machine, began)
    start_search(machine, TRIALS + 2)
    eventually(lambda: finished(machine), 600)

    assert len(before) == TRIALS + 1, "the killed one has a second row"
    assert sql(machine, began)[: len(before)] == before
    assert sql(machine, f"select count(*) {OF_STUDY} and state in ('COMPLETE', 'PRUNED')") == [[str(TRIALS + 2)]]
