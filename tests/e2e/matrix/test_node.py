"""Parts of the node that go: the kubelet, containerd, the registry; and a tag that moves to another image."""

import time
from typing import Any

import pytest

from tests.e2e.bench import Bench, component, without
from tests.e2e.crafted import Trigger, not_a_number
from tests.e2e.drills import UP
from tests.e2e.matrix.images import moved_tag
from tests.e2e.matrix.rows import row
from tests.e2e.reads import STAGING, image
from tests.e2e.staged import stage_crafted

pytestmark = pytest.mark.e2e

REGISTRY = "http://127.0.0.1:5000/v2/"
DEPLOY_FAILS_WITHIN_S = 60
HEARD_WITHIN_S = 20
"""The kubelet tells of its node every 10 s, the control plane looks every 5 s."""
REFUSED_FOR_S = 5


@pytest.mark.smoke
@pytest.mark.parametrize(("number", "name"), [(13, "kubelet"), (14, "containerd")])
def test_rows_13_and_14_a_part_of_the_node_is_started_again(bench: Bench, number: int, name: str) -> None:
    """Containers run on. What a node with one of them away loses for a moment is its place in the Services.

    A kubelet that starts calls every container unready until it has asked it (kubernetes issue 100277), and a node
    without its runtime calls itself unready; the local cluster has no other node that would serve meanwhile.
    """
    with row(number, f"{name} is killed, and started again after 5 s") as result:
        before = _containers(bench)
        with bench.clients() as clients:
            time.sleep(2)
            with without(bench.machine, name, 5) as pid:
                pass
            time.sleep(HEARD_WITHIN_S)
        seen = clients.seen
        again, after = component(bench.machine, name), _containers(bench)
        result.control("it is another process now", again != pid, f"{pid}, then {again}")
        result.facts["containers"] = {"before": len(before), "the same afterwards": len(before & after)}
        result.saw(seen)
        result.facts["refused_for_s"] = round(seen.failing_s, 1)

        assert before <= after, "running containers are left alone"
        assert result.facts["refused_for_s"] <= REFUSED_FOR_S, seen.failures[:3]
        assert {"ConnectionRefusedError" in why for _, _, why in seen.failures} <= {True}, seen.failures[:3]


@pytest.mark.smoke
def test_row_18_the_registry_is_gone(bench: Bench) -> None:
    with row(18, "the registry is gone: pods start again, a new release does not get in") as result:
        bench.settle("blue")
        with bench.other_settings(), bench.clients() as clients:
            stage_crafted(bench.machine, "flights-0020", Trigger(feature="pressure", value=1013.37), not_a_number)
            with without(bench.machine, "registry"):
                asked = bench.machine.run("curl", "-sS", "--max-time", "2", REGISTRY, check=False)
                gone = bench.delete_a_pod("blue")
                bench.whole("blue")
                started = time.monotonic()
                refused = bench.machine.run(*UP, check=False, timeout_s=300)
                took_s = time.monotonic() - started

        result.control("nobody could ask the registry", asked.returncode != 0, asked.stdout.strip()[-100:])
        result.control("a pod was really started again", gone not in _names(bench, "blue"), gone)
        result.facts |= {"refused_after_s": round(took_s, 1), "said": refused.stdout.strip()[-300:]}
        assert refused.returncode != 0
        assert took_s <= DEPLOY_FAILS_WITHIN_S
        assert bench.live() == "blue", "no switch"
        result.lost_nothing(clients.seen)


@pytest.mark.smoke
def test_row_19_a_tag_moves_to_another_image(bench: Bench) -> None:
    with row(19, "other content is pushed under the tag of the running image") as result:
        live = bench.live()
        runs = image(bench.machine, STAGING, f"model-{live}")
        with bench.other_settings(), bench.clients() as clients, moved_tag(runs) as (tag, before, after):
            gone = bench.delete_a_pod(live)
            bench.whole(live)
            command = ("pulumi", "config", "set", "--stack", "staging", "--path", "ml-pipeline:slots.blue.image")
            bench.machine.run(*command, tag)
            by_tag = bench.machine.run("pulumi", "preview", "--stack", "staging", check=False)

        result.control("the tag meant something else", before != after, f"{before[:19]}, then {after[:19]}")
        result.control("a pod was really started again", gone not in _names(bench, live), gone)
        result.facts["said"] = by_tag.stdout.strip()[-300:]
        assert _digests(bench, live) == {runs.rpartition("@")[2]}
        assert by_tag.returncode != 0, by_tag.stdout[-2000:]
        assert "by digest" in by_tag.stdout, by_tag.stdout[-2000:]
        result.lost_nothing(clients.seen)


def _names(bench: Bench, slot: str) -> set[str]:
    return {str(pod["metadata"]["name"]) for pod in bench.pods(slot)}


def _statuses(bench: Bench, *slots: str) -> list[dict[str, Any]]:
    return [status for slot in slots for pod in bench.pods(slot) for status in pod["status"]["containerStatuses"]]


def _digests(bench: Bench, slot: str) -> set[str]:
    """What the containers really run, as the runtime says it."""
    return {str(status["imageID"]).rpartition("@")[2] for status in _statuses(bench, slot)}


def _containers(bench: Bench) -> set[str]:
    return {str(status["containerID"]) for status in _statuses(bench, "blue", "green")}
