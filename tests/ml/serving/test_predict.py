import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.data.schema import encode_rows
from ml.evaluation.score import score
from ml.serving.app import App
from ml.serving.bundle import load
from tests.ml.serving.client import call, predict, scrape
from tests.ml.serving.conftest import MakeApp
from tests.ml.serving.releases import DELAY, DELAY_WEIGHTS, IRIS, KINDS, check_model, fill, make_release, softmax

SETOSA = [5.1, 3.5, 1.4, 0.2]
VIRGINICA = [6.3, 3.3, 6.0, 2.5]


def test_the_models_of_these_tests_are_valid_onnx() -> None:
    check_model()


async def test_one_row_as_a_list_and_as_an_object_get_the_same_answer(iris: App) -> None:
    names = [feature.name for feature in IRIS]

    as_list = await predict(iris, {"features": SETOSA})
    as_object = await predict(iris, {"features": dict(zip(names, SETOSA, strict=True))})

    assert as_list.status == 200
    assert as_list.json == as_object.json
    assert as_list.json["prediction"] == "setosa"
    assert as_list.json["model_version"] == "iris-0001"


async def test_rows_of_both_forms_may_be_mixed_and_keep_their_order(iris: App) -> None:
    names = [feature.name for feature in IRIS]

    reply = await predict(iris, {"instances": [VIRGINICA, dict(zip(names, SETOSA, strict=True)), VIRGINICA]})

    assert reply.json["predictions"] == ["virginica", "setosa", "virginica"]
    assert len(reply.json["probabilities"]) == 3
    assert reply.json["model_version"] == "iris-0001"


async def test_binary_decides_by_the_threshold_and_gives_the_probability_of_its_answer(delay: App) -> None:
    rows: list[Any] = [[100.0, "AA", 5.0], [900.0, "UA", 30.0], [2500.0, "DL", None], [10.0, None, None]]

    reply = (await predict(delay, {"instances": rows})).json

    expected = softmax(fill(encode_rows(DELAY, rows)) @ DELAY_WEIGHTS).astype(np.float64)
    late = [bool(value >= 0.6) for value in expected[:, 1]]
    assert reply["predictions"] == late
    assert len(set(late)) == 2
    chosen = [row[int(label)] for row, label in zip(expected, late, strict=True)]
    assert reply["probabilities"] == pytest.approx(chosen, abs=1e-6)


@pytest.mark.parametrize("kind", list(KINDS))
def test_it_decides_exactly_as_the_evaluation_did(tmp_path: Path, kind: str) -> None:
    """The metrics of a release are those of what it answers, rows on the threshold included."""
    release = make_release(tmp_path, kind)
    model = load(tmp_path, release).model
    drawn = np.random.default_rng(5).uniform(0, 5000 if kind == "binary" else 8, size=(400, len(model.spec.features)))
    raw = drawn.astype(np.float32)
    serving = json.loads((tmp_path / "serving.json").read_bytes())
    at_a_row = score(tmp_path / "model.onnx", serving, raw)[1]
    if kind == "binary":
        assert at_a_row is not None
        serving["threshold"] = model._threshold = float(at_a_row[7, 1]) + 1e-9

    labels, probabilities = score(tmp_path / "model.onnx", serving, raw)
    output = model.predict(raw)

    assert output.labels == labels.tolist()
    np.testing.assert_array_equal(output.probabilities, labels[:, None] if probabilities is None else probabilities)


async def test_regression_answers_a_number_without_a_probability(make_app: MakeApp) -> None:
    app = make_app("regression")

    one = await predict(app, {"features": [1, 2.5]})
    many = await predict(app, {"instances": [[1, 1], [0, -1]]})

    assert one.json == {"prediction": 10.5, "probability": None, "model_version": "sum-0001"}
    assert many.json == {"predictions": [6.0, -3.0], "probabilities": None, "model_version": "sum-0001"}


async def test_an_unknown_category_and_a_missing_optional_value_are_answered(delay: App) -> None:
    reply = await predict(delay, {"features": {"distance": 10, "carrier": "a new airline"}})

    assert reply.status == 200


async def test_requests_of_one_turn_each_get_their_own_rows(make_app: MakeApp) -> None:
    iris = make_app(max_waiting=128)
    rng = np.random.default_rng(7)
    requests = [
        rng.uniform(0, 8, size=(size, 4)).tolist() for size in itertools.islice(itertools.cycle((1, 3, 40)), 90)
    ]

    replies = await asyncio.gather(*(predict(iris, {"instances": rows}) for rows in requests))

    for rows, reply in zip(requests, replies, strict=True):
        alone = (await predict(iris, {"instances": rows})).json
        assert reply.json["predictions"] == alone["predictions"]
        assert reply.json["probabilities"] == pytest.approx(alone["probabilities"], abs=1e-6)


async def test_more_rows_than_one_run_may_hold_are_all_answered(iris: App) -> None:
    replies = await asyncio.gather(*(predict(iris, {"instances": [SETOSA] * 1024}) for _ in range(5)))

    assert [len(reply.json["predictions"]) for reply in replies] == [1024] * 5


async def test_a_number_that_overflows_the_model_is_refused_and_does_not_hurt_its_neighbours(make_app: MakeApp) -> None:
    app = make_app("regression")

    bad, good = await asyncio.gather(
        predict(app, {"instances": [[1, 1], [3e38, 3e38]]}), predict(app, {"features": [1, 1]})
    )

    assert (bad.status, bad.error) == (500, "non_finite_output")
    assert "row 1" in bad.json["error"]["message"]
    assert good.json["prediction"] == 6.0
    series = await scrape(app)
    assert series['ml_prediction_errors_total{reason="non_finite_output",version="sum-0001"}'] == 1
    assert series['ml_predictions_total{model="sum",version="sum-0001",outcome="ok"}'] == 1
    assert series['ml_predictions_total{model="sum",version="sum-0001",outcome="error"}'] == 2


async def test_a_model_that_raises_fails_only_the_request_that_made_it_raise(
    delay: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = delay._bundle.model
    honest = model._transform
    assert honest is not None

    def poisoned(x: np.ndarray) -> np.ndarray:
        if (x[:, 0] == 666).any():
            raise ValueError("poison")
        return honest(x)

    monkeypatch.setattr(model, "_transform", poisoned)

    bad, good = await asyncio.gather(
        predict(delay, {"features": [666, "AA", 1]}, headers=[("X-Request-Id", "req-1")]),
        predict(delay, {"features": [100, "AA", 5]}),
    )

    assert (bad.status, bad.error) == (500, "model_error")
    assert bad.headers[b"x-request-id"] == b"req-1"
    assert "poison" not in bad.body.decode()
    assert good.status == 200
    (record,) = [record for record in caplog.records if record.getMessage() == "prediction_failed"]
    assert record.fields["request_id"] == "req-1"  # type: ignore[attr-defined]
    assert "poison" in record.fields["trace"]  # type: ignore[attr-defined]


async def test_live_inputs_are_counted_into_the_bins_of_the_reference(delay: App) -> None:
    edges = [1.0, 2.0, 5.0]
    distances = [0.5, 1.0, 1.5, 2.0, 5.0, 6.0]

    await predict(delay, {"instances": [[value, "AA", None] for value in distances]})

    series = await scrape(delay)
    version = series_version(series)
    counted = [
        series[f'ml_feature_bin_total{{feature="distance",bin="{index}",version="{version}"}}']
        for index in range(len(edges) + 1)
    ]
    assert counted == [2, 2, 1, 1]
    assert series[f'ml_feature_bin_total{{feature="gust",bin="missing",version="{version}"}}'] == 6


def series_version(series: dict[str, float]) -> str:
    return next(name for name in series if name.startswith("ml_model_info")).split('version="')[1].split('"')[0]


async def test_the_buffer_of_live_inputs_stays_bounded_without_a_scrape(iris: App) -> None:
    for _ in range(8):
        await predict(iris, {"instances": [SETOSA] * 500})

    assert iris.metrics.bins._buffered < 1024 + 500
    series = await scrape(iris)
    version = series_version(series)
    assert series[f'ml_feature_bin_total{{feature="sepal_length",bin="3",version="{version}"}}'] == 4000


async def test_metrics_count_requests_latency_and_the_release(iris: App) -> None:
    await predict(iris, {"features": SETOSA})
    await predict(iris, {"features": []})
    await call(iris, "GET", "/nowhere")

    series = await scrape(iris)

    assert series['ml_requests_total{route="/predict",code="2xx",version="iris-0001"}'] == 1
    assert series['ml_requests_total{route="/predict",code="4xx",version="iris-0001"}'] == 1
    assert series['ml_requests_total{route="other",code="4xx",version="iris-0001"}'] == 1
    assert series['ml_prediction_duration_seconds_count{version="iris-0001"}'] == 1
    assert series['ml_prediction_duration_seconds_bucket{version="iris-0001",le="+Inf"}'] == 1
    assert series['ml_model_accuracy{version="iris-0001"}'] == 0.81
    assert series["ml_in_flight"] == 0


async def test_no_client_can_grow_the_number_of_series(iris: App) -> None:
    await predict(iris, {"features": SETOSA})
    await call(iris, "GET", "/zero")
    before = set(await scrape(iris))

    for index in range(50):
        await call(iris, "GET", f"/{index}")
        await call(iris, f"VERB{index}", "/predict")
        await predict(iris, {"features": SETOSA, f"x{index}": 1})

    added = set(await scrape(iris)) - before
    assert added <= {
        'ml_requests_total{route="/metrics",code="2xx",version="iris-0001"}',
    }
