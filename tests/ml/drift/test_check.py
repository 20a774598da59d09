import ast
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.drift import prometheus as prometheus_module
from ml.drift.__main__ import labels, main
from ml.drift.check import POLICY, check, exit_code
from ml.drift.decide import Outcome, judge, verdict
from ml.drift.live import Live, section
from ml.drift.prometheus import Source
from ml.errors import DataError, PipelineError, TransientError, UsageError
from ml.release.example import example_bytes

REFERENCE = {"edges": [1.0, 2.0, 3.0], "counts": [250, 250, 250, 250], "rows": 1000, "missing": 0}
KINDS = {"categories": ["x", "y"], "counts": [600, 300, 100, 0], "rows": 1000}
SERVING: dict[str, Any] = {
    "problem": "example",
    "features": [{"name": "a", "drift": "gate"}, {"name": "b", "drift": "watch"}],
    "reference": {"a": REFERENCE, "b": REFERENCE},
}
STILL = {"0": 150.4, "1": 149.6, "2": 150.0, "3": 150.0}
MOVED = {"0": 500.0, "1": 100.0}
FEW = {"0": 50.0}


def judged(serving: Mapping[str, Any], predictions: Any = None, **features: Mapping[str, float]) -> list[Outcome]:
    return judge(section(serving, Live(features=features, predictions=predictions or {})), POLICY)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (STILL, STILL, "ok"),
        (STILL, MOVED, "warn"),
        (MOVED, STILL, "alarm"),
        (MOVED, MOVED, "alarm"),
        (FEW, STILL, "inconclusive"),
        ({}, {}, "inconclusive"),
        (STILL, {}, "ok"),
        ({"missing": 600.0}, STILL, "alarm"),
        ({**STILL, "missing": 100.0}, STILL, "alarm"),
        ({**STILL, "missing": 10.0}, STILL, "ok"),
    ],
)
def test_the_verdict_says_what_moved(a: Mapping[str, float], b: Mapping[str, float], expected: str) -> None:
    outcomes = judged(SERVING, a=a, b=b)

    assert verdict(outcomes) == expected
    assert exit_code({"verdict": expected}) == (3 if expected == "alarm" else 0)


def test_categories_and_answers_are_judged_too() -> None:
    serving = {**SERVING, "reference": {"a": KINDS}, "predictions": {"score": REFERENCE}}
    still = {"0": 360.0, "1": 180.0, "other": 60.0}

    assert verdict(judged(serving, {"score": STILL}, a=still)) == "ok"
    assert verdict(judged(serving, {"score": MOVED}, a=still)) == "warn"
    assert verdict(judged(serving, {"score": STILL}, a={**still, "unknown": 100.0})) == "alarm"


def test_an_ignored_feature_and_ignored_answers_are_not_judged() -> None:
    serving = {**SERVING, "features": [{"name": "a", "drift": "ignore"}, {"name": "b", "drift": "gate"}]}
    live = Live(features={"a": MOVED, "b": STILL}, predictions={"score": MOVED})

    found = section({**serving, "predictions": {"score": REFERENCE}}, live, "ignore")

    assert set(found["features"]) == {"b"}
    assert found["prediction"] == {}


@pytest.mark.parametrize(
    "serving", [{}, {"features": [{}], "reference": {"a": {}}}, {**SERVING, "reference": {"z": REFERENCE}}]
)
def test_a_reference_that_cannot_be_read_is_named(serving: Mapping[str, Any]) -> None:
    with pytest.raises(DataError) as refused:
        judged(serving)
    assert refused.value.code == "ML-DRIFT-001"


@given(st.lists(st.integers(0, 500), min_size=4, max_size=4), st.integers(0, 500))
def test_every_live_row_is_counted_once(bins: list[int], missing: int) -> None:
    live = {**{str(index): float(count) for index, count in enumerate(bins)}, "missing": float(missing)}

    found = section(SERVING, Live(features={"a": live}, predictions={}))["features"]["a"]

    assert found["n_current"] + found["missing_current"] == sum(bins) + missing


def answering(status: int, body: Any, asked: list[httpx.Request] | None = None) -> httpx.Client:
    def handle(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        return httpx.Response(status, json=body) if not isinstance(body, str) else httpx.Response(status, text=body)

    return httpx.Client(transport=httpx.MockTransport(handle))


def series(feature: str, number: str, value: str, label: str = "feature") -> dict[str, Any]:
    return {"metric": {label: feature, "bin": number}, "value": [1.0, value]}


def prometheus(*windows: Mapping[str, float], asked: list[str] | None = None) -> httpx.Client:
    """One that has these counts of feature a, the newest window first, and still ones of b."""

    def handle(request: httpx.Request) -> httpx.Response:
        query = request.url.params["query"]
        if asked is not None:
            asked.append(query)
        ago = int(found[1]) // 3600 if (found := re.search(r"offset (\d+)s", query)) else 0
        known = {"a": windows[ago] if ago < len(windows) else {}, "b": STILL} if "feature_bin" in query else {}
        result = [series(name, number, str(rows)) for name, bins in known.items() for number, rows in bins.items()]
        return httpx.Response(200, json={"data": {"result": result}})

    return httpx.Client(transport=httpx.MockTransport(handle))


def test_prometheus_is_asked_for_the_increase_of_the_counters() -> None:
    asked: list[httpx.Request] = []
    body = {"data": {"result": [series("a", "0", "12.5"), series("a", "missing", "1"), series("b", "1", "NaN")]}}
    source = Source(url="http://p:9090/", window="6h", match={"slot": 'bl"ue'})

    found = prometheus_module._binned(source, answering(200, body, asked), 2, "ml_feature_bin_total", "feature")

    assert found == {"a": {"0": 12.5, "missing": 1.0}}
    assert asked[0].url.path == "/api/v1/query"
    query = r'sum by (feature,bin)(increase(ml_feature_bin_total{slot="bl\"ue"}[6h] offset 43200s))'
    assert asked[0].url.params["query"] == query


@pytest.mark.parametrize(("window", "seconds"), [("30m", 1800), ("1h30m", 5400), ("7d", 604_800), ("500ms", 0.5)])
def test_a_window_is_a_duration(window: str, seconds: float) -> None:
    assert prometheus_module.seconds(window) == seconds


@pytest.mark.parametrize("window", ["", "5", "h", "1h 2m", "-1h"])
def test_a_window_that_is_none_is_named(window: str) -> None:
    with pytest.raises(UsageError) as refused:
        prometheus_module.seconds(window)
    assert refused.value.code == "ML-DRIFT-009"


@pytest.mark.parametrize(
    ("status", "body", "error", "code"),
    [
        (400, {"error": "bad duration"}, UsageError, "ML-DRIFT-003"),
        (200, "<html>", TransientError, "ML-DRIFT-002"),
        (200, {"data": {}}, TransientError, "ML-DRIFT-002"),
        (200, [], TransientError, "ML-DRIFT-002"),
        (503, {"status": "error"}, TransientError, "ML-DRIFT-002"),
    ],
)
def test_a_bad_answer_is_one_clear_error(status: int, body: Any, error: type[PipelineError], code: str) -> None:
    with pytest.raises(error) as refused:
        prometheus_module.counts(Source(url="http://p"), answering(status, body))
    assert refused.value.code == code


@pytest.fixture
def release_dir(tmp_path: Path) -> Path:
    (tmp_path / "serving.json").write_text(json.dumps(SERVING))
    return tmp_path


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([MOVED], "alarm"),  # the first window that has rows: nothing else can confirm it
        ([MOVED, FEW, {}], "alarm"),
        ([MOVED, STILL], "warn"),
        ([MOVED, MOVED], "alarm"),
        ([MOVED, STILL, STILL, STILL, MOVED], "alarm"),
        ([MOVED, STILL, STILL, STILL, STILL, MOVED], "warn"),  # the sixth is too old
        ([STILL, MOVED, MOVED, MOVED], "ok"),  # the newest one must have moved
        ([FEW, MOVED, MOVED], "inconclusive"),
    ],
)
def test_an_alarm_is_confirmed_by_earlier_windows(
    release_dir: Path, windows: list[Mapping[str, float]], expected: str
) -> None:
    result = check(Source(url="http://p"), release_dir, client=prometheus(*windows))

    assert result["verdict"] == expected
    assert result["retrain"] == (expected == "alarm")


def test_the_result_tells_the_numbers(release_dir: Path) -> None:
    moved = {**MOVED, "missing": 10.0}
    result = check(Source(url="http://p", window="1h"), release_dir, client=prometheus(moved, {}, STILL))

    assert (result["rows"], result["min_rows"], result["problem"]) == (610, 500, "example")
    assert result["windows"] == {"alarm": 2, "of": 5, "moved": [["a"], [], [], [], []]}
    assert list(result["features"]) == ["a", "a: missing", "b"]
    assert result["features"]["a"] == {
        "role": "gate", "rows": 600, "d": 0.5833, "p": pytest.approx(0, abs=1e-6), "psi": pytest.approx(3, abs=2),
        "moved": True, "confirmed": False,
    }  # fmt: skip


def test_the_limits_and_the_release_are_those_of_the_record(release_dir: Path) -> None:
    limits = {"min_rows": 601, "windows": {"alarm": 1, "of": 1}}
    (release_dir / "record.json").write_bytes(example_bytes(lambda r: r["gate"]["policy"]["drift"].update(limits)))
    source, asked = Source(url="http://p", match={"slot": "blue"}), []

    assert check(source, release_dir, client=prometheus(MOVED, asked=asked))["verdict"] == "inconclusive"
    assert check(source, release_dir, min_rows=600, client=prometheus(MOVED, STILL))["verdict"] == "alarm"
    assert len(asked) == 2
    assert all('{slot="blue",version="example-0000"}' in query for query in asked)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"gate": {}}'])
def test_a_folder_that_cannot_be_read_is_named(release_dir: Path, text: str) -> None:
    (release_dir / "record.json").write_text(text)

    with pytest.raises(DataError, match=r"record\.json"):
        check(Source(url="http://p"), release_dir, client=answering(200, {}))


def test_labels_must_be_pairs() -> None:
    assert labels(["slot=blue", "a=b=c"]) == {"slot": "blue", "a": "b=c"}
    for wrong in ("slot", "=x", "a-b=c"):
        with pytest.raises(UsageError):
            labels([wrong])


def test_the_command_in_the_image_reports_one_line(release_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--prometheus", "http://127.0.0.1:9", "--release-dir", str(release_dir)])

    assert code == TransientError.exit_code
    assert capsys.readouterr().err.startswith("ML-DRIFT-002: http://127.0.0.1:9/api/v1/query does not answer")


def test_the_check_loads_nothing_that_the_worker_image_lacks() -> None:
    script = "import sys, ml.drift.__main__; print(sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert not {"pandas", "mlflow", "sklearn", "typer", "kubernetes", "onnxruntime"} & set(ast.literal_eval(loaded))
