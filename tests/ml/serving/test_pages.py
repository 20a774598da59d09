"""The Open Inference Protocol, the probes and the OpenAPI document."""

import hashlib
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # has no stubs here
import pytest

from ml.serving.app import App
from ml.serving.bundle import load
from tests.ml.serving.client import call, predict
from tests.ml.serving.conftest import MakeApp
from tests.ml.serving.releases import KINDS, make_release

INFER = "/v2/models/iris/infer"
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]
NAMES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


def tensor(name: str, data: list[Any], shape: list[int] | None = None, datatype: str = "FP32") -> dict[str, Any]:
    return {"name": name, "shape": shape or [len(data)], "datatype": datatype, "data": data}


BY_COLUMN = [tensor(name, [row[i] for row in ROWS]) for i, name in enumerate(NAMES)]


@pytest.mark.parametrize(
    "inputs",
    [
        [tensor("features", ROWS, [2, 4])],
        [tensor("features", ROWS[0] + ROWS[1], [2, 4], "FP64")],
        BY_COLUMN,
        [tensor(item["name"], [[value] for value in item["data"]], [2, 1]) for item in reversed(BY_COLUMN)],
    ],
    ids=["matrix", "flat matrix", "columns", "nested columns"],
)
async def test_infer_answers_as_predict_does(iris: App, inputs: list[Any]) -> None:
    plain = (await predict(iris, {"instances": ROWS})).json

    reply = (await call(iris, "POST", INFER, {"id": "42", "inputs": inputs})).json

    labels, probabilities = reply["outputs"]
    assert (reply["id"], reply["model_name"], reply["model_version"]) == ("42", "iris", "iris-0001")
    assert (labels["name"], labels["datatype"], labels["shape"]) == ("predictions", "BYTES", [2])
    assert labels["data"] == plain["predictions"]
    assert probabilities["shape"] == [2, 3]
    assert [max(probabilities["data"][:3]), max(probabilities["data"][3:])] == pytest.approx(plain["probabilities"])


async def test_infer_takes_categories_and_missing_numbers(delay: App) -> None:
    inputs = [
        tensor("distance", [100, 4000], datatype="INT64"),
        tensor("carrier", ["AA", "DL"], datatype="BYTES"),
        tensor("gust", [5.0, None], datatype="FP64"),
    ]

    reply = (await call(delay, "POST", "/v2/models/delay/infer", {"inputs": inputs})).json

    plain = (await predict(delay, {"instances": [[100, "AA", 5.0], [4000, "DL", None]]})).json
    assert reply["outputs"][0] == {
        "name": "predictions", "shape": [2], "datatype": "BOOL", "data": plain["predictions"]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"inputs": [tensor("features", ROWS, [2, 3])]}, 422, "invalid_features"),
        ({"inputs": [tensor("features", ROWS[0], [2, 4])]}, 422, "invalid_request"),
        ({"inputs": [tensor("features", [], [0, 4])]}, 422, "invalid_request"),
        ({"inputs": [tensor("features", ROWS, [-2, 4])]}, 422, "invalid_request"),
        ({"inputs": [tensor("features", [1] * 4 * 1025, [1025, 4])]}, 422, "too_many_rows"),
        ({"inputs": [tensor("features", ROWS, [2, 4], "BYTES")]}, 422, "invalid_features"),
        ({"inputs": [tensor("features", ROWS, [2, 4], "FP3")]}, 422, "invalid_request"),
        ({"inputs": BY_COLUMN[:3]}, 422, "invalid_features"),
        ({"inputs": [*BY_COLUMN, BY_COLUMN[0]]}, 422, "invalid_request"),
        ({"inputs": [*BY_COLUMN, tensor("x", [1, 1])]}, 422, "invalid_features"),
        ({"inputs": [*BY_COLUMN[:3], tensor("petal_width", [1])]}, 422, "invalid_features"),
        ({"inputs": []}, 422, "invalid_features"),
        ({"inputs": "x"}, 422, "invalid_request"),
        ({}, 422, "invalid_request"),
        (b"{", 400, "malformed_json"),
        (
            b'{"inputs":[{"name":"features","shape":[1,4],"datatype":"FP32","data":[1,2,3,NaN]}]}',
            422,
            "invalid_features",
        ),
    ],
)
async def test_infer_refuses(iris: App, body: Any, status: int, code: str) -> None:
    reply = await call(iris, "POST", INFER, body)

    assert (reply.status, reply.error) == (status, code)


async def test_probes_and_metadata(iris: App) -> None:
    pages = {path: await call(iris, "GET", path, key=None) for path in iris.pages}

    assert {reply.status for reply in pages.values()} == {200}
    assert pages["/health"].json == {"status": "alive"}
    assert pages["/ready"].json["release"] == "iris-0001"
    assert pages["/v2/health/live"].json == {"live": True}
    assert pages["/v2/health/ready"].json == {"ready": True}
    assert pages["/v2/models/iris/ready"].json == {"name": "iris", "ready": True}
    assert pages["/v2"].json["monitoring_endpoint"] == "http://prometheus:9090"
    assert [item["name"] for item in pages["/v2/models/iris"].json["inputs"]] == NAMES
    assert (await call(iris, "HEAD", "/health")).status == 200


async def test_every_answer_of_the_model_and_its_metadata_name_the_file_that_answered(tmp_path: Path) -> None:
    iris = App(load(tmp_path, make_release(tmp_path)), keys=None)
    digest = hashlib.sha256((tmp_path / "model.onnx").read_bytes()).hexdigest()

    predicted = await predict(iris, {"features": ROWS[0]})
    inferred = await call(iris, "POST", INFER, {"inputs": BY_COLUMN})
    metadata = await call(iris, "GET", "/v2/models/iris")
    ready = await call(iris, "GET", "/ready")

    assert {reply.headers[b"x-model-digest"].decode() for reply in (predicted, inferred)} == {f"sha256:{digest}"}
    assert metadata.json["parameters"]["model_sha256"] == ready.json["model_sha256"] == digest


async def test_while_draining_it_is_alive_and_not_ready(iris: App) -> None:
    iris.draining = True

    ready = await call(iris, "GET", "/ready")
    health = await call(iris, "GET", "/health")
    answer = await predict(iris, {"features": ROWS[0]})

    assert (ready.status, health.status, answer.status) == (503, 200, 200)
    assert ready.json["status"] == "draining"


@pytest.mark.parametrize("kind", list(KINDS))
async def test_the_openapi_document_is_true(make_app: MakeApp, kind: str) -> None:
    """Every route is in it, real requests and answers fit it, and requests it forbids are refused."""
    app = make_app(kind)
    document = (await call(app, "GET", "/openapi.json")).json

    def check(name: str, value: object) -> None:
        jsonschema.validate(value, {"$ref": f"#/components/schemas/{name}", **document})

    assert set(document["paths"]) == set(app.pages) | set(app.routes)
    golden = KINDS[kind][0]()["golden"]["rows"]
    right: list[dict[str, Any]] = [{"features": golden[0]}, {"instances": golden}]
    wrong: list[dict[str, Any]] = [{}, {"features": []}, {"instances": []}, {"features": {"x": 1}}]
    for request in right:
        check("PredictRequest", request)
        check("PredictAnswer", (await predict(app, request)).json)
    for request in [*wrong, {"features": golden[0], "y": 1}]:
        with pytest.raises(jsonschema.ValidationError):
            check("PredictRequest", request)
        refused = await predict(app, request)
        assert refused.status == 422
        check("Error", refused.json)


async def test_the_openapi_document_of_an_anonymous_server_asks_for_no_key(make_app: MakeApp) -> None:
    app = make_app(keys=False)

    document = (await call(app, "GET", "/openapi.json")).json

    assert document["paths"]["/predict"]["post"]["security"] == []
    assert (await predict(app, {"features": ROWS[0]}, key=None)).status == 200
