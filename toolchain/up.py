"""`make up`: from an empty machine to a gated, served model. What does not depend on each other runs side by side."""

import json
import subprocess
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.errors import ConfigError, PipelineError, SurroundingsError
from toolchain import environment, host, images, paths, pins, reach, tools
from toolchain.display import Display, duration
from toolchain.stack import Stack
from toolchain.tools import store

REACH_S = 10


@dataclass(frozen=True, kw_only=True)
class Slots:
    """What the stack's settings say."""

    releases: tuple[str, ...]
    live: str | None


def up(name: str, display: Display) -> None:
    """Bring one stack up. Run in the environment that `bootstrap` made.

    Raises:
        PipelineError: With the reason and the next command.
    """
    started = time.monotonic()
    slots = read_slots(name)
    local = not is_named()
    machine(display, local=local)
    stack = Stack(name)
    stack.prepare()
    stack.recover()
    stack.read_traffic_again()
    for release in slots.releases:
        _mlp(stack, "release", "verify", release)
    stack.up(paths.repo_root() / "policies")
    if slots.releases:
        _mlp(stack, "release", "publish", "--stack", name)
    urls = json.loads(stack.capture("stack", "output", "--json", "--stack", name)).get("urls", {})
    golden = reach.golden_row(paths.repo_root() / "releases" / slots.live) if slots.live else None
    print(reach.summary(name, urls, golden))
    print(f"Done in {duration(time.monotonic() - started)}.")


def machine(display: Display, *, local: bool) -> None:
    """Tools, cluster and base image: everything below the stack.

    The cluster starts as soon as its own binaries are there, while the tools of the client are still being built.
    """
    if local:
        host.require_root()
        host.require_space(cold=any(_is_cold(name) for name in (*tools.CLUSTER, *tools.CLIENT)))
        host.ensure_packages(display)
    else:
        tools.ensure(tools.NAMED_CLUSTER[:1], display)
        require_reachable()
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="up") as pool:
        base = pool.submit(_base_image, display)
        cluster: Future[None] | None = None
        if local:
            tools.ensure(tools.CLUSTER[:3], display)
            cluster = pool.submit(_start_cluster, display)
        tools.ensure((*tools.CLIENT, *(tools.CLUSTER if local else tools.NAMED_CLUSTER)), display)
        for waited in (base, cluster):
            if waited is not None:
                waited.result()
    images.place_kube_state_metrics()


def is_named() -> bool:
    """Whether the user named a cluster."""
    return bool(environment.pulumi_env().get("MLP_KUBECONFIG"))


def require_reachable() -> None:
    """Ask the named cluster for its health.

    Raises:
        SurroundingsError: `ML-HOST-007` when it does not answer.
    """
    env = environment.pulumi_env()
    file = Path(env["KUBECONFIG"])
    fix = "check the file with `kubectl --kubeconfig FILE get nodes`; without MLP_KUBECONFIG a local cluster is used"
    host.require_file(file)
    command = ["kubectl", "--kubeconfig", str(file), "get", "--raw", "/readyz", f"--request-timeout={REACH_S}s"]
    if env.get("MLP_CONTEXT"):
        command += ["--context", env["MLP_CONTEXT"]]
    try:
        answer = subprocess.run(command, env=env, capture_output=True, text=True, timeout=3 * REACH_S, check=False)
        said = answer.stderr.strip().splitlines()
    except subprocess.TimeoutExpired:
        said = [f"no answer within {3 * REACH_S} s"]
    else:
        if answer.returncode == 0:
            return
    message = f"the cluster of {file} does not answer: {said[-1] if said else 'no reason given'}"
    raise SurroundingsError("ML-HOST-007", message, fix)


def read_slots(name: str) -> Slots:
    """The releases in the stack's slots and the live one, from its settings file."""
    import yaml  # noqa: PLC0415  (this module is read before the environment is there)

    file = paths.repo_root() / f"Pulumi.{name}.yaml"
    if not file.exists():
        known = sorted(path.name.split(".")[1] for path in paths.repo_root().glob("Pulumi.*.yaml"))
        raise ConfigError("ML-HOST-012", f"there is no stack {name!r}: no {file.name}; there are {known}", "make up")
    config: dict[str, Any] = (yaml.safe_load(file.read_text()) or {}).get("config") or {}
    held: dict[str, Any] = config.get("ml-pipeline:slots") or {}
    releases = tuple(dict.fromkeys(slot["release"] for slot in held.values() if slot and "release" in slot))
    live = held.get(config.get("ml-pipeline:live", "blue")) or {}
    return Slots(releases=releases, live=live.get("release"))


def _base_image(display: Display) -> None:
    from toolchain import rootfs  # noqa: PLC0415  (only this step needs it)

    with display.task("base image", "making its file system with debootstrap") as task:
        rootfs.ensure()
        task.done("file system is there")


def _start_cluster(display: Display) -> None:
    from toolchain import cluster  # noqa: PLC0415  (needs packages, and only without a named cluster)

    cluster.up(display)


def _is_cold(name: str) -> bool:
    found = pins.load()
    tool = found.tools[name]
    return tool.go is not None and not store.is_complete(store.folder(tool, found), tool)


def _mlp(stack: Stack, *arguments: str) -> None:
    command = [str(paths.venv_bin() / "mlp"), *arguments]
    code = subprocess.run(command, cwd=paths.repo_root(), env=stack.env, check=False).returncode
    if code:
        error = PipelineError("ML-HOST-013", f"mlp {' '.join(arguments)} refused; its own words stand above")
        error.exit_code = code
        raise error
