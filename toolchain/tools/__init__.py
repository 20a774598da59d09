"""Tools in their pinned versions, linked into `.venv/bin`: `ensure(names, display)` is the whole interface.

Everything but Go builds runs side by side first; then what is left is built, one at a time, in the order asked for.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

from ml.errors import SurroundingsError
from toolchain import locks, paths
from toolchain.display import Display, Task
from toolchain.pins import Pins, Tool
from toolchain.pins import load as load_pins
from toolchain.tools import debian, download, gobuild, links, locate, store

__all__ = ["CLIENT", "CLUSTER", "NAMED_CLUSTER", "ensure"]

CLIENT = ("pulumi", "pulumi-resource-kubernetes", "pulumi-language-python", "pulumi-resource-docker", "actionlint",
          "promtool", "pushgateway")  # fmt: skip
"""What every machine needs."""
CLUSTER = ("kubernetes", "coredns", "metrics-server", "kube-state-metrics")
"""What the local cluster and its images need; `kubernetes` brings `kubectl`."""
NAMED_CLUSTER = ("kubectl", "kube-state-metrics")
"""What a cluster that the user named needs instead."""


def ensure(names: Sequence[str], display: Display | None = None, *, pins: Pins | None = None) -> dict[str, Path]:
    """Make the tools available in `.venv/bin`; quick when they are.

    Args:
        names: Tables of `pins.toml`; Go builds happen in this order.
        display: Where progress is shown.
        pins: Other pins than the checkout's, for tests.

    Returns:
        Name to the path in `.venv/bin`.

    Raises:
        SurroundingsError: `ML-TOOL-002` when no source yields a tool; the message has each source's reason.
    """
    return Toolbox(pins or load_pins(), display or Display()).ensure(names)


class Toolbox:
    """One run: the pins, the display, and what the sources refused so far."""

    def __init__(self, pins: Pins, display: Display, modules: Path = store.MODULES) -> None:
        self._pins = pins
        self._display = display
        self._modules = modules
        self._downloader = download.Downloader()
        self._refusals: dict[str, list[str]] = {}
        self._link_lock = threading.Lock()

    def ensure(self, names: Sequence[str]) -> dict[str, Path]:
        """See the module's `ensure`."""
        missing = [self._tool(name) for name in names if not links.is_fresh(name, self._key(self._tool(name)))]
        late = [tool for tool in missing if tool.beside]
        early = [tool for tool in missing if tool not in late]
        with ThreadPoolExecutor(max_workers=4, thread_name_prefix="tool") as pool:
            found = list(pool.map(self._without_building, early))
        for tool, is_there in zip(early, found, strict=True):
            if not is_there:
                self._by_building(tool)
        for tool in late:
            self._without_building(tool)
        return {name: paths.venv_bin() / self._tool(name).binaries[0] for name in names}

    def _tool(self, name: str) -> Tool:
        if name not in self._pins.tools:
            raise SurroundingsError(
                "ML-TOOL-003", f"no tool {name!r} in pins.toml: there are {sorted(self._pins.tools)}"
            )
        return self._pins.tools[name]

    def _key(self, tool: Tool) -> str:
        return store.key(tool, self._pins, self._modules)

    def _without_building(self, tool: Tool) -> bool:
        with self._display.task(tool.name, f"looking for {tool.version}") as task, self._locked(tool, task):
            if self._use_cache(tool, task):
                return True
            for source in tool.sources:
                if source == "go":
                    break
                task.now(f"looking for {tool.version}: {source}")
                try:
                    how = self._source(source)(tool)
                except download.UnavailableError as error:
                    self._refusals.setdefault(tool.name, []).append(f"{source}: {error}")
                    continue
                task.done(f"{tool.version}: {how}")
                return True
            if "go" not in tool.sources:
                raise self._nothing_works(tool)
            task.done(f"{tool.version} is not here and cannot be downloaded: it is built next")
        return False

    def _by_building(self, tool: Tool) -> None:
        with self._display.task(tool.name, f"building {tool.version}") as task, self._locked(tool, task):
            if self._use_cache(tool, task):
                return
            if not gobuild.available():
                self._refusals.setdefault(tool.name, []).append("go: there is no `go` on PATH")
                raise self._nothing_works(tool)
            owner = store.builder(tool, self._pins)
            if owner is not tool and self._use_cache(owner, task):
                self._link(tool, store.folder(owner, self._pins, self._modules), f"part of {owner.name}")
                return
            target = store.folder(owner, self._pins, self._modules)
            with store.filling(target) as into:
                gobuild.build(owner, into, task, self._modules)
                if not locate.answers(into / owner.binaries[0], owner):
                    message = f"the {owner.binaries[0]} built here does not answer with version {owner.version}"
                    raise SurroundingsError("ML-TOOL-001", message, "compare pins.toml with tools/<module>/go.mod")
            self._link(tool, target, "built")
            task.done(f"{tool.version}: built")

    def _locked(self, tool: Tool, task: Task) -> AbstractContextManager[int]:
        lock = paths.cache() / "locks" / f"{store.builder(tool, self._pins).name}.lock"
        return locks.held(lock, lambda pid: task.now(f"waiting for process {pid}, which is at it"))

    def _use_cache(self, tool: Tool, task: Task) -> bool:
        target = store.folder(tool, self._pins, self._modules)
        if not store.is_complete(target, tool):
            return False
        self._link(tool, target, "cache")
        task.done(f"{tool.version}: in the cache")
        return True

    def _source(self, name: str) -> Callable[[Tool], str]:
        return {
            "path": self._from_path,
            "beside": self._from_beside,
            "plugin": self._from_plugins,
            "download": self._from_release,
            "debian": self._from_debian,
            "python": self._from_python,
        }[name]

    def _from_path(self, tool: Tool) -> str:
        directory = locate.on_path(tool)
        if directory is None:
            raise download.UnavailableError(f"none with version {tool.version} on PATH")
        self._link(tool, directory, f"on PATH in {directory}")
        return f"found in {directory}"

    def _from_beside(self, tool: Tool) -> str:
        directory = locate.beside(tool, links.directory(tool.beside))
        if directory is None:
            raise download.UnavailableError(f"none beside {tool.beside}")
        self._link(tool, directory, f"beside {tool.beside}")
        return f"found beside {tool.beside}"

    def _from_plugins(self, tool: Tool) -> str:
        directory = locate.plugin(tool)
        if directory is None:
            raise download.UnavailableError(f"no official plugin of version {tool.version} in PULUMI_HOME")
        self._link(tool, directory, f"plugin in {directory}")
        return f"found in {directory}"

    def _from_release(self, tool: Tool) -> str:
        return self._fill(tool, lambda into: download.install(tool, into, self._downloader), "downloaded")

    def _from_debian(self, tool: Tool) -> str:
        return self._fill(tool, lambda into: debian.install(tool, into), f"from Debian's {tool.debian_package}")

    def _from_python(self, tool: Tool) -> str:
        with self._link_lock:
            links.put_launcher(tool.name, self._key(tool), tool.launcher)
        return "own plugin"

    def _fill(self, tool: Tool, fill: Callable[[Path], None], how: str) -> str:
        target = store.folder(tool, self._pins, self._modules)
        with store.filling(target) as into:
            fill(into)
            self._check_version(tool, into)
        self._link(tool, target, how)
        return how

    def _check_version(self, tool: Tool, directory: Path) -> None:
        if not locate.answers(directory / tool.binaries[0], tool):
            raise download.UnavailableError(f"{tool.binaries[0]} does not answer with version {tool.version}")

    def _link(self, tool: Tool, directory: Path, how: str) -> None:
        binaries = tool.binaries if (directory / tool.binaries[0]).exists() else ()
        extra = [name for name in tool.optional_binaries if (directory / name).exists()]
        targets = {name: directory / name for name in (*binaries, *extra)}
        targets |= {link: directory / binary for link, binary in tool.links.items()}
        if not targets:
            targets = {tool.name: directory / store.builder(tool, self._pins).binaries[0]}
        with self._link_lock:
            links.put(tool.name, self._key(tool), targets, how, hard=tool.hard_link)

    def _nothing_works(self, tool: Tool) -> SurroundingsError:
        reasons = "".join(f"\n    {reason}" for reason in self._refusals.get(tool.name, []))
        message = f"cannot get {tool.name} {tool.version}; every source was tried:{reasons}"
        fix = "install Go 1.26 or later (`go version` must answer), or make the official downloads reachable"
        return SurroundingsError("ML-TOOL-002", message, fix if "go" in tool.sources else "make one source reachable")
