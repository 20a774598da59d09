"""Brings components up in the order of their needs, side by side where they allow it; one deadline for each."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from ml.errors import SurroundingsError
from toolchain.cluster import host, processes
from toolchain.cluster.component import Component
from toolchain.cluster.components import GRACE_S
from toolchain.cluster.layout import Layout

POLL_S: Final = 0.1
LOG_LINES: Final = 12
# A component that was found running gets this long to answer before it is taken for hung.
HUNG_S: Final = 20.0

Hook = Callable[[], None]
Say = Callable[[str], None]


def stale(layout: Layout, components: Mapping[str, Component]) -> list[Component]:
    """Components that are dead, or run as something else than `up` would start."""
    return [component for component in components.values() if not _current(layout, component)]


def _current(layout: Layout, component: Component) -> bool:
    record = processes.read_record(record_path(layout, component.name))
    return record is not None and processes.alive(record) and record.fingerprint == component.fingerprint()


def record_path(layout: Layout, name: str) -> Path:
    """Where a component's process is recorded."""
    return layout.run / f"{name}.json"


def log_path(layout: Layout, name: str) -> Path:
    """A component's log."""
    return layout.logs / f"{name}.log"


class Starter:
    """One pass over the components; `hooks` run once, as soon as the component of that name is ready."""

    def __init__(
        self, layout: Layout, components: Mapping[str, Component], hooks: Mapping[str, Hook], say: Say
    ) -> None:
        self._layout = layout
        self._components = components
        self._hooks = hooks
        self._say = say
        self._started: dict[str, processes.Record] = {}
        self._deadlines: dict[str, float] = {}
        self._ready: set[str] = set()

    def run(self) -> None:
        """Start what is stale and wait until everything is ready.

        Raises:
            SurroundingsError: a component died or did not become ready in time; its last log lines are shown.
        """
        dead = {component.name for component in stale(self._layout, self._components)}
        while len(self._ready) < len(self._components):
            for component in self._components.values():
                if component.name not in self._ready and self._ready.issuperset(component.after):
                    self._advance(component, dead)
            time.sleep(POLL_S)

    def _advance(self, component: Component, dead: set[str]) -> None:
        now = time.monotonic()
        if component.name not in self._deadlines:
            if component.name in dead:
                self._start(component)
            patience_s = component.deadline_s if component.name in dead else HUNG_S
            self._deadlines[component.name] = now + patience_s
        if self._died(component):
            raise self._failure(component, "ended right after its start")
        if component.probe():
            self._ready.add(component.name)
            self._say(self._progress())
            self._hooks.get(component.name, lambda: None)()
        elif now > self._deadlines[component.name]:
            if component.name in dead:
                raise self._failure(component, f"was not ready within {component.deadline_s:.0f} s")
            dead.add(component.name)
            del self._deadlines[component.name]

    def _start(self, component: Component) -> None:
        path = record_path(self._layout, component.name)
        old = processes.read_record(path)
        if old is not None:
            processes.stop(old, grace_s=GRACE_S)
        for leftover in component.left_behind:
            leftover.unlink(missing_ok=True)
        self._started[component.name] = processes.start(
            processes.Command(
                argv=component.argv,
                environment=_environment(),
                cwd=self._layout.root,
                fingerprint=component.fingerprint(),
            ),
            log=log_path(self._layout, component.name),
            record=path,
        )

    def _died(self, component: Component) -> bool:
        record = self._started.get(component.name)
        return record is not None and not processes.alive(record)

    def _progress(self) -> str:
        waiting = [name for name in self._components if name not in self._ready]
        return f"waiting for {', '.join(waiting)}" if waiting else "every component is ready"

    def _failure(self, component: Component, what: str) -> SurroundingsError:
        log = log_path(self._layout, component.name)
        return died(component.name, what, processes.tail(log, LOG_LINES))


def died(name: str, what: str, lines: Sequence[str]) -> SurroundingsError:
    """The error for a component that does not serve, with the end of its log."""
    shown = "".join(f"\n    {line[:300]}" for line in lines) or " its log is empty"
    return SurroundingsError(
        "ML-CLUSTER-011",
        f"{name} {what}; the end of its log:{shown}",
        fix=f"mlp cluster logs {name}; then mlp cluster up, which starts only what is missing",
    )


def _environment() -> dict[str, str]:
    """Little of the caller's: proxies for pulls, the system's programs on PATH, nothing of Python's or Docker's."""
    kept = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    return kept | {"PATH": host.SYSTEM_PATH, "HOME": "/root", "LANG": "C.UTF-8"}
