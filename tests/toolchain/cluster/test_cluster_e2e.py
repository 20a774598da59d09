"""One walk on the real cluster, in this order: up, a pod with a volume, up again, kill -9 of everything, delete.

It runs in a home of its own. The caller's own cluster (MLP_HOME) is stopped first and started again afterwards with
the pinned tools; a cluster of any other home is somebody's work and is never touched: the walk refuses to begin.
`MLP_TEST_BINARIES` names a directory with kubernetes, coredns and metrics-server, instead of the pinned tools.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.toolchain.cluster.workload import IMAGE, answer, eventually, kubectl, refused, run_the_pod
from toolchain import cluster, host, paths
from toolchain.cluster import api, machine, network, processes, remains
from toolchain.cluster.components import BUILT_PROGRAMS
from toolchain.cluster.layout import BRIDGE
from toolchain.display import Display

pytestmark = [pytest.mark.e2e, pytest.mark.smoke, pytest.mark.timeout(900)]

OURS = re.compile(r"\b(KUBE|MLP)-[A-Z]")


def machine_state() -> dict[str, Any]:
    """What belongs to others: `delete` has to leave it as it was before `up`."""
    rules = [line for line in saved_rules() if line.startswith("-A") and not OURS.search(line)]
    links = sorted(path.name for path in Path("/sys/class/net").iterdir() if path.name != BRIDGE)
    return {"rules": rules, "links": links, "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text()}


def saved_rules() -> list[str]:
    """Chains and rules of both families."""
    argvs = (["iptables-save"], ["ip6tables-save"])
    runs = (subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30) for argv in argvs)
    return [line for run in runs for line in run.stdout.splitlines()]


def traces() -> list[str]:
    """What is ours outside the root; nothing of it may be left."""
    groups = [str(path) for path in Path("/sys/fs/cgroup").glob("*/kubepods")]
    bridge = [str(path) for path in [Path("/sys/class/net") / BRIDGE] if path.exists()]
    return [*groups, *bridge, *filter(OURS.search, saved_rules())]


@pytest.fixture(scope="module")
def before() -> dict[str, Any]:
    return {}


@pytest.fixture(scope="module")
def binaries() -> dict[str, Path] | None:
    given = os.environ.get("MLP_TEST_BINARIES")
    return {name: Path(given) / name for name in BUILT_PROGRAMS} if given else None


@pytest.fixture(scope="module", autouse=True)
def home(before: dict[str, Any], binaries: dict[str, Path] | None) -> Iterator[Path]:
    paused, own = cluster.running_home(), paths.home().absolute()
    if paused not in {None, own}:
        pytest.exit(f"a cluster of another home runs here and is not touched: MLP_HOME={paused}", returncode=6)
    with pytest.MonkeyPatch.context() as patch:
        if paused is not None:
            patch.setenv("MLP_HOME", str(paused))
            cluster.down(Display())
        scratch = Path(tempfile.mkdtemp(prefix="mlp-e2e-"))
        patch.setenv("MLP_HOME", str(scratch))
        host.ensure_packages(Display())  # `make test` does all its own set-up, also where nobody said `make up`
        before.update(machine_state())
        try:
            cluster.up(Display(), binaries)
            yield scratch
        finally:
            cluster.delete(Display())
            shutil.rmtree(scratch)
            if paused is not None:
                patch.setenv("MLP_HOME", str(paused))
                cluster.up(Display())


@pytest.fixture
def client() -> Iterator[api.Client]:
    client = api.Client(api.Credentials.of(cluster.layout(), "admin"))
    yield client
    client.close()


@pytest.fixture
def other_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    scratch = Path(tempfile.mkdtemp(prefix="mlp-e2e-"))
    yield scratch
    with monkeypatch.context() as patch:
        patch.setenv("MLP_HOME", str(scratch))
        cluster.delete(Display())
    shutil.rmtree(scratch)


def test_a_restricted_pod_writes_its_volume_and_answers_on_127_0_0_1(client: api.Client) -> None:
    run_the_pod(client)

    assert eventually(lambda: answer() == "start\n")


@pytest.mark.parametrize(
    ("guarded", "ports"),
    [
        pytest.param(True, range(20110, 20113), id="with our rule"),
        pytest.param(False, range(20120, 20123), id="control: without it they are"),
    ],
)
def test_ports_refused_while_there_was_no_endpoint_are_not_refused_afterwards(guarded: bool, ports: range) -> None:  # noqa: FBT001
    if not guarded:
        subprocess.run(["iptables", "--wait", "10", "-F", "MLP-OUTPUT"], check=True, timeout=30)
    try:
        select("nobody")
        assert eventually(refused)
        assert [refused(port) for port in ports] == [True] * len(ports)
        select("web")
        assert eventually(lambda: answer() == "start\n")

        assert [refused(port) for port in ports] == [not guarded] * len(ports)
    finally:
        network.ensure()


def select(app: str) -> None:
    kubectl("patch", "service", "web", "-n", "e2e", "-p", json.dumps({"spec": {"selector": {"app": app}}}))


def test_exec_logs_and_names_work_inside_a_pod() -> None:
    resolve = "print join '.', unpack('C4', gethostbyname('web.e2e.svc.cluster.local'))"

    assert kubectl("exec", "-n", "e2e", "deploy/web", "--", "perl", "-e", resolve).startswith("10.96.")
    assert kubectl("logs", "-n", "e2e", "deploy/web") == ""


def test_a_second_up_starts_nothing(binaries: dict[str, Path] | None) -> None:
    pids = {part.component: part.pid for part in cluster.status()}

    cluster.up(Display(), binaries)

    assert {part.component: part.pid for part in cluster.status()} == pids


def test_only_the_dead_component_is_started_and_pods_run_on(binaries: dict[str, Path] | None) -> None:
    pids = {part.component: part.pid for part in cluster.status()}
    for name in ("containerd", "coredns"):
        os.kill(pids[name] or 0, signal.SIGKILL)

    cluster.up(Display(), binaries)

    now = {part.component: part.pid for part in cluster.status()}
    assert {name for name in now if now[name] != pids[name]} == {"containerd", "coredns"}
    assert answer() == "start\n"


def test_the_metrics_api_answers_for_pods(client: api.Client) -> None:
    path = "/apis/metrics.k8s.io/v1beta1/namespaces/e2e/pods"

    items = eventually(lambda: client.get(path)["items"], within_s=90)

    assert items[0]["containers"][0]["usage"]["memory"]
    assert "web-" in kubectl("top", "pods", "-n", "e2e")


def test_a_privileged_pod_is_refused_where_nobody_chose_a_level(client: api.Client) -> None:
    container = {"name": "c", "image": IMAGE, "securityContext": {"privileged": True}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}}

    with pytest.raises(api.ApiError, match=r"violates PodSecurity|privileged"):
        client.call("POST", "/api/v1/namespaces/default/pods", pod)


def test_nobody_gets_in_without_a_certificate() -> None:
    context = api.Credentials.of(cluster.layout(), "admin")
    anonymous = http.client.HTTPSConnection("10.244.0.1", 6443, timeout=5, context=trusting(context.authority))

    anonymous.request("GET", "/api/v1/namespaces")
    status = anonymous.getresponse().status
    anonymous.close()

    assert status == 401


def trusting(authority: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority))


def everything() -> set[int]:
    """Every process of the cluster: components, shims, and what runs inside containers."""
    where = cluster.layout()
    recorded = {record.pid for path in where.run.glob("*.json") if (record := processes.read_record(path))}
    return recorded | set(remains.shims(where, processes.command_lines())) | set(remains.contained(where))


def test_after_kill_9_of_everything_up_brings_back_the_same_data(
    client: api.Client, binaries: dict[str, Path] | None
) -> None:
    uid = client.get("/api/v1/namespaces/e2e/configmaps/kept")["metadata"]["uid"]
    client.close()
    for pid in everything():
        os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: cluster.running_home() is None)

    cluster.up(Display(), binaries)

    assert client.get("/api/v1/namespaces/e2e/configmaps/kept")["metadata"]["uid"] == uid
    assert eventually(lambda: answer() == "start\nstart\n", within_s=90)


def test_down_and_up_keep_the_data_and_down_leaves_no_process(binaries: dict[str, Path] | None) -> None:
    cluster.down(Display())

    assert not everything()
    assert remains.mounts_below(cluster.layout().root, Path("/proc/self/mountinfo").read_text()) == []
    cluster.up(Display(), binaries)
    assert eventually(lambda: answer() == "start\nstart\nstart\n", within_s=90)


def test_a_released_volume_takes_its_directory_along(client: api.Client) -> None:
    directories = list(cluster.layout().volumes.iterdir())
    assert len(directories) == 1
    kubectl("delete", "namespace", "e2e", "--timeout=50s")

    assert eventually(lambda: not client.get("/api/v1/persistentvolumes")["items"])
    assert not directories[0].exists()


def test_another_home_is_refused_while_this_one_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path
) -> None:
    monkeypatch.setenv("MLP_HOME", str(tmp_path))

    with pytest.raises(Exception, match=f"ML-CLUSTER-007.*\n.*MLP_HOME={home} mlp cluster down"):
        machine.claim(tmp_path)


def test_a_killed_cluster_of_another_home_takes_no_connection_from_the_next(
    client: api.Client, binaries: dict[str, Path] | None, monkeypatch: pytest.MonkeyPatch, other_home: Path
) -> None:
    killed = cluster.layout().root
    # Addresses are counted from the first one again, so that either cluster's pod is given the same.
    shutil.rmtree(killed / "addresses", ignore_errors=True)
    run_the_pod(client)
    assert eventually(lambda: answer() == "start\n", within_s=90)
    client.close()
    for pid in everything():
        os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: cluster.running_home() is None)

    monkeypatch.setenv("MLP_HOME", str(other_home))
    cluster.up(Display(), binaries)

    with contextlib.closing(api.Client(api.Credentials.of(cluster.layout(), "admin"))) as next_client:
        run_the_pod(next_client)
    assert eventually(lambda: answer() == "start\n")
    assert remains.mounts_below(killed, Path("/proc/self/mountinfo").read_text()) == []


def test_delete_leaves_nothing(before: dict[str, Any], home: Path) -> None:
    where = cluster.layout()

    cluster.delete(Display())

    assert not where.root.exists()
    assert not everything()
    assert traces() == []
    after = machine_state()
    # A cluster that was paused for this walk still loses its pods' links meanwhile; none may be added.
    assert set(after.pop("links")) <= set(before["links"])
    assert after == {name: value for name, value in before.items() if name != "links"}
    assert str(home) not in Path("/proc/self/mountinfo").read_text()
    assert cluster.running_home() is None
