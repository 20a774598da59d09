"""What makes the server quick, as counts that no noisy machine can change; times belong to `make bench-serving`."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ml.serving.app import App
from ml.serving.bundle import load
from ml.serving.model import Model
from tests.ml.serving.client import predict, scrape
from tests.ml.serving.releases import make_release

ROW = {"features": [5.1, 3.5, 1.4, 0.2]}


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(load(tmp_path, make_release(tmp_path)), keys=None)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of each session run."""
    counted: list[int] = []
    honest = Model.predict

    def count(self: Model, raw: Any) -> Any:
        counted.append(len(raw))
        return honest(self, raw)

    monkeypatch.setattr(Model, "predict", count)
    return counted


async def test_requests_of_the_same_turn_share_one_run(app: App, runs: list[int]) -> None:
    runs.clear()

    replies = await asyncio.gather(*(predict(app, ROW) for _ in range(32)))

    assert {reply.status for reply in replies} == {200}
    assert runs == [32]


async def test_a_lone_request_waits_for_no_timer(app: App, runs: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    runs.clear()
    loop = asyncio.get_running_loop()
    timers: list[float] = []
    honest = loop.call_at

    def call_at(when: float, *arguments: Any, **options: Any) -> Any:
        timers.append(when - loop.time())
        return honest(when, *arguments, **options)

    monkeypatch.setattr(loop, "call_at", call_at)

    assert (await predict(app, ROW)).status == 200

    assert runs == [1]
    assert all(delay > 1 for delay in timers)  # deadlines, not waits


async def test_one_run_never_holds_the_loop_for_more_than_its_bound_of_rows(app: App, runs: list[int]) -> None:
    runs.clear()

    await asyncio.gather(*(predict(app, {"instances": [ROW["features"]] * 1000}) for _ in range(9)))

    assert sum(runs) == 9000
    assert max(runs) <= 2048


async def test_the_metrics_do_not_grow_with_traffic(app: App) -> None:
    await predict(app, ROW)
    await scrape(app)
    before = len(await scrape(app))

    await asyncio.gather(*(predict(app, ROW) for _ in range(100)))

    assert len(await scrape(app)) == before
