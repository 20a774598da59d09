"""serving.json: everything the model server must know besides the model itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml.data.schema import UNKNOWN_CATEGORY, Feature, encode_rows
from ml.evaluation.score import score
from ml.problem import Problem
from ml.training.reference import reference

SCHEMA = "ml-pipeline/serving/v1"
_SPREAD = 4  # golden rows from the least to the most likely one


def spec(problem: Problem, *, threshold: float | None, reference_x: NDArray[np.float32]) -> dict[str, Any]:
    """serving.json but for its golden rows and the bins of its answers, which need a model that can be scored."""
    return {
        "schema": SCHEMA,
        "problem": problem.name,
        "kind": problem.kind,
        "features": [feature.to_json() for feature in problem.features],
        "transform": problem.transform,
        "classes": list(problem.classes),
        "threshold": threshold,
        "reference": reference(problem.features, reference_x),
    }


def golden(problem: Problem, serving: dict[str, Any], model_path: Path, test: pd.DataFrame) -> dict[str, Any]:
    """About five requests with the answers that every copy of this model must give.

    From the least to the most likely test row, one with a missing value, and one with nothing but what it must have.
    """
    x = encode_rows(problem.features, _requests(problem.features, test))
    predictions, probabilities = score(model_path, serving, x)
    order = np.argsort(predictions if probabilities is None else probabilities[:, -1], kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, _SPREAD).astype(int)].tolist()
    blank = np.isnan(x).any(axis=1) | (x == UNKNOWN_CATEGORY).any(axis=1)
    chosen += np.flatnonzero(blank)[:1].tolist()
    rows = _requests(problem.features, test.iloc[list(dict.fromkeys(chosen))])
    if any(feature.nullable or feature.kind == "category" for feature in problem.features):
        rows.append([_emptied(f, value) for f, value in zip(problem.features, rows[0], strict=True)])
    predictions, probabilities = score(model_path, serving, encode_rows(problem.features, rows))
    return {
        "rows": rows,
        "predictions": predictions.tolist(),
        "probabilities": None if probabilities is None else probabilities.tolist(),
    }


def _requests(features: tuple[Feature, ...], table: pd.DataFrame) -> list[list[Any]]:
    """Rows as a client sends them: JSON values, missing ones as null."""
    values = [_json_column(table[feature.name]) for feature in features]
    return [list(row) for row in zip(*values, strict=True)]


def _json_column(column: "pd.Series[Any]") -> list[Any]:
    plain = column.astype(object).where(column.notna(), None).tolist()
    return [int(v) if isinstance(v, float) and v.is_integer() else v for v in plain]


def _emptied(feature: Feature, value: object) -> object:
    return None if feature.nullable or feature.kind == "category" else value
