import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ml.errors import SurroundingsError
from toolchain.cluster import machine, processes, starting
from toolchain.cluster.component import Component
from toolchain.cluster.layout import Layout

pytestmark = pytest.mark.integration

READY = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
SILENT = "import time; time.sleep(60)"
DYING = "print('the reason', flush=True); raise SystemExit(3)"


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    layout = Layout(root=tmp_path)
    layout.run.mkdir()
    yield layout
    for path in layout.run.glob("*.json"):
        record = processes.read_record(path)
        if record is not None:
            processes.stop(record, grace_s=1)


def component(layout: Layout, name: str, code: str = READY, **changes: object) -> Component:
    mark = layout.root / f"{name}.ready"
    fields = {"serves": "", "argv": (sys.executable, "-c", code, str(mark)), "probe": mark.exists} | changes
    return Component(name=name, **fields)  # type: ignore[arg-type]


def start(layout: Layout, *parts: Component, hooks: dict[str, Callable[[], None]] | None = None) -> dict[str, int]:
    starting.Starter(layout, {part.name: part for part in parts}, hooks or {}, lambda _text: None).run()
    return pids(layout)


def pids(layout: Layout) -> dict[str, int]:
    records = {path.stem: processes.read_record(path) for path in layout.run.glob("*.json")}
    return {name: record.pid for name, record in records.items() if record and processes.alive(record)}


def test_a_component_starts_only_when_what_it_needs_is_ready(layout: Layout) -> None:
    seen: list[bool] = []
    first = component(layout, "first")
    second = component(layout, "second", after=("first",))

    start(layout, second, first, hooks={"first": lambda: seen.append("second" in pids(layout))})

    assert seen == [False]
    assert set(pids(layout)) == {"first", "second"}


def test_what_runs_is_left_running_and_what_is_dead_is_started(layout: Layout) -> None:
    parts = (component(layout, "a"), component(layout, "b"))
    before = start(layout, *parts)
    record = processes.read_record(starting.record_path(layout, "b"))
    assert record is not None
    processes.stop(record, grace_s=1)

    after = start(layout, *parts)

    assert (after["a"] == before["a"], after["b"] == before["b"]) == (True, False)


def test_a_changed_file_or_argument_restarts_the_component(layout: Layout) -> None:
    config = layout.root / "a.yaml"
    config.write_text("one")
    part = component(layout, "a", files=(config,))
    before = start(layout, part)

    config.write_text("two")
    after = start(layout, part)

    assert after != before


def test_a_running_component_that_does_not_answer_is_restarted(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "HUNG_S", 0.3)
    part = component(layout, "a")
    before = start(layout, part)
    (layout.root / "a.ready").unlink()

    assert start(layout, part) != before


def test_a_component_that_dies_shows_the_end_of_its_log_at_once(layout: Layout) -> None:
    began = time.monotonic()

    with pytest.raises(SurroundingsError, match=r"ML-CLUSTER-011: a ended right after its start(.|\n)*the reason"):
        start(layout, component(layout, "a", DYING))

    assert time.monotonic() - began < 10


def test_a_component_that_is_never_ready_is_given_up_after_its_deadline(layout: Layout) -> None:
    with pytest.raises(SurroundingsError, match="a was not ready within 0 s"):
        start(layout, component(layout, "a", SILENT, deadline_s=0.3))


def test_what_a_killed_process_left_is_removed_first(layout: Layout) -> None:
    leftover = layout.run / "a.pid"
    leftover.touch()

    start(layout, component(layout, "a", left_behind=(leftover,)))

    assert not leftover.exists()


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "machine.json"
    monkeypatch.setattr(machine, "MACHINE_MARKER", path)
    return path


def test_the_machine_knows_whose_cluster_runs_only_while_it_runs(tmp_path: Path, marker: Path) -> None:
    layout = Layout(root=tmp_path / "one" / "cluster")
    layout.run.mkdir(parents=True)
    machine.claim(tmp_path / "one")
    assert machine.running_home() is None

    start(layout, component(layout, "a"))
    assert machine.running_home() == tmp_path / "one"
    with pytest.raises(SurroundingsError, match=f"MLP_HOME={tmp_path / 'one'} mlp cluster down") as caught:
        machine.claim(tmp_path / "two")

    assert caught.value.code == "ML-CLUSTER-007"
    record = processes.read_record(starting.record_path(layout, "a"))
    assert record is not None
    processes.stop(record, grace_s=1)
    machine.claim(tmp_path / "two")


def test_a_home_gives_back_only_its_own_claim(tmp_path: Path, marker: Path) -> None:
    machine.claim(tmp_path / "one")

    machine.release(tmp_path / "two")
    assert marker.exists()
    machine.release(tmp_path / "one")

    assert not marker.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"home": 1}', "{}"])
def test_a_broken_marker_is_nobodys(marker: Path, content: str) -> None:
    marker.write_text(content)

    assert machine.running_home() is None


def test_a_directory_with_strangers_content_is_not_adopted(tmp_path: Path) -> None:
    layout = Layout(root=tmp_path / "cluster")
    layout.root.mkdir()
    (layout.root / "thesis.txt").touch()

    with pytest.raises(SurroundingsError, match="ML-CLUSTER-008"):
        machine.adopt(layout, forwarding=True)
    assert not layout.marker.exists()


@pytest.mark.parametrize("forwarding", [True, False])
def test_the_machines_forwarding_is_remembered_from_the_first_up(tmp_path: Path, *, forwarding: bool) -> None:
    layout = Layout(root=tmp_path / "cluster")

    machine.adopt(layout, forwarding=forwarding)
    machine.adopt(layout, forwarding=not forwarding)

    assert machine.forwarding_before(layout) is forwarding
