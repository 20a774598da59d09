"""What is mirrored and how, and that it is bounded; the real processes are in `test_shadow_process.py`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path

import pytest

from ml.serving import shadow as mirror
from ml.serving.app import App
from ml.serving.bundle import load
from ml.serving.shadow import Shadow, ShadowSettings, open_shadow
from ml.serving.shadow_line import MAX_REPLY_BYTES, Address
from tests.ml.serving.client import KEY, predict, scrape
from tests.ml.serving.other_slot import OtherSlot, http, predicts
from tests.ml.serving.releases import make_release

ROW = {"features": [5.1, 3.5, 1.4, 0.2]}
SAME = 'ml_shadow_requests_total{version="iris-0001",outcome="same",against="iris-0002"}'
FAILED = 'ml_shadow_requests_total{version="iris-0001",outcome="failed",against=""}'
DROPPED = 'ml_shadow_requests_total{version="iris-0001",outcome="dropped",against=""}'


def mirrored_app(folder: Path, port: int, *, share: float = 1.0, draws: Iterator[float] | None = None) -> App:
    bundle = load(folder, make_release(folder))
    numbers = draws or iter(lambda: 0.5, None)
    settings = ShadowSettings(address=Address(host="127.0.0.1", port=port), share=share)
    shadow = Shadow(settings, bundle.model.spec, bundle.release, lambda: next(numbers))
    return App(bundle, keys=None, shadow=shadow)


@asynccontextmanager
async def sending(app: App) -> AsyncIterator[Shadow]:
    assert app.shadow is not None
    app.shadow.start()
    try:
        yield app.shadow
    finally:
        app.shadow.stop()
        await asyncio.sleep(0)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - another thread answers
            await asyncio.sleep(0.005)


async def test_an_answer_is_compared_with_the_other_slot_s_by_release(tmp_path: Path) -> None:
    with OtherSlot(predicts("setosa")) as other:
        app = mirrored_app(tmp_path, other.port)
        async with sending(app) as shadow:
            reply = await predict(app, ROW)
            await until(lambda: "iris-0002" in shadow.comparison.counts)

    series = await scrape(app)
    assert reply.json["prediction"] == "setosa"
    assert series[SAME] == 1
    assert series['ml_shadow_rows_total{version="iris-0001",outcome="same",against="iris-0002"}'] == 1
    assert series['ml_shadow_difference_count{version="iris-0001",against="iris-0002"}'] == 1
    assert (series[FAILED], series[DROPPED]) == (0, 0)


async def test_the_client_s_own_credential_and_body_are_sent_with_the_mark(tmp_path: Path) -> None:
    with OtherSlot(predicts("setosa")) as other:
        app = mirrored_app(tmp_path, other.port)
        async with sending(app):
            await predict(app, b'{"features": [5.1, 3.5, 1.4, 0.2] }', headers=[("X-Request-Id", "req-1")])
            await until(lambda: bool(other.received))

    head, _, body = other.received[0].partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"POST /predict HTTP/1.1"
    assert {b"x-ml-shadow: iris-0001", b"x-request-id: req-1", b"x-api-key: " + KEY.encode()} <= set(
        head.split(b"\r\n")
    )
    assert body == b'{"features": [5.1, 3.5, 1.4, 0.2] }'


async def test_only_the_share_is_mirrored(tmp_path: Path) -> None:
    app = mirrored_app(tmp_path, 1, share=0.25, draws=cycle([0.0, 0.249, 0.25, 0.99]))

    for _ in range(8):
        await predict(app, ROW)

    assert app.shadow is not None
    assert app.shadow._queue.qsize() == 4


async def test_a_mirrored_request_is_answered_and_not_mirrored_again(tmp_path: Path) -> None:
    app = mirrored_app(tmp_path, 1)

    reply = await predict(app, ROW, headers=[("x-ml-shadow", "iris-0000")])

    assert reply.status == 200
    assert app.shadow is not None
    assert app.shadow._queue.qsize() == 0
    await predict(app, ROW)
    assert app.shadow._queue.qsize() == 1


async def test_mirrored_rows_are_predictions_but_no_live_inputs(tmp_path: Path) -> None:
    app = mirrored_app(tmp_path, 1)

    def binned(series: dict[str, float]) -> float:
        return sum(value for name, value in series.items() if name.startswith("ml_feature_bin_total"))

    await predict(app, ROW, headers=[("x-ml-shadow", "iris-0000")])
    mirrored = await scrape(app)
    await predict(app, ROW)
    asked = await scrape(app)

    predicted = 'ml_predictions_total{model="iris",version="iris-0001",outcome="ok"}'
    assert (mirrored[predicted], binned(mirrored)) == (1, 0)
    assert (asked[predicted], binned(asked)) == (2, len(ROW["features"]))


async def test_a_release_does_not_answer_its_own_mirror_and_counts_no_prediction(tmp_path: Path) -> None:
    app = mirrored_app(tmp_path, 1)

    reply = await predict(app, ROW, headers=[("x-ml-shadow", "iris-0001")])

    series = await scrape(app)
    assert (reply.status, reply.error) == (409, "own_shadow")
    assert series['ml_predictions_total{model="iris",version="iris-0001",outcome="ok"}'] == 0
    assert series['ml_prediction_duration_seconds_count{version="iris-0001"}'] == 0
    assert series['ml_requests_total{route="/predict",code="2xx",version="iris-0001"}'] == 0


async def test_refused_requests_are_not_mirrored(tmp_path: Path) -> None:
    app = mirrored_app(tmp_path, 1)

    assert (await predict(app, {"features": [1.0]})).status == 422
    assert app.shadow is not None
    assert app.shadow._queue.qsize() == 0


async def test_what_does_not_fit_is_dropped_and_counted_and_answered_all_the_same(tmp_path: Path) -> None:
    app = mirrored_app(tmp_path, 1)  # nothing sends: the queue fills

    replies = [await predict(app, ROW) for _ in range(mirror.QUEUE + 5)]
    rows = await predict(app, {"instances": [ROW["features"]] * (mirror.MAX_ROWS + 1)})
    large = await predict(app, b'{"features": [5.1, 3.5, 1.4, 0.2]%b}' % (b" " * mirror.MAX_BYTES))

    assert {reply.status for reply in (*replies, rows, large)} == {200}
    assert app.shadow is not None
    assert app.shadow._queue.qsize() == mirror.QUEUE
    assert (await scrape(app))[DROPPED] == 7


BAD = {
    "500": http(b"{}", "500 Internal Server Error"),
    "401": http(b"{}", "401 Unauthorized"),
    "garbage": b"\x00\x01 no HTTP at all\r\n\r\n",
    "another answer": http(b'{"a": 1}'),
    "an answer without end": http(b" " * (MAX_REPLY_BYTES + 1)),
}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
async def test_an_answer_that_is_none_is_counted_and_logged_once(
    tmp_path: Path, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with OtherSlot(answer) as other:
        app = mirrored_app(tmp_path, other.port)
        async with sending(app) as shadow:
            replies = [await predict(app, ROW) for _ in range(3)]
            await until(lambda: shadow.comparison.failed == 3)

    assert {reply.status for reply in replies} == {200}
    assert shadow.comparison.counts == {}
    assert [record.getMessage() for record in caplog.records] == ["shadow_failed"]
    assert KEY not in caplog.text


async def test_nobody_there_is_a_failure(tmp_path: Path) -> None:
    with OtherSlot(None) as other:
        port = other.port
    app = mirrored_app(tmp_path, port)
    async with sending(app) as shadow:
        await predict(app, ROW)
        await until(lambda: shadow.comparison.failed == 1)


async def test_silence_ends_after_the_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "TIMEOUT_S", 0.05)
    with OtherSlot(None) as other:
        app = mirrored_app(tmp_path, other.port)
        async with sending(app) as shadow:
            await predict(app, ROW)
            await until(lambda: shadow.comparison.failed == 1)


async def test_a_fault_of_the_mirror_itself_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with OtherSlot(predicts("setosa")) as other:
        app = mirrored_app(tmp_path, other.port)
        async with sending(app) as shadow:
            with monkeypatch.context() as broken:
                broken.setattr(shadow.comparison, "compare", lambda *_: 1 / 0)
                for _ in range(mirror.WORKERS):
                    await predict(app, ROW)
                await until(lambda: shadow.comparison.failed == mirror.WORKERS)
            await predict(app, ROW)
            await until(lambda: bool(shadow.comparison.counts))

    assert "shadow_fault" in caplog.text


async def test_the_series_do_not_grow_with_traffic(tmp_path: Path) -> None:
    with OtherSlot(predicts("setosa")) as other:
        app = mirrored_app(tmp_path, other.port)
        async with sending(app) as shadow:
            await predict(app, ROW)
            await until(lambda: bool(shadow.comparison.counts))
            await scrape(app)  # counts itself from then on
            before = len(await scrape(app))
            for _ in range(20):
                await predict(app, ROW)
            await until(lambda: shadow.comparison.counts["iris-0002"].same == 21)

    assert len(await scrape(app)) == before


async def test_off_there_is_no_series_and_the_mark_means_nothing(iris: App) -> None:
    assert open_shadow(None, iris._bundle.model.spec, "iris-0001") is None
    assert (await predict(iris, ROW, headers=[("x-ml-shadow", "iris-0001")])).status == 200
    assert not [name for name in await scrape(iris) if "shadow_" in name and "own_shadow" not in name]
