"""More than the server can do: predictions are shed, late ones refused, probes answered, no work kept for long."""

import asyncio
import gc
from time import perf_counter
from typing import Any

import pytest

from ml.serving import batching
from ml.serving.app import MAX_WAITING_ROWS, App, Load
from ml.serving.bundle import load
from ml.serving.model import Model
from ml.serving.pool import Limits, Pool
from tests.ml.serving.client import KEY, call, predict, scrape
from tests.ml.serving.conftest import MakeApp
from tests.ml.serving.releases import make_release
from tests.ml.serving.wire import Wire, post

GOOD = {"features": [5.1, 3.5, 1.4, 0.2]}
INFER = {"inputs": [{"name": "features", "shape": [1, 4], "datatype": "FP32", "data": GOOD["features"]}]}


async def test_predictions_over_the_cap_are_shed_and_probes_are_not(make_app: MakeApp) -> None:
    app = make_app("multiclass", max_waiting=4)

    replies = await asyncio.gather(
        *(predict(app, GOOD) for _ in range(10)), call(app, "GET", "/health"), call(app, "GET", "/metrics")
    )

    *predictions, health, metrics = replies
    assert sorted(reply.status for reply in predictions) == [200] * 4 + [503] * 6
    shed = next(reply for reply in predictions if reply.status == 503)
    assert (shed.error, shed.headers[b"retry-after"]) == ("overloaded", b"1")
    assert (health.status, metrics.status) == (200, 200)
    assert (await predict(app, GOOD)).status == 200


async def test_a_route_that_is_full_leaves_the_other_one_its_places(make_app: MakeApp) -> None:
    app = make_app("multiclass", max_waiting=4)

    *_, infer = await asyncio.gather(
        *(predict(app, GOOD) for _ in range(10)), call(app, "POST", "/v2/models/iris/infer", INFER)
    )

    assert infer.status == 200


async def test_rows_that_wait_are_bounded_as_well_as_requests(make_app: MakeApp) -> None:
    app = make_app("multiclass", max_waiting=64)
    body = {"instances": [GOOD["features"]] * 1024}

    replies = await asyncio.gather(*(predict(app, body) for _ in range(40)))

    assert [reply.status for reply in replies].count(200) == MAX_WAITING_ROWS // 1024
    assert {reply.status for reply in replies} == {200, 503}
    assert app._batcher.rows == 0


async def test_a_request_that_waited_too_long_is_refused_without_being_predicted(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app("multiclass")
    app._load = Load(deadline_s=100)
    honest, predicted = Model.predict, []
    passed = 0.0

    def slow(self: Model, raw: Any) -> Any:
        nonlocal passed
        passed += 200
        predicted.append(len(raw))
        return honest(self, raw)

    monkeypatch.setattr(Model, "predict", slow)
    monkeypatch.setattr(batching, "perf_counter", lambda: perf_counter() + passed)
    full_run = {"instances": [GOOD["features"]] * 1024}

    replies = await asyncio.gather(*(predict(app, full_run) for _ in range(3)))

    assert [reply.status for reply in replies] == [200, 200, 503]
    assert (replies[2].error, replies[2].headers[b"retry-after"]) == ("deadline", b"1")
    assert predicted == [2048]
    assert (await scrape(app))["ml_in_flight"] == 0


async def test_the_rows_of_a_client_that_left_are_not_predicted(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app("multiclass")
    honest, predicted = Model.predict, []

    def count(self: Model, raw: Any) -> Any:
        predicted.append(len(raw))
        return honest(self, raw)

    monkeypatch.setattr(Model, "predict", count)
    pool = Pool(app, Limits())
    stays, leaves = (Wire(app, pool=pool) for _ in range(2))
    for wire in (stays, leaves):
        wire.send(post(b'{"features":[5.1,3.5,1.4,0.2]}', f"X-API-Key: {KEY}"))

    leaves.connection.connection_lost(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert predicted == [1]
    assert [reply.status for reply in stays.replies()] == [200]
    assert leaves.transport.sent == b""
    series = await scrape(app)
    assert series['ml_prediction_errors_total{reason="disconnected",version="iris-0001"}'] == 1
    assert series["ml_in_flight"] == 0


async def test_an_answer_that_cannot_be_written_is_an_error_and_nobody_waits_for_ever(
    iris: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iris.routes["/predict"], "codec", Broken(iris.routes["/predict"].codec))
    seen: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: seen.append(context["exception"]))

    reply = await asyncio.wait_for(predict(iris, GOOD), 1)

    assert (reply.status, reply.error) == (500, "model_error")
    assert isinstance(seen[0], TypeError)
    assert (await scrape(iris))["ml_in_flight"] == 0


class Broken:
    def __init__(self, honest: Any) -> None:
        self.decode = honest.decode

    def encode(self, _request: object, _answer: object) -> bytes:
        raise TypeError("not JSON")


async def test_a_fault_of_a_page_is_a_500_with_its_request_in_the_log(
    iris: App, caplog: pytest.LogCaptureFixture
) -> None:
    iris.pages["/ready"] = lambda: 1 / 0  # type: ignore[assignment,return-value]

    reply = await call(iris, "GET", "/ready", headers=[("X-Request-Id", "req-7")])

    assert (reply.status, reply.error) == (500, "internal_error")
    (record,) = [record for record in caplog.records if record.getMessage() == "request_failed"]
    assert record.fields == {"request_id": "req-7"}  # type: ignore[attr-defined]


async def test_connections_leave_no_garbage_to_the_collector(tmp_path: Any) -> None:
    app = App(load(tmp_path, make_release(tmp_path)), keys=None)
    pool = Pool(app, Limits())
    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            wire = Wire(app, pool=pool)
            wire.send(post(b'{"features":[5.1,3.5,1.4,0.2]}'))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert wire.replies()[0].status == 200
            wire.connection.connection_lost(None)
            del wire
        assert gc.collect() < 50
    finally:
        gc.enable()
