"""The contents of `serving.json`, decoded and checked: what the model expects, answers and was proven with.

Imports no model runtime; the loader, the codecs and the batch job read it.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from ml.data.schema import Feature
from ml.errors import GateError

SCHEMA = "ml-pipeline/serving/v1"
Kind = Literal["binary", "multiclass", "regression"]


class Golden(msgspec.Struct, frozen=True, kw_only=True):
    """Request rows with the answers the trained estimator gave; `probabilities` is (n_rows, n_classes) or null."""

    rows: list[Any]
    predictions: list[Any]
    probabilities: list[list[float]] | None = None


class ReferenceBins(msgspec.Struct, frozen=True, kw_only=True):
    """The reference's rows of one column in bins: of a number, or (where `categories` is there) of a category.

    Inner edges of a number: (-inf, e0], (e0, e1], ..., (ek, inf). A category's bins are those named, then all others
    together, then the missing and unknown ones.
    """

    edges: list[float] = []
    categories: list[str] | None = None
    counts: list[float]


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """`serving.json` as typed values."""

    schema: str
    problem: str
    kind: Kind
    features: tuple[Feature, ...]
    transform: str | None = None
    classes: list[Any] | None = None
    threshold: float | None = None
    golden: Golden
    reference: dict[str, ReferenceBins] = {}
    predictions: dict[str, ReferenceBins] = {}


def parse(raw: bytes) -> Spec:
    """Decode and check `serving.json`.

    Raises:
        GateError: `ML-SERVE-005`, listing every problem.
    """
    try:
        spec = msgspec.json.decode(raw, type=Spec)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise GateError("ML-SERVE-005", f"serving.json: {error}", "create the release again") from error
    problems = [*_model_problems(spec), *_golden_problems(spec)]
    if problems:
        raise GateError("ML-SERVE-005", "serving.json: " + "; ".join(problems), "create the release again")
    return spec


def _model_problems(spec: Spec) -> Sequence[str]:
    problems = []
    names = [feature.name for feature in spec.features]
    if spec.schema != SCHEMA:
        problems.append(f"schema {spec.schema!r}: must be {SCHEMA!r}")
    if not names or len(set(names)) != len(names):
        problems.append("features must be present and have different names")
    classes = len(spec.classes or [])
    if spec.kind == "binary" and (classes != 2 or spec.threshold is None or not 0 < spec.threshold < 1):
        problems.append(f"binary needs 2 classes and a threshold in (0, 1), got {classes} and {spec.threshold!r}")
    if len({type(label) for label in spec.classes or []}) > 1:
        problems.append(f"classes {spec.classes!r} must be of one type")
    if spec.kind == "multiclass" and classes < 2:
        problems.append(f"multiclass needs at least 2 classes, got {classes}")
    return problems


def _golden_problems(spec: Spec) -> Sequence[str]:
    golden = spec.golden
    if not golden.rows or len(golden.predictions) != len(golden.rows):
        return [f"golden has {len(golden.rows)} rows and {len(golden.predictions)} predictions"]
    if spec.kind != "regression" and len(golden.probabilities or []) != len(golden.rows):
        return [f"golden has {len(golden.rows)} rows and {len(golden.probabilities or [])} probabilities"]
    return []
