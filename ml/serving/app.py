"""The ASGI application: routes, keys, limits and the prediction path.

Deny by default: what is not in the route table answers 404, and every route that predicts asks for a key. Probes and
metrics never wait behind predictions: only predictions are shed when too many are in flight.
"""

import logging
import traceback
from collections.abc import Callable
from time import perf_counter
from typing import Any, Protocol

import msgspec

from ml.serving.batching import Answer, ModelFaultError, NonFiniteOutputError, TickBatcher
from ml.serving.bins import FeatureBins
from ml.serving.bundle import Bundle
from ml.serving.encoder import RowTuple
from ml.serving.http import (
    CLOSE,
    JSON,
    ClientDisconnectedError,
    Receive,
    RequestError,
    Response,
    Scope,
    Send,
    check_length,
    ok,
    read_body,
    request_id,
)
from ml.serving.inference import InferCodec
from ml.serving.keys import KeyRing
from ml.serving.log import event
from ml.serving.metrics import CONTENT_TYPE, Metrics
from ml.serving.openapi import document
from ml.serving.predict import PredictCodec

logger = logging.getLogger(__name__)

RETRY_AFTER = (b"retry-after", b"1")
OTHER_ROUTE = "other"

Page = Callable[[], Response]


class Codec(Protocol):
    """What a prediction route needs to read a body and write an answer."""

    def decode(self, body: bytes) -> Any:
        """Read and check a body; raises RequestError."""
        ...

    def encode(self, request: Any, answer: Answer) -> bytes:
        """Write the answer."""
        ...


class App:
    """The model server of one release.

    Args:
        bundle: The verified release.
        keys: Who may predict; None lets everybody.
        max_in_flight: Prediction requests at once; the next one gets 503.
        monitoring_endpoint: Named in the server's metadata.
    """

    def __init__(
        self, bundle: Bundle, *, keys: KeyRing | None, max_in_flight: int, monitoring_endpoint: str | None = None
    ) -> None:
        spec = bundle.model.spec
        self.draining = False
        self._bundle = bundle
        self._keys = keys
        self._max_in_flight = max_in_flight
        self._monitoring_endpoint = monitoring_endpoint
        bins = FeatureBins(spec)
        info = {"model": spec.problem, "version": bundle.release, "model_sha256": bundle.model_sha256}
        self.metrics = Metrics({**info, "kind": spec.kind}, bundle.quality, bins)
        self._batcher = TickBatcher(bundle.model, bins)
        infer = InferCodec(spec, bundle.model.encoder, bundle.release)
        model = f"/v2/models/{spec.problem}"
        self._codecs: dict[str, Codec] = {
            "/predict": PredictCodec(bundle.model.encoder, bundle.release),
            f"{model}/infer": infer,
        }
        # from the first scrape on: a rate over a series that appears with its first error would miss that error
        self.metrics.requests |= {(route, status): 0 for route in self._codecs for status in (2, 4, 5)}
        openapi = ok(document(spec, bundle.release, keys=keys is not None))
        metadata = ok(infer.metadata())
        self._pages: dict[str, Page] = {
            "/health": lambda: ok({"status": "alive"}),
            "/ready": self._ready,
            "/metrics": lambda: Response(200, self.metrics.render(), CONTENT_TYPE),
            "/openapi.json": lambda: openapi,
            "/v2": self._server_metadata,
            "/v2/health/live": lambda: ok({"live": True}),
            "/v2/health/ready": lambda: self._readiness({"ready": not self.draining}),
            model: lambda: metadata,
            f"{model}/ready": lambda: self._readiness({"name": spec.problem, "ready": not self.draining}),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        codec = self._codecs.get(path)
        if codec is not None and scope["method"] == "POST":
            await self._prediction(path, codec, scope, receive, send)
            return
        response = self._page(path, scope["method"])
        known = path in self._pages or path in self._codecs
        self.metrics.count(path if known else OTHER_ROUTE, response.status)
        await self._send(send, response, dict(scope["headers"]).get(b"x-request-id"))

    def _page(self, path: str, method: str) -> Response:
        page = self._pages.get(path)
        if page is not None and method in {"GET", "HEAD"}:
            return page()
        allowed = b"GET, HEAD" if page is not None else b"POST" if path in self._codecs else None
        if allowed is None:
            error = RequestError(404, "not_found", f"no such path: {path}")
        else:
            text = f"{method} is not allowed on {path}"
            error = RequestError(405, "method_not_allowed", text, [(b"allow", allowed)])
        return Response(error.status, error.body(), JSON, error.headers)

    async def _prediction(self, route: str, codec: Codec, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        headers = dict(scope["headers"])
        metrics = self.metrics
        metrics.in_flight += 1
        try:
            response = Response(200, await self._predict(codec, headers, receive))
        except RequestError as error:
            metrics.errors[error.code] += 1
            response = Response(error.status, error.body(), JSON, error.headers)
        except ClientDisconnectedError:
            metrics.errors["disconnected"] += 1
            return
        finally:
            metrics.in_flight -= 1
        metrics.count(route, response.status)
        await self._send(send, response, headers.get(b"x-request-id"))
        if response.status // 100 != 4:
            metrics.observe(perf_counter() - started)

    async def _predict(self, codec: Codec, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        if self._keys is not None and not self._keys.accepts(_key(headers)):
            text = "send a valid key as 'Authorization: Bearer <key>' or 'X-API-Key: <key>'"
            raise RequestError(401, "unauthenticated", text, [(b"www-authenticate", b"Bearer")])
        if self.metrics.in_flight > self._max_in_flight:
            text = f"{self._max_in_flight} predictions are in flight; try again"
            raise RequestError(503, "overloaded", text, [RETRY_AFTER])
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise RequestError(415, "unsupported_encoding", "send the body uncompressed")
        check_length(headers.get(b"content-length"))
        request = codec.decode(await read_body(receive))
        answer = await self._run(request.rows, headers)
        self.metrics.predicted += len(request.rows)
        return codec.encode(request, answer)

    async def _run(self, rows: list[RowTuple], headers: dict[bytes, bytes]) -> Answer:
        try:
            return await self._batcher.submit(rows)
        except NonFiniteOutputError as error:
            code, text = "non_finite_output", f"row {error.args[0]}: the model's answer is not a finite number"
            trace = ""
        except ModelFaultError as error:
            code, text = "model_error", "the model failed on this request"
            trace = "".join(traceback.format_exception(error.__cause__))
        self.metrics.failed += len(rows)
        identity = request_id(headers)
        event(logger, logging.ERROR, "prediction_failed", code=code, request_id=identity, rows=len(rows), trace=trace)
        raise RequestError(500, code, text, [(b"x-request-id", identity.encode())])

    def _ready(self) -> Response:
        status = "draining" if self.draining else "ready"
        record = self._bundle.record
        return self._readiness({"status": status, "release": self._bundle.release, "digest": record["digest"]})

    def _readiness(self, value: dict[str, Any]) -> Response:
        return Response(503 if self.draining else 200, msgspec.json.encode(value))

    def _server_metadata(self) -> Response:
        value = {"name": "ml-pipeline", "version": self._bundle.release, "extensions": []}
        return ok({**value, "monitoring_endpoint": self._monitoring_endpoint})

    async def _send(self, send: Send, response: Response, identity: bytes | None) -> None:
        headers = [
            (b"content-type", response.content_type),
            (b"content-length", b"%d" % len(response.body)),
            *response.headers,
        ]
        if self.draining and CLOSE not in headers:
            headers.append(CLOSE)
        if identity is not None and not any(name == b"x-request-id" for name, _ in headers):
            headers.append((b"x-request-id", request_id({b"x-request-id": identity}).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})


def _key(headers: dict[bytes, bytes]) -> bytes | None:
    """The key of a request: `X-API-Key`, else the bearer token."""
    key = headers.get(b"x-api-key")
    if key is not None:
        return key
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else None
