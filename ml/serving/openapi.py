"""`GET /openapi.json`: what this server, with this release, really takes and answers."""

from typing import Any, get_args

from ml.data.schema import Feature
from ml.serving.http import MAX_BODY_BYTES
from ml.serving.inference import Datatype
from ml.serving.predict import MAX_ROWS
from ml.serving.spec import Spec

Schema = dict[str, Any]


def document(spec: Spec, version: str, *, keys: bool) -> Schema:
    """The OpenAPI 3.1 document; `keys` says whether predictions need one."""
    name = spec.problem
    security: list[Schema] = [{"bearer": []}, {"apiKey": []}] if keys else []
    schemes = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    predict = _post("Predict one row or many", "PredictRequest", "PredictAnswer", security)
    infer = _post("Predict (Open Inference Protocol v2)", "InferRequest", "InferAnswer", security)
    paths = {
        "/predict": {"post": predict},
        f"/v2/models/{name}/infer": {"post": infer},
        "/health": {"get": _get("The process is alive")},
        "/ready": {"get": _get("The release is loaded, proven and takes traffic", unavailable=True)},
        "/metrics": {"get": _get("Metrics in Prometheus' text format", media="text/plain")},
        "/openapi.json": {"get": _get("This document")},
        "/v2": {"get": _get("Server metadata")},
        "/v2/health/live": {"get": _get("Live")},
        "/v2/health/ready": {"get": _get("Ready", unavailable=True)},
        f"/v2/models/{name}": {"get": _get("Model metadata")},
        f"/v2/models/{name}/ready": {"get": _get("Model ready", unavailable=True)},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{name} model server",
            "version": version,
            "description": f"Bodies hold at most {MAX_BODY_BYTES} bytes and {MAX_ROWS} rows.",
        },
        "paths": paths,
        "components": {"schemas": _schemas(spec), "securitySchemes": schemes if keys else {}},
    }


def _post(summary: str, request: str, answer: str, security: list[Schema]) -> Schema:
    failures = {
        "400": "not JSON",
        "408": "the body did not arrive in time",
        "413": "the body is too large",
        "431": "the header is too large",
        "415": "the body is compressed",
        "422": "a row breaks the schema",
        "500": "the model failed",
        "503": "too many requests in flight; see Retry-After",
    } | ({"401": "no valid API key"} if security else {})
    return {
        "summary": summary,
        "security": security,
        "requestBody": {"required": True, "content": _json(_ref(request))},
        "responses": {"200": {"description": "the predictions", "headers": _HEADERS, "content": _json(_ref(answer))}}
        | {code: {"description": text, "content": _json(_ref("Error"))} for code, text in sorted(failures.items())},
    }


_HEADERS: Schema = {
    "X-Model-Digest": {
        "description": "sha256 of the model.onnx that answered, as in the release record",
        "required": True,
        "schema": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
    },
    "X-Request-Id": {
        "description": "the request's own X-Request-Id where it is at most 64 of A-Z a-z 0-9 - _ . :, else a new one",
        "required": True,
        "schema": {"type": "string"},
    },
}


def _get(summary: str, *, media: str = "application/json", unavailable: bool = False) -> Schema:
    schema = {"type": "object"} if media == "application/json" else {"type": "string"}
    responses: Schema = {"200": {"description": summary, "content": {media: {"schema": schema}}}}
    if unavailable:
        responses["503"] = {"description": "not ready", "content": _json({"type": "object"})}
    return {"summary": summary, "responses": responses}


def _schemas(spec: Spec) -> Schema:
    features = [_feature(feature) for feature in spec.features]
    required = [feature.name for feature in spec.features if feature.kind == "number" and not feature.nullable]
    as_list = {"type": "array", "prefixItems": features, "minItems": len(features), "maxItems": len(features)}
    named = {feature.name: schema for feature, schema in zip(spec.features, features, strict=True)}
    as_object = {"type": "object", "properties": named, "required": required, "additionalProperties": False}
    rows = {"type": "array", "items": _ref("Row"), "minItems": 1, "maxItems": MAX_ROWS}
    label: Schema = {"type": "number"} if spec.kind == "regression" else {"enum": spec.classes}
    score: Schema = {"type": "null"} if spec.kind == "regression" else {"type": "number"}
    scores = score if spec.kind == "regression" else {"type": "array", "items": score}
    text = {"type": "string"}
    return {
        "Row": {"anyOf": [as_list, as_object]},
        "PredictRequest": {"oneOf": [_object(features=_ref("Row")), _object(instances=rows)]},
        "PredictAnswer": {
            "oneOf": [
                _object(prediction=label, probability=score, model_version=text),
                _object(predictions={"type": "array", "items": label}, probabilities=scores, model_version=text),
            ],
            "description": "probability is the model's probability of the predicted label; null for regression",
        },
        **_inference_schemas(),
        "Error": _object(error=_object(code=text, message=text)),
    }


def _inference_schemas() -> Schema:
    tensor = _object(
        name={"type": "string"},
        shape={"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": 2},
        datatype={"enum": list(get_args(Datatype))},
        data={"type": "array", "minItems": 1},
    ) | {"additionalProperties": True}
    tensors = {"type": "array", "items": tensor, "minItems": 1}
    text = {"type": "string"}
    answer = _object(model_name=text, model_version=text, outputs=tensors)
    return {
        "InferRequest": _object(inputs=tensors) | {"additionalProperties": True},
        "InferAnswer": answer | {"properties": {**answer["properties"], "id": text}},
    }


def _feature(feature: Feature) -> Schema:
    if feature.kind == "category":
        known = f"one of {', '.join(feature.categories)}" if len(feature.categories) <= 20 else "a category"
        return {"type": ["string", "null"], "title": feature.name, "description": f"{known}; others count as unknown"}
    schema: Schema = {"type": ["number", "null"] if feature.nullable else "number", "title": feature.name}
    if feature.unit:
        schema["description"] = feature.unit
    if feature.minimum is not None:
        schema["minimum"] = feature.minimum
    if feature.maximum is not None:
        schema["maximum"] = feature.maximum
    return schema


def _object(**properties: Any) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}
