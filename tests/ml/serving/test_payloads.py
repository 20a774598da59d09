"""The payload log: what is in it, what must never be, and what becomes of what it cannot take."""

import json
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.errors import ConfigError
from ml.serving import payloads
from ml.serving.app import App
from ml.serving.batching import Answer
from ml.serving.bundle import load
from ml.serving.payloads import PayloadLog, PayloadSettings, open_log
from tests.ml.serving.client import predict, scrape
from tests.ml.serving.releases import DELAY, make_release

ROW = [100.0, "AA", 5.0]


def log(path: Path, *, share: float = 1.0, draws: Iterator[float] | None = None, redacted: str = "gust") -> PayloadLog:
    settings = PayloadSettings(path=path, share=share, redacted=frozenset({redacted}))
    numbers = draws or iter(lambda: 0.5, None)
    return PayloadLog(settings, DELAY, "delay-0001", lambda: next(numbers))


def app_with(tmp_path: Path, payload_log: PayloadLog) -> App:
    return App(load(tmp_path, make_release(tmp_path, "binary")), keys=None, payloads=payload_log)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


async def test_a_line_holds_the_request_and_its_answer_without_what_must_not_be_kept(tmp_path: Path) -> None:
    app = app_with(tmp_path, log(tmp_path / "log"))
    headers = [("X-Request-Id", "req-1")]

    reply = await predict(app, {"instances": [ROW, [5.0, "Jane Doe, 4 Elm St", None]]}, headers=headers, key="secret-1")

    (line,) = lines(tmp_path / "log")
    assert (line["request_id"], line["model_version"]) == ("req-1", "delay-0001")
    assert line["rows"] == [
        {"distance": 100.0, "carrier": "AA", "gust": "***"},
        {"distance": 5.0, "carrier": "***", "gust": "***"},
    ]
    assert (line["predictions"], line["scores"]) == (reply.json["predictions"], reply.json["probabilities"])
    text = (tmp_path / "log").read_text(encoding="utf-8")
    assert "Jane" not in text
    assert "secret-1" not in text
    assert (tmp_path / "log").stat().st_mode & 0o077 == 0


async def test_only_the_share_of_requests_is_logged(tmp_path: Path) -> None:
    app = app_with(tmp_path, log(tmp_path / "log", share=0.25, draws=cycle([0.0, 0.249, 0.25, 0.99])))

    for _ in range(8):
        await predict(app, {"features": ROW})

    assert len(lines(tmp_path / "log")) == 4
    assert (await scrape(app))['ml_payload_log_total{outcome="written"}'] == 4


def test_the_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads, "MAX_BYTES", 2000)
    payload_log = log(tmp_path / "log")

    for index in range(50):
        payload_log.offer(f"r{index}", [tuple(ROW)], Answer([True], [0.5], np.array([[0.5, 0.5]])))

    sizes = {path.name: path.stat().st_size for path in tmp_path.glob("log*")}
    assert set(sizes) == {"log", "log.1"}
    assert all(0 < size <= 2000 for size in sizes.values())
    assert len(lines(tmp_path / "log") + lines(tmp_path / "log.1")) < 50


async def test_what_cannot_be_logged_is_counted_named_once_and_answered_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_with(tmp_path, log(tmp_path / "nowhere" / "log"))

    replies = [await predict(app, {"features": ROW}, headers=[("X-Request-Id", f"r{i}")]) for i in range(3)]
    too_large = await predict(app, {"instances": [ROW] * 1024})

    assert {reply.status for reply in (*replies, too_large)} == {200}
    series = await scrape(app)
    assert series['ml_payload_log_total{outcome="failed"}'] == 3
    assert series['ml_payload_log_total{outcome="too_large"}'] == 1
    dead = [record.fields for record in caplog.records if record.getMessage() == "payload_not_logged"]  # type: ignore[attr-defined]
    assert (dead[0]["outcome"], dead[0]["request_id"]) == ("failed", "r0")
    assert len(dead) == 2
    assert "AA" not in str(dead)


def test_a_misspelt_feature_to_redact_is_refused() -> None:
    with pytest.raises(ConfigError, match="ML-SERVE-011") as caught:
        open_log(PayloadSettings(path=Path("x"), share=1, redacted=frozenset({"gusts"})), DELAY, "delay-0001")
    assert "'gusts'" in caught.value.message


def test_it_is_off_unless_asked_for() -> None:
    assert open_log(None, DELAY, "delay-0001") is None
