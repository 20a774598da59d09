"""The application: routes, keys, load shedding and the prediction path.

Deny by default: what is not in the route table answers 404, and every route that predicts asks for a key. Probes and
metrics never wait behind predictions: only predictions are shed when too many wait.
"""

import logging
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

import msgspec

from ml.serving.batching import Answer, NonFiniteOutputError, Result, TickBatcher, TooLateError
from ml.serving.bins import FeatureBins
from ml.serving.bundle import Bundle
from ml.serving.encoder import RowTuple
from ml.serving.http import RETRY_AFTER, Request, RequestError, RequestIds, Response, ok
from ml.serving.inference import InferCodec
from ml.serving.keys import KeyRing, key_of
from ml.serving.log import event
from ml.serving.metrics import CONTENT_TYPE, Metrics
from ml.serving.openapi import document
from ml.serving.payloads import PayloadLog
from ml.serving.predict import PredictCodec
from ml.serving.shadow import MARK, Shadow

logger = logging.getLogger(__name__)

OTHER_ROUTE = "other"
MAX_WAITING_ROWS = 16 * 1024
"""Rows of all routes that may wait: eight runs of the model, whatever the requests that bring them."""

Page = Callable[[], Response]
Reply = Callable[[Response], None]


class Decoded(Protocol):
    """A checked body."""

    @property
    def rows(self) -> Sequence[RowTuple]:
        """The rows to predict."""
        ...


class Codec(Protocol):
    """What a prediction route needs to read a body and write an answer."""

    def decode(self, body: bytes) -> Any:
        """Read and check a body; raises RequestError."""
        ...

    def encode(self, request: Any, answer: Answer) -> bytes:
        """Write the answer."""
        ...


@dataclass(slots=True)
class Route:
    """One path that predicts, and how many of its requests wait."""

    path: str
    codec: Codec
    waiting: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What may wait: requests of each route, and for how long."""

    max_waiting: int = 512
    deadline_s: float = 2.0


class App:
    """The model server of one release.

    Args:
        bundle: The verified release.
        keys: Who may predict; None lets everybody.
        load: What may wait; what is over it gets 503.
        monitoring_endpoint: Named in the server's metadata.
        payloads: Where a sample of requests is logged; None logs none.
        shadow: Where a sample of requests is mirrored to; None mirrors none.
    """

    def __init__(  # noqa: PLR0913  (two of them are off unless asked for)
        self,
        bundle: Bundle,
        *,
        keys: KeyRing | None,
        load: Load | None = None,
        monitoring_endpoint: str | None = None,
        payloads: PayloadLog | None = None,
        shadow: Shadow | None = None,
    ) -> None:
        spec = bundle.model.spec
        self.draining = False
        self.payloads = payloads
        self.shadow = shadow
        self._bundle = bundle
        self._keys = keys
        self._load = load or Load()
        self._monitoring_endpoint = monitoring_endpoint
        self._ids = RequestIds()
        self.digest = (b"x-model-digest", f"sha256:{bundle.model_sha256}".encode())
        bins = FeatureBins(spec)
        info = {"model": spec.problem, "version": bundle.release, "model_sha256": bundle.model_sha256}
        written = {} if payloads is None else payloads.counts
        self.metrics = Metrics({**info, "kind": spec.kind}, bundle.quality, bins, written)
        self.metrics.shadow = None if shadow is None else shadow.comparison
        self._batcher = TickBatcher(bundle.model, bins)
        # Mirrored rows are copies of what the live slot has counted: no question about live inputs may see them twice.
        self._aside = TickBatcher(bundle.model, FeatureBins(spec))
        infer = InferCodec(spec, bundle.model.encoder, bundle.release)
        model = f"/v2/models/{spec.problem}"
        codecs: dict[str, Codec] = {
            "/predict": PredictCodec(bundle.model.encoder, bundle.release),
            f"{model}/infer": infer,
        }
        self.routes = {path: Route(path, codec) for path, codec in codecs.items()}
        # from the first scrape on: a rate over a series that appears with its first error would miss that error
        self.metrics.requests |= {(route, status): 0 for route in self.routes for status in (2, 4, 5)}
        openapi = ok(document(spec, bundle.release, keys=keys is not None))
        metadata = ok(infer.metadata(bundle.model_sha256))
        self.pages: dict[str, Page] = {
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

    def admit(self, request: Request) -> None:
        """Look at the head of a request: sets its id, and its route or why it is refused."""
        request.identity = self._ids.of(request.headers)
        route = self.routes.get(request.path)
        if route is None or request.method != b"POST":
            return
        request.route = route
        if self._keys is not None and not self._keys.accepts(key_of(request.headers)):
            text = "send a valid key as 'Authorization: Bearer <key>' or 'X-API-Key: <key>'"
            request.refusal = RequestError(401, "unauthenticated", text, [(b"www-authenticate", b"Bearer")])
        elif request.headers.get(b"content-encoding", b"identity") != b"identity":
            request.refusal = RequestError(415, "unsupported_encoding", "send the body uncompressed")
        elif self.shadow is not None:
            request.refusal = self.shadow.refusal(request)

    def handle(self, request: Request, reply: Reply) -> "Prediction | None":
        """Answer a request: pages and refusals at once, predictions in the next turn of the loop."""
        if request.refusal is not None:
            reply(self.refused(request, request.refusal))
            return None
        try:
            if request.route is not None:
                return self._predict(request, request.route, reply)
            response = self._page(request)
            self.metrics.count(self._template(request), response.status)
            reply(response)
        except RequestError as error:
            reply(self.refused(request, error))
        except Exception:  # the last resort, so that a fault of ours is a 500 that names its request and is logged
            logger.exception("request_failed", extra={"fields": {"request_id": request.identity.decode()}})
            reply(self.refused(request, RequestError(500, "internal_error", "the server failed on this request")))
        return None

    def refused(self, request: Request, error: RequestError) -> Response:
        """The answer to a request that is refused or failed, counted."""
        self.metrics.errors[error.code] += 1
        self.metrics.count(self._template(request), error.status)
        return error.response()

    def _template(self, request: Request) -> str:
        known = request.path in self.pages or request.path in self.routes
        return request.path if known else OTHER_ROUTE

    def _page(self, request: Request) -> Response:
        page = self.pages.get(request.path)
        if page is not None and request.method in {b"GET", b"HEAD"}:
            return page()
        allowed = b"GET, HEAD" if page is not None else b"POST" if request.path in self.routes else None
        if allowed is None:
            return RequestError(404, "not_found", f"no such path: {request.path}").response()
        text = f"{request.method.decode()} is not allowed on {request.path}"
        return RequestError(405, "method_not_allowed", text, [(b"allow", allowed)]).response()

    def _predict(self, request: Request, route: Route, reply: Reply) -> "Prediction":
        load, batcher = self._load, self._batcher
        if self.shadow is not None and MARK in request.headers:
            batcher = self._aside
        if route.waiting >= load.max_waiting or batcher.rows >= MAX_WAITING_ROWS:
            text = f"{route.waiting} requests with {batcher.rows} rows in all are waiting; try again"
            raise RequestError(503, "overloaded", text, [RETRY_AFTER])
        decoded = route.codec.decode(request.body)
        prediction = Prediction(self, request, decoded, reply)
        prediction.until_s = request.started_s + load.deadline_s
        route.waiting += 1
        self.metrics.in_flight += 1
        batcher.submit(prediction)
        return prediction

    def _ready(self) -> Response:
        status = "draining" if self.draining else "ready"
        bundle = self._bundle
        digests = {"digest": bundle.record["digest"], "model_sha256": bundle.model_sha256}
        return self._readiness({"status": status, "release": bundle.release, **digests})

    def _readiness(self, value: dict[str, Any]) -> Response:
        return Response(503 if self.draining else 200, msgspec.json.encode(value))

    def _server_metadata(self) -> Response:
        value = {"name": "ml-pipeline", "version": self._bundle.release, "extensions": []}
        return ok({**value, "monitoring_endpoint": self._monitoring_endpoint})


@dataclass(slots=True, eq=False)
class Prediction:
    """One prediction request from its decoded body to its answer; the batcher calls `done`, the connection `cancel`."""

    app: App
    request: Request
    decoded: Decoded
    reply: Reply
    rows: Sequence[RowTuple] = field(init=False)
    open: bool = field(init=False, default=True)
    until_s: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.rows = self.decoded.rows

    def done(self, result: Result) -> None:
        """Answer with the result."""
        metrics = self.app.metrics
        if isinstance(result, Answer):
            body = self.request.route.codec.encode(self.decoded, result)
            self._close()
            metrics.predicted += len(self.rows)
            metrics.count(self.request.route.path, 200)
            self.reply(Response(200, body, headers=(self.app.digest,)))
            if self.app.payloads is not None:
                self.app.payloads.offer(self.request.identity.decode(), self.rows, result)
            if self.app.shadow is not None:
                self.app.shadow.offer(self.request, result)
        else:
            self._close()
            self.reply(self.app.refused(self.request, self._failure(result)))
        metrics.observe(perf_counter() - self.request.started_s)

    def cancel(self) -> None:
        """The client is gone."""
        if self.open:
            self._close()
            self.app.metrics.errors["disconnected"] += 1

    def _close(self) -> None:
        self.open = False
        self.request.route.waiting -= 1
        self.app.metrics.in_flight -= 1

    def _failure(self, result: Exception) -> RequestError:
        if isinstance(result, TooLateError):
            return RequestError(503, "deadline", "the request waited too long; try again", [RETRY_AFTER])
        code, text, trace = "model_error", "the model failed on this request", ""
        if isinstance(result, NonFiniteOutputError):
            code, text = "non_finite_output", f"row {result.args[0]}: the model's answer is not a finite number"
        else:
            trace = "".join(traceback.format_exception(result.__cause__))
        self.app.metrics.failed += len(self.rows)
        identity = self.request.identity.decode()
        fields = {"code": code, "request_id": identity, "rows": len(self.rows), "trace": trace}
        event(logger, logging.ERROR, "prediction_failed", **fields)
        return RequestError(500, code, text)
