"""A smoke test passes what answers as it was judged, and names what does not."""

import json
import math

import httpx
import pytest

from ml.delivery.caller import WRONG_KEY, Caller
from ml.delivery.smoke import Call, Limits, Reply, calls, flaws, identity_flaws
from ml.delivery.smoke_job import smoke
from ml.errors import GateError

SERVING = {
    "kind": "binary",
    "classes": [0, 1],
    "features": [
        {"name": "distance", "kind": "number", "minimum": 1, "maximum": 100, "nullable": False},
        {"name": "seats", "kind": "number", "minimum": None, "maximum": None, "nullable": True},
        {"name": "carrier", "kind": "category", "minimum": None, "maximum": None, "nullable": False},
    ],
    "golden": {
        "rows": [[10, 100, "AA"], [90, None, "UA"]],
        "predictions": [0, 1],
        "probabilities": [[0.75, 0.25], [0.125, 0.875]],
    },
}
RECORD = {"release": "flights-0001", "digest": "d" * 64, "files": {"model.onnx": "a" * 64}}
LIMITS = Limits(repeats=2)


def answer(labels, scores, *, single):
    base = {"model_version": "flights-0001"}
    if single:
        return base | {"prediction": labels[0], "probability": scores[0]}
    return base | {"predictions": labels, "probabilities": scores}


class Server:
    """Answers as the judged model does; `change` breaks one thing."""

    def __init__(self, change=lambda path, body, reply: reply):
        self.change = change
        self.asked = []

    def __call__(self, request):
        path = request.url.path
        body = request.content.decode()
        self.asked.append((path, body))
        status, content = self.change(path, body, self.honest(path, body, request.headers.get("x-api-key")))
        if isinstance(content, str):
            return httpx.Response(status, text=content)
        return httpx.Response(status, json=content)

    def honest(self, path, body, key):
        if path == "/ready":
            return 200, {"status": "ready", "digest": RECORD["digest"]}
        if path == "/metrics":
            return 200, f'ml_model_info{{model_sha256="{"a" * 64}"}} 1\n'
        if key == WRONG_KEY:
            return 401, {"error": "unauthenticated"}
        try:
            sent = json.loads(body, parse_constant=lambda _: math.nan)
        except ValueError:
            return 400, {"error": "malformed_json"}
        rows = sent.get("instances", [sent.get("features")])
        if any(len(row) != 3 or row[0] != row[0] for row in rows):
            return 422, {"error": "invalid_features"}
        golden = SERVING["golden"]
        found = [golden["rows"].index(row) if row in golden["rows"] else 0 for row in rows]
        labels = [golden["predictions"][index] for index in found]
        scores = [golden["probabilities"][index][golden["predictions"][index]] for index in found]
        return 200, answer(labels, scores, single="features" in sent)


@pytest.fixture
def release(tmp_path):
    (tmp_path / "record.json").write_text(json.dumps(RECORD))
    (tmp_path / "serving.json").write_text(json.dumps(SERVING))
    return tmp_path


def run(release, change=lambda path, body, reply: reply, limits=LIMITS):
    return smoke(Caller("http://model-green", "key", httpx.MockTransport(Server(change))), release, limits)


def test_a_model_that_answers_as_it_was_judged_passes(release):
    found = run(release)

    assert found["smoke"] == "pass"
    # all rows at once, each twice alone, the ends of three features, NaN, a short row and a wrong key
    assert found["calls"] == 1 + 2 * 2 + (2 + 1 + 2) + 3


def status(number, when):
    return lambda path, body, reply: (number, {"error": "x"}) if path == "/predict" and when(body) else reply


def field(name, value, when=lambda body: True):
    def change(path, body, reply):
        broken = path == "/predict" and reply[0] == 200 and when(body) and name in reply[1]
        return (200, {**reply[1], name: value}) if broken else reply

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (field("prediction", 1), "answered [1]; the judged model says [0]"),
        (field("probability", 0.5), "answered probability [0.5]; the judged model says [0.75]"),
        (field("predictions", [0, 0]), "all golden rows: answered [0, 0]; the judged model says [0, 1]"),
        (field("predictions", [0]), "all golden rows: answered [0]"),
        (field("prediction", None), "which is not finite"),
        (field("model_version", "flights-0009"), "answered by model_version 'flights-0009'; must be 'flights-0001'"),
        (status(500, lambda body: "[100," in body), "distance at its maximum: answered with status 500, must be 200"),
        (status(200, lambda body: "NaN" in body), "a row with NaN: answered with status 200, must be 4xx"),
        (lambda path, body, reply: (200, {}) if reply[0] == 401 else reply, "a wrong key: answered with status 200"),
        (lambda path, body, reply: (503, {}) if path == "/ready" else reply, "/ready: status 503"),
        (
            lambda path, body, reply: (200, {"digest": "e" * 64}) if path == "/ready" else reply,
            f"record digest '{'e' * 64}'; must be 200 and '{'d' * 64}'",
        ),
        (
            lambda path, body, reply: (200, "ml_model_info 1\n") if path == "/metrics" else reply,
            f"does not name the model {'a' * 64}",
        ),
    ],
)
def test_each_thing_that_is_wrong_is_named(release, change, said):
    with pytest.raises(GateError) as caught:
        run(release, change)

    assert caught.value.code == "ML-SMOKE-001"
    assert said in caught.value.message


def test_a_server_that_cannot_be_reached_fails_and_does_not_raise_something_else(release):
    def dead(request):
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(GateError, match="no answer: ConnectError"):
        smoke(Caller("http://model-green", "key", httpx.MockTransport(dead)), release, LIMITS, patience_s=0)


def test_a_service_that_is_not_there_yet_is_waited_for_before_anything_is_held_against_the_slot(release, monkeypatch):
    monkeypatch.setattr("ml.delivery.caller.PAUSE_S", 0.001)
    served, refused = Server(), iter(range(3))

    def young(request):
        if next(refused, None) is not None:
            raise httpx.ConnectError("refused", request=request)
        return served(request)

    result = smoke(Caller("http://model-green", "key", httpx.MockTransport(young)), release, LIMITS)

    assert result["smoke"] == "pass"


def test_a_slow_slot_fails_by_its_99th_percentile_and_not_by_one_outlier():
    made = [
        (call, Reply(status=401, body={}, seconds=0.1)) for call in calls(SERVING, LIMITS) if call.golden is not None
    ]
    slow = [(made[0][0], Reply(status=200, body={}, seconds=1.0))]

    def words(pairs):
        return [line for line in flaws(SERVING, "flights-0001", pairs, LIMITS) if "single rows took" in line]

    assert words(made * 50 + slow) == []
    assert words(made + slow * 4) == ["99 % of 8 single rows took up to 1000 ms; must be at most 250 ms"]


def test_many_flaws_are_cut_and_counted():
    made = [
        (Call(name=f"call {index}", expected="finite", body={}), Reply(status=500, body="x", seconds=0.0))
        for index in range(14)
    ]

    found = flaws(SERVING, "flights-0001", made, LIMITS)

    assert len(found) == 11
    assert found[-1] == "and 4 more"


def test_a_regression_is_compared_by_number_and_needs_no_probability():
    serving = {**SERVING, "kind": "regression", "golden": {"rows": [[1]], "predictions": [10.0], "probabilities": None}}
    call = Call(name="golden row 0", expected="golden", body={}, golden=0)

    def said(value):
        body = {"prediction": value, "probability": None, "model_version": "flights-0001"}
        return flaws(serving, "flights-0001", [(call, Reply(status=200, body=body, seconds=0.0))], LIMITS)

    assert said(10.00001) == []
    assert said(10.1) == ["golden row 0: answered [10.1]; the judged model says [10.0]"]
    assert said(math.nan) == ["golden row 0: answered [nan], which is not finite"]


def test_what_is_no_json_object_is_no_readiness():
    assert len(identity_flaws(Reply(status=200, body="<html>", seconds=0.0), "", RECORD)) == 2
