"""Up, down, status and delete of the local cluster."""

import contextlib
import datetime as dt
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ml.errors import SurroundingsError
from toolchain import paths, tools
from toolchain.cluster import (
    api,
    components,
    config,
    host,
    machine,
    network,
    objects,
    pause,
    pki,
    processes,
    remains,
    stacks,
)
from toolchain.cluster.component import Component
from toolchain.cluster.layout import NODE, Layout
from toolchain.cluster.starting import Starter, record_path, stale
from toolchain.display import Display, Task
from toolchain.files import write_if_changed

NODE_DEADLINE_S: Final = 90.0
OBJECTS_DEADLINE_S: Final = 20.0
POLL_S: Final = 0.2
# The kubelet ends first so that it restarts nothing, then the containers, then the rest in the reverse of the start.
STOP_FIRST: Final = ("kubelet", "dockerd")

Binaries = Mapping[str, Path]


@dataclass(frozen=True, kw_only=True)
class ComponentStatus:
    """One line of `mlp cluster status`."""

    component: str
    pid: int | None
    state: str
    since: str | None
    serves: str


def layout() -> Layout:
    """Where this home's cluster lives."""
    return Layout(root=paths.home().absolute() / "cluster")


def up(display: Display, binaries: Binaries | None = None) -> None:
    """Start what is not running; afterwards the node is ready. Safe to repeat, and to repeat after a kill or a reboot.

    Args:
        display: Shows the progress.
        binaries: Paths of `kubernetes`, `coredns` and `metrics-server`; the pinned tools when not given. The rest are
            the host's own programs.

    Raises:
        SurroundingsError: the machine cannot run it, or a component did not become ready.
    """
    where = layout()
    where.check_sockets()
    host.check(where.root)
    if binaries is None:
        binaries = tools.ensure(components.BUILT_PROGRAMS, display)
    # Two checkouts that share a home link the same files: the links' targets decide what has changed.
    programs = host.programs() | {name: path.resolve() for name, path in binaries.items()}
    with display.task("local cluster", "starting") as task:
        with _locked(task):
            _put_away_a_dead_cluster(where.root.parent, task)
            machine.claim(where.root.parent)
            _prepare(where)
            _start(where, programs, task)
        task.done(f"node {NODE} is ready")


def _put_away_a_dead_cluster(home: Path, task: Task) -> None:
    """End what another home's killed cluster left behind, as its own `down` would.

    The network namespaces of its pods outlive their processes, on the same bridge: one that has an address which a pod
    here is given anew refuses that pod's connections.
    """
    other = machine.claimed_home()
    if other in {None, home} or machine.running_home() is not None:
        return
    task.now(f"putting away the dead cluster of MLP_HOME={other}")
    left = Layout(root=other / "cluster")
    remains.kill_leftovers(left)
    remains.unmount(left.root)


def _prepare(where: Layout) -> None:
    machine.adopt(where, forwarding=network.forwarding_enabled())
    for directory in (where.run, where.logs, where.conf, where.pki, where.root / "etcd", where.root / "registry"):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    where.volumes.mkdir(mode=0o711, parents=True, exist_ok=True)
    pki.ensure(where, dt.datetime.now(dt.UTC))
    for path, text in config.render(where, host.resolv_conf()).items():
        write_if_changed(path, text.encode())
    for user in pki.KUBECONFIG_USERS:
        path = where.admin_kubeconfig if user == "admin" else where.kubeconfig(user)
        files = (where.certificate("ca"), where.certificate(user), where.key(user))
        write_if_changed(path, config.kubeconfig(api.SERVER, *(file.read_bytes() for file in files)).encode())
    network.ensure()


def _start(where: Layout, programs: Binaries, task: Task) -> None:
    table = components.table(where, programs)
    idle = [part for part in stale(where, table) if not _runs(where, part.name)]
    host.check_ports(idle)
    if any(part.name == "containerd" for part in idle):
        remains.forget_dead_containers(where)
    hooks = {
        "containerd": lambda: pause.ensure(where, programs),
        "apiserver": lambda: _apply_objects(where),
    }
    Starter(where, table, hooks, task.now).run()
    task.now(f"waiting for node {NODE} to be ready")
    _wait_for_node(where)


def _runs(where: Layout, name: str) -> bool:
    record = processes.read_record(record_path(where, name))
    return record is not None and processes.alive(record)


def _apply_objects(where: Layout) -> None:
    deadline = time.monotonic() + OBJECTS_DEADLINE_S
    while True:
        try:
            with contextlib.closing(api.Client(api.Credentials.of(where, "admin"))) as client:
                objects.apply(client, where.certificate("ca").read_bytes())
        except (OSError, api.ApiError) as error:
            if time.monotonic() > deadline:
                raise SurroundingsError(
                    "ML-CLUSTER-015",
                    f"the API server did not take the cluster's own objects: {error}",
                    fix="mlp cluster logs apiserver; then mlp cluster up",
                ) from error
            time.sleep(POLL_S)
        else:
            return


def _wait_for_node(where: Layout) -> None:
    """The kubelet renews the node's lease and condition after a start; an older "ready" does not count.

    Raises:
        SurroundingsError: not within the deadline.
    """
    record = processes.read_record(record_path(where, "kubelet"))
    since = record.started_at if record else 0.0
    deadline = time.monotonic() + NODE_DEADLINE_S
    client = api.Client(api.Credentials.of(where, "admin"))
    problem = "it did not register"
    with contextlib.closing(client):
        while time.monotonic() < deadline:
            try:
                problem = node_problem(client.get(f"/api/v1/nodes/{NODE}"), since)
            except (OSError, api.ApiError) as error:
                problem = str(error)
            if not problem:
                return
            time.sleep(POLL_S)
    raise SurroundingsError(
        "ML-CLUSTER-012",
        f"node {NODE} was not ready within {NODE_DEADLINE_S:.0f} s: {problem}",
        fix="mlp cluster logs kubelet",
    )


def node_problem(node: Mapping[str, object], since: float) -> str:
    """Why a node is not ready, or "" when it has said so after `since` (seconds of the epoch)."""
    status = node.get("status")
    conditions = status.get("conditions", []) if isinstance(status, dict) else []
    ready = next((condition for condition in conditions if condition["type"] == "Ready"), None)
    if ready is None:
        return "no condition Ready yet"
    if ready["status"] != "True":
        return str(ready.get("message", "not ready"))
    heartbeat = dt.datetime.fromisoformat(ready["lastHeartbeatTime"]).timestamp()
    return "" if heartbeat >= int(since) else "no heartbeat since the kubelet's start"


def down(display: Display) -> None:
    """Stop containers and components in order and unmount; the data stay for the next `up`.

    Raises:
        SurroundingsError: not root.
    """
    where = layout()
    if not where.marker.exists():
        return
    with display.task("local cluster", "stopping") as task, _locked(task):
        _stop(where, task)
        task.done("stopped; its data stay")


def delete(display: Display) -> None:
    """Stop everything and remove the data, the bridge, the rules, mounts and control groups.

    Raises:
        SurroundingsError: not root, or the directory was not made by `up`.
    """
    where = layout()
    if not where.root.exists():
        return
    if not where.marker.exists():
        raise SurroundingsError(
            "ML-CLUSTER-008",
            f"{str(where.root)!r} was not made by mlp (no {where.marker.name}), so it is not deleted",
            fix="check MLP_HOME; remove the directory yourself if it is yours",
        )
    with display.task("local cluster", "stopping") as task, _locked(task):
        _stop(where, task)
        task.now("removing data")
        others = machine.running_home()
        forwarding = machine.forwarding_before(where)
        remains.remove_root(where)
        if others is None:
            network.remove(forwarding=forwarding)
            remains.remove_outside(where)
        forgotten = stacks.forget(paths.home() / "state", where.admin_kubeconfig)
        task.done("deleted" + (f", with the state of its stacks {', '.join(forgotten)}" if forgotten else ""))


def status() -> list[ComponentStatus]:
    """Every component of this home's cluster, running or not."""
    where = layout()
    names = (*components.HOST_PROGRAMS, *components.BUILT_PROGRAMS)
    table = components.table(where, {name: Path(name) for name in names})
    return [_status(where, component) for component in table.values()]


def _status(where: Layout, component: Component) -> ComponentStatus:
    record = processes.read_record(record_path(where, component.name))
    running = record is not None and processes.alive(record)
    state = ("ready" if component.probe() else "not ready") if running else ("dead" if record else "stopped")
    since = dt.datetime.fromtimestamp(record.started_at, dt.UTC) if record and running else None
    return ComponentStatus(
        component=component.name,
        pid=record.pid if record and running else None,
        state=state,
        since=since.isoformat(timespec="seconds") if since else None,
        serves=component.serves,
    )


def _locked(task: Task) -> contextlib.AbstractContextManager[int]:
    return machine.lock(lambda holder: task.now(f"waiting for another mlp cluster command (pid {holder})"))


def _stop(where: Layout, task: Task) -> None:
    if os.geteuid() != 0:
        raise SurroundingsError("ML-CLUSTER-001", "stopping the local cluster needs root", fix="run it as root")
    for name in STOP_FIRST:
        _stop_component(where, name, task)
    task.now("stopping containers")
    remains.stop_containers(where, host.programs())
    for name in reversed(components.ORDER):
        _stop_component(where, name, task)
    remains.kill_leftovers(where)
    task.now("unmounting")
    remains.unmount(where.root)
    machine.release(where.root.parent)


def _stop_component(where: Layout, name: str, task: Task) -> None:
    path = record_path(where, name)
    record = processes.read_record(path)
    if record is not None:
        task.now(f"stopping {name}")
        processes.stop(record, grace_s=components.GRACE_S)
    path.unlink(missing_ok=True)
