"""`POST /predict`: one row or many, as lists or as objects keyed by feature name."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from ml.serving.batching import Answer
from ml.serving.encoder import Encoder, RowTuple
from ml.serving.http import RequestError

MAX_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Request:
    """A decoded prediction request; `single` asks for the one-row form of the answer."""

    rows: Sequence[RowTuple]
    single: bool


class One(msgspec.Struct, frozen=True):
    """The answer for one row."""

    prediction: Any
    probability: float | None
    model_version: str


class Many(msgspec.Struct, frozen=True):
    """The answer for a list of rows."""

    predictions: Sequence[Any]
    probabilities: Sequence[float] | None
    model_version: str


class PredictCodec:
    """Decodes requests and encodes answers of one release."""

    def __init__(self, encoder: Encoder, version: str) -> None:
        self._encoder = encoder
        self._version = version
        row = encoder.any_row
        rows = Annotated[list[row], msgspec.Meta(min_length=1, max_length=MAX_ROWS)]  # type: ignore[valid-type]  # a type made from the release
        body = msgspec.defstruct(
            "PredictBody",
            [("features", row | None, None), ("instances", rows | None, None)],
            forbid_unknown_fields=True,
        )
        self._decode = msgspec.json.Decoder(body).decode
        self._encode = msgspec.json.Encoder().encode

    def decode(self, body: bytes) -> Request:
        """Read and check a body.

        Raises:
            RequestError: 400 malformed_json; 422 invalid_request, invalid_features or too_many_rows.
        """
        try:
            request: Any = self._decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._explain(body, error) from error
        if (request.features is None) == (request.instances is None):
            raise RequestError(422, "invalid_request", "send either 'features' (one row) or 'instances' (rows)")
        if request.instances is None:
            return Request(self._encoder.values((request.features,)), single=True)
        return Request(self._encoder.values(request.instances), single=False)

    def encode(self, request: Request, answer: Answer) -> bytes:
        """The JSON answer."""
        if request.single:
            score = None if answer.scores is None else answer.scores[0]
            return self._encode(One(answer.labels[0], score, self._version))
        return self._encode(Many(answer.labels, answer.scores, self._version))

    def _explain(self, body: bytes, error: Exception) -> RequestError:
        """The slow path: the same body through the standard parser and `encode_rows`, for field, value and rule."""
        value = lenient_json(body, error)
        if not isinstance(value, dict):
            return RequestError(422, "invalid_request", f"the body is a {type(value).__name__}, not an object")
        one, many = value.get("features"), value.get("instances")
        if isinstance(many, list) and len(many) > MAX_ROWS:
            return too_many_rows(len(many))
        rows = many if isinstance(many, list) else [one]
        reason = self._encoder.reason(rows) if isinstance(many, list) or one is not None else None
        if reason is not None:
            return RequestError(422, "invalid_features", reason)
        if isinstance(error, msgspec.ValidationError):
            return RequestError(422, "invalid_request", str(error))
        return RequestError(400, "malformed_json", str(error))


def too_many_rows(count: int) -> RequestError:
    """The answer to more rows than one request may hold."""
    return RequestError(422, "too_many_rows", f"{count} rows: one request may hold {MAX_ROWS}")


def lenient_json(body: bytes, error: Exception) -> Any:
    """The body as Python's own parser reads it, which also takes NaN and Infinity so that they can be named.

    Raises:
        RequestError: 400 malformed_json when it is not JSON either.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RequestError(400, "malformed_json", reason) from error
