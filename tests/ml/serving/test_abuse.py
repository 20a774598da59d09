"""Bad requests: each gets one clear JSON error, none gets a 5xx, and the server answers the next one."""

import re

import pytest

from ml.serving import http
from ml.serving.app import App
from tests.ml.serving.client import KEY, call, predict, scrape

GOOD = {"features": [5.1, 3.5, 1.4, 0.2]}
ROW = b"5.1,3.5,1.4"

TABLE = [
    ("NaN", b'{"features":[%s,NaN]}' % ROW, 422, "invalid_features", "petal_width=nan"),
    ("Infinity", b'{"features":[%s,Infinity]}' % ROW, 422, "invalid_features", "petal_width=inf"),
    ("minus Infinity in rows", b'{"instances":[[%s,1],[%s,-Infinity]]}' % (ROW, ROW), 422, "invalid_features", "row 1"),
    ("1e999", b'{"features":[%s,1e999]}' % ROW, 422, "invalid_features", "petal_width=inf"),
    ("the text NaN", b'{"features":[%s,"NaN"]}' % ROW, 422, "invalid_features", "petal_width='NaN'"),
    ("over float32", b'{"features":[%s,1e39]}' % ROW, 422, "invalid_features", "petal_width"),
    ("huge integer", b'{"features":[%s,1%s]}' % (ROW, b"0" * 400), 422, "invalid_features", "petal_width"),
    ("absurd integer", b'{"features":[%s,%s]}' % (ROW, b"9" * 9000), 400, "malformed_json", ""),
    ("text for a number", b'{"features":[%s,"0.2"]}' % ROW, 422, "invalid_features", "petal_width='0.2'"),
    ("true for a number", b'{"features":[%s,true]}' % ROW, 422, "invalid_features", "petal_width=True"),
    ("null for a number", b'{"features":[%s,null]}' % ROW, 422, "invalid_features", "petal_width"),
    ("list for a number", b'{"features":[%s,[1]]}' % ROW, 422, "invalid_features", "petal_width=[1]"),
    ("under the minimum", b'{"features":[%s,-1]}' % ROW, 422, "invalid_features", "at least 0.0 cm"),
    ("over the maximum", b'{"features":[%s,101]}' % ROW, 422, "invalid_features", "at most 100.0 cm"),
    ("too few values", b'{"features":[%s]}' % ROW, 422, "invalid_features", "got 3 values, expected 4"),
    ("too many values", b'{"features":[%s,1,1]}' % ROW, 422, "invalid_features", "got 5 values"),
    ("empty row", b'{"features":[]}', 422, "invalid_features", "got 0 values"),
    ("empty object", b'{"features":{}}', 422, "invalid_features", "sepal_length"),
    ("unknown name", b'{"features":{"sepal_length":1,"x":1}}', 422, "invalid_features", "unknown feature 'x'"),
    ("text for a row", b'{"features":"abcd"}', 422, "invalid_features", "got str"),
    ("null for a row", b'{"features":null}', 422, "invalid_request", "features"),
    ("no rows", b'{"instances":[]}', 422, "invalid_request", "instances"),
    ("rows not a list", b'{"instances":5}', 422, "invalid_request", "instances"),
    ("row in rows not a row", b'{"instances":[5]}', 422, "invalid_features", "row 0"),
    ("both forms", b'{"features":[%s,1],"instances":[[%s,1]]}' % (ROW, ROW), 422, "invalid_request", "either"),
    ("neither form", b"{}", 422, "invalid_request", "either"),
    ("misspelt member", b'{"instance":[[%s,1]]}' % ROW, 422, "invalid_request", "instance"),
    ("array", b"[]", 422, "invalid_request", "list"),
    ("number", b"5", 422, "invalid_request", "int"),
    ("no body", b"", 400, "malformed_json", ""),
    ("cut off", b'{"features":[5.1', 400, "malformed_json", ""),
    ("trailing text", b'{"features":[%s,1]} x' % ROW, 400, "malformed_json", ""),
    ("not UTF-8", b'{"features":{"\xff":1}}', 400, "malformed_json", ""),
    ("byte order mark", b"\xef\xbb\xbf" + b'{"features":[%s,1]}' % ROW, 400, "malformed_json", ""),
    ("form data", b"features=1&features=2", 400, "malformed_json", ""),
    ("deep arrays", b'{"features":' + b"[" * 200_000, 400, "malformed_json", ""),
    ("deep objects", b'{"features":' + b'{"a":' * 100_000, 400, "malformed_json", ""),
    ("deep and closed", b'{"features":' + b"[" * 900 + b"]" * 900 + b"}", 422, "invalid_features", "got 1 values"),
    ("too many rows", b'{"instances":[' + b",".join([b"[%s,1]" % ROW] * 1025) + b"]}", 422, "too_many_rows", "1025"),
]


@pytest.mark.parametrize(("body", "status", "code", "words"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
async def test_a_bad_body_gets_one_clear_error(iris: App, body: bytes, status: int, code: str, words: str) -> None:
    reply = await predict(iris, body)

    assert (reply.status, reply.error) == (status, code)
    assert words in reply.json["error"]["message"]
    assert len(reply.json["error"]["message"]) <= http.MAX_MESSAGE_CHARS + 3
    assert (await scrape(iris))[f'ml_prediction_errors_total{{reason="{code}",version="iris-0001"}}'] == 1
    assert (await predict(iris, GOOD)).status == 200


@pytest.mark.parametrize("value", [b"4.9e-324", b"1e-999", b"-0.0", b"1e-40", b"100"])
async def test_a_number_at_the_edge_of_what_is_finite_is_answered_with_finite_numbers(iris: App, value: bytes) -> None:
    reply = await predict(iris, b'{"features":[%s,%s]}' % (ROW, value))

    assert reply.status == 200
    assert 0 <= reply.json["probability"] <= 1  # `json` refuses NaN and Infinity


async def test_of_a_duplicate_member_the_last_counts(iris: App) -> None:
    """RFC 8259 leaves it open; what matters is that it is always the same."""
    reply = await predict(iris, b'{"features":[9,9,9,9],"features":[5.1,3.5,1.4,0.2]}')

    assert reply.json == (await predict(iris, GOOD)).json


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", ""])
async def test_the_content_type_is_not_asked_for(iris: App, content_type: str) -> None:
    reply = await predict(iris, GOOD, headers=[("Content-Type", content_type)])

    assert reply.status == 200


async def test_a_compressed_body_is_refused(iris: App) -> None:
    reply = await predict(iris, GOOD, headers=[("Content-Encoding", "gzip")])

    assert (reply.status, reply.error) == (415, "unsupported_encoding")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 405),
        ("DELETE", "/health", 405),
        ("POST", "/metrics", 405),
        ("GET", "/nope", 404),
        ("POST", "/predict/", 404),
        ("POST", "/v2/models/other/infer", 404),
        ("GET", "/../etc/passwd", 404),
        ("BREW", "/predict", 405),
    ],
)
async def test_wrong_methods_and_paths(iris: App, method: str, path: str, status: int) -> None:
    reply = await call(iris, method, path)

    assert reply.status == status
    assert reply.error == {404: "not_found", 405: "method_not_allowed"}[status]
    assert (b"allow" in reply.headers) == (status == 405)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("X-API-Key", "wrong")],
        [("X-API-Key", "")],
        [("Authorization", f"Basic {KEY}")],
        [("Authorization", KEY)],
        [("Authorization", "Bearer")],
        [("Authorization", f"Bearer {KEY}x")],
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/v2/models/iris/infer"])
async def test_no_prediction_without_a_valid_key(iris: App, headers: list[tuple[str, str]], path: str) -> None:
    reply = await call(iris, "POST", path, GOOD, key=None, headers=headers)

    assert (reply.status, reply.error) == (401, "unauthenticated")
    assert KEY not in reply.body.decode()


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_key_as_a_bearer_token(iris: App, scheme: str) -> None:
    reply = await predict(iris, GOOD, key=None, headers=[("Authorization", f"{scheme} {KEY}")])

    assert reply.status == 200


async def test_every_route_is_open_by_purpose_or_asks_for_a_key(iris: App) -> None:
    open_routes = {"/health", "/ready", "/metrics", "/openapi.json", "/v2", "/v2/health/live", "/v2/health/ready"}
    open_routes |= {"/v2/models/iris", "/v2/models/iris/ready"}

    assert set(iris.pages) == open_routes
    for path in iris.routes:
        assert (await call(iris, "POST", path, GOOD, key=None)).status == 401


@pytest.mark.parametrize("given", ['a"} {"level":"error', "", "a b", "x" * 65])
async def test_a_request_id_that_could_forge_a_header_or_a_log_line_is_replaced(iris: App, given: str) -> None:
    honest = await predict(iris, GOOD, headers=[("X-Request-Id", "abc-1")])
    none = await predict(iris, GOOD)
    forged = await predict(iris, GOOD, headers=[("X-Request-Id", given)])

    assert honest.headers[b"x-request-id"] == b"abc-1"
    ids = [reply.headers[b"x-request-id"].decode() for reply in (none, forged)]
    assert ids[0] != ids[1]
    assert all(re.fullmatch("[0-9a-f]{12}-[0-9a-f]+", identity) for identity in ids)
