import ast
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from ml.drift.__main__ import labels, main
from ml.drift.check import check, exit_code
from ml.drift.live import Limits, judge
from ml.drift.prometheus import Source, bin_counts
from ml.errors import DataError, PipelineError, TransientError, UsageError
from ml.release.example import example_bytes

REFERENCE = {"edges": [1.0, 2.0, 3.0], "counts": [250, 250, 250, 250], "rows": 1000, "missing": 0}
SERVING: dict[str, Any] = {
    "problem": "example",
    "features": [{"name": "a", "drift": "gate"}, {"name": "b", "drift": "watch"}],
    "reference": {"a": REFERENCE, "b": REFERENCE},
}
STILL = {"0": 100.4, "1": 99.6, "2": 100.0, "3": 100.0}
MOVED = {"0": 350.0, "1": 50.0}
FEW = {"0": 50.0}


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        (STILL, STILL, "ok"),
        (STILL, MOVED, "warn"),
        (MOVED, STILL, "alarm"),
        (MOVED, MOVED, "alarm"),
        (FEW, STILL, "inconclusive"),
        ({}, {}, "inconclusive"),
        (STILL, {}, "ok"),
        ({"missing": 400.0}, STILL, "inconclusive"),
    ],
)
def test_the_verdict_says_what_moved(a: Mapping[str, float], b: Mapping[str, float], verdict: str) -> None:
    result = judge(SERVING, {"a": a, "b": b}, Limits())

    assert result["verdict"] == verdict
    assert exit_code(result) == (3 if verdict == "alarm" else 0)


def test_the_result_tells_the_numbers() -> None:
    result = judge(SERVING, {"a": MOVED, "b": {**STILL, "missing": 100.0}}, Limits())

    assert result["rows"] == 500
    assert result["features"]["a"] == {
        "role": "gate",
        "rows": 400,
        "d": 0.625,
        "p": pytest.approx(0, abs=1e-6),
        "moved": True,
    }


def test_without_gated_features_the_watched_ones_decide_whether_there_is_enough() -> None:
    serving = {**SERVING, "features": [{"name": "a", "drift": "watch"}, {"name": "b", "drift": "watch"}]}

    assert judge(serving, {"a": STILL, "b": STILL}, Limits())["verdict"] == "ok"
    assert judge(serving, {"a": FEW, "b": STILL}, Limits())["verdict"] == "inconclusive"
    assert judge({"features": [], "reference": {}}, {}, Limits())["verdict"] == "inconclusive"


@pytest.mark.parametrize(
    "serving", [{}, {"features": [{}], "reference": {"a": {}}}, {**SERVING, "reference": {"z": REFERENCE}}]
)
def test_a_reference_that_cannot_be_read_is_named(serving: Mapping[str, Any]) -> None:
    with pytest.raises(DataError) as refused:
        judge(serving, {}, Limits())
    assert refused.value.code == "ML-DRIFT-001"


def answering(status: int, body: Any, asked: list[httpx.Request] | None = None) -> httpx.Client:
    def handle(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        return httpx.Response(status, json=body) if not isinstance(body, str) else httpx.Response(status, text=body)

    return httpx.Client(transport=httpx.MockTransport(handle))


def series(feature: str, number: str, value: str) -> dict[str, Any]:
    return {"metric": {"feature": feature, "bin": number}, "value": [1.0, value]}


def test_prometheus_is_asked_for_the_increase_of_the_counters() -> None:
    asked: list[httpx.Request] = []
    body = {"data": {"result": [series("a", "0", "12.5"), series("a", "missing", "1"), series("b", "1", "NaN")]}}
    source = Source(url="http://p:9090/", window="6h", match={"slot": 'bl"ue'})

    found = bin_counts(source, answering(200, body, asked))

    assert found == {"a": {"0": 12.5, "missing": 1.0}}
    assert asked[0].url.path == "/api/v1/query"
    query = r'sum by (feature,bin)(increase(ml_feature_bin_total{slot="bl\"ue"}[6h]))'
    assert asked[0].url.params["query"] == query


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
        bin_counts(Source(url="http://p"), answering(status, body))
    assert refused.value.code == code


@pytest.fixture
def release_dir(tmp_path: Path) -> Path:
    (tmp_path / "serving.json").write_text(json.dumps(SERVING))
    return tmp_path


def test_the_limits_are_those_of_the_record(release_dir: Path) -> None:
    body = {"data": {"result": [series("a", number, str(value)) for number, value in MOVED.items()]}}
    (release_dir / "record.json").write_bytes(
        example_bytes(lambda r: r["gate"]["policy"]["drift"].update(min_rows=401))
    )
    source = Source(url="http://p")

    assert check(source, release_dir, client=answering(200, body))["verdict"] == "inconclusive"
    assert check(source, release_dir, min_rows=400, client=answering(200, body))["verdict"] == "alarm"


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
