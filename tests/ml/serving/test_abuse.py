"""Bad requests: each gets one clear JSON error, none gets a 5xx, and the server answers the next one."""

import asyncio
from typing import Any

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
    assert (await scrape(iris))[f'ml_prediction_errors_total{{reason="{code}"}}'] == 1
    assert (await predict(iris, GOOD)).status == 200


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


async def test_a_large_body_is_refused_by_its_length(iris: App) -> None:
    reply = await predict(iris, b"x" * (2 * 1024 * 1024))

    assert (reply.status, reply.error) == (413, "body_too_large")
    assert reply.headers[b"connection"] == b"close"


async def test_a_large_chunked_body_is_refused_once_it_is_over_the_limit(iris: App) -> None:
    sent = 0

    def endless() -> Any:
        nonlocal sent
        for _ in range(32):
            sent += 1
            yield b" " * 65536

    reply = await predict(iris, chunks=endless(), body=b"")

    assert (reply.status, reply.error) == (413, "body_too_large")


async def test_a_chunked_body_within_the_limit_is_answered(iris: App) -> None:
    reply = await predict(iris, b"", chunks=[b'{"features":', b"[5.1,3.5,", b"1.4,0.2]}", b""])

    assert reply.json["prediction"] == "setosa"


async def test_a_body_of_exactly_the_limit_is_read(iris: App) -> None:
    text = b'{"features":[5.1,3.5,1.4,0.2]}'

    reply = await predict(iris, text + b" " * (http.MAX_BODY_BYTES - len(text)))

    assert reply.status == 200


async def test_a_body_that_never_ends_gets_a_timeout() -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        raise AssertionError

    with pytest.raises(http.RequestError) as caught:
        await http.read_body(receive, deadline_s=0.01)
    assert (caught.value.status, caught.value.headers) == (408, [http.CLOSE])


async def test_a_client_that_goes_away_is_not_answered_and_frees_its_place(iris: App) -> None:
    reply = await predict(iris, b"", chunks=[b'{"fea', b"x"][:0] or [])

    assert reply.status == 0
    series = await scrape(iris)
    assert series['ml_prediction_errors_total{reason="disconnected"}'] == 1
    assert series["ml_in_flight"] == 0


async def test_predictions_over_the_cap_are_shed_and_probes_are_not(make_app: Any) -> None:
    app: App = make_app("multiclass", max_in_flight=4)

    replies = await asyncio.gather(*(predict(app, GOOD) for _ in range(10)), call(app, "GET", "/health"))

    *predictions, health = replies
    assert sorted(reply.status for reply in predictions) == [200] * 4 + [503] * 6
    shed = next(reply for reply in predictions if reply.status == 503)
    assert shed.error == "overloaded"
    assert shed.headers[b"retry-after"] == b"1"
    assert health.status == 200
    assert (await predict(app, GOOD)).status == 200


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

    assert set(iris._pages) == open_routes
    for path in iris._codecs:
        assert (await call(iris, "POST", path, GOOD, key=None)).status == 401


async def test_a_request_id_that_could_forge_a_header_or_a_log_line_is_replaced(iris: App) -> None:
    honest = await predict(iris, GOOD, headers=[("X-Request-Id", "abc-1")])
    forged = await predict(iris, GOOD, headers=[("X-Request-Id", 'a"} {"level":"error')])

    assert honest.headers[b"x-request-id"] == b"abc-1"
    assert b'"' not in forged.headers[b"x-request-id"]
