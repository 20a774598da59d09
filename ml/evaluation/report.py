"""Everything that is measured of a model on its test rows, besides the metrics: for the record and for the report.

`section` makes the record's `evaluation`: few numbers, some of which the gate decides by. `document` makes the content
of `evaluation.json`, a file beside the record that `report.html` is drawn from and nothing decides by. Its shape, and
what a drawer may rely on (`ml/release/schema/evaluation-file.json` is the same for a machine):

    schema       "ml-pipeline/evaluation/v1"
    kind         "binary", "multiclass" or "regression"
    model_sha256 of the model that was measured
    rows         test rows
    classes      the labels in the order of the probabilities; [] for regression
    curves       null for regression, else
      of           "one curve": the second class against the first; or "one curve a class": each against the others
      left_out     classes that have no curve: too rare to be among the ten, or never or always there
      roc          [{class, rows, points: [[false positive rate, true positive rate], ..], area, max_error}]
      precision_recall   [{class, rows, points: [[recall, precision], ..], area, max_error}]
                   at most 100 points in the order of the curve; `max_error` is how far the full curve is from the line
                   through them at most; `area` is of the full curve; `rows` are those of the class
    calibration  {of, binning, bins: [{rows, predicted, observed, standard_error}]}, from the least prediction up;
                 `observed` is a share (classification) or a mean label (regression)
    confusion    null for regression, else {labels, counts}; a row of counts is a true class, a column a predicted one
    scores       {of, edges, counts: {group: [rows per bin, ..]}}: how the scores are spread. Groups are the true
                 classes (binary: the second class's probability), "right" and "wrong" (multiclass: the likeliest
                 class's probability) or "rows" (regression: the prediction)
    residuals    null for classification, else {quantiles: [[level, prediction minus label], ..], histogram: {edges,
                 counts: {"rows": [..]}}}; the histogram holds the middle 98 %

All numbers are finite and have six significant digits.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.evaluation import calibration, curves
from ml.evaluation.metrics import Kind

SCHEMA = "ml-pipeline/evaluation/v1"
FILE = "evaluation.json"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A model's answers on the test rows.

    Attributes:
        labels: Shape (n_rows,), n_rows at least 1.
        predictions: Shape (n_rows,), of the labels' type.
        probabilities: Shape (n_rows, n_classes), finite; None for regression.
        classes: In the order of the probabilities; empty for regression.
    """

    kind: Kind
    labels: NDArray[Any]
    predictions: NDArray[Any]
    probabilities: NDArray[Any] | None
    classes: Sequence[int | str]

    @property
    def chances(self) -> NDArray[np.float64]:
        """The probabilities of a classification."""
        if self.probabilities is None:
            raise TypeError(f"a {self.kind} model has no probabilities here")
        return self.probabilities.astype(np.float64)

    @property
    def truth(self) -> NDArray[np.intp]:
        """The index of each row's class."""
        index = {label: position for position, label in enumerate(self.classes)}
        return np.asarray([index[label] for label in self.labels.tolist()], dtype=np.intp)


def section(judged: Judged, *, model_sha256: str, runtime: Mapping[str, Any]) -> dict[str, Any]:
    """The record's `evaluation`, as far as this model alone decides it."""
    counts: dict[str, Any] = {"rows": len(judged.labels)}
    if judged.kind != "regression":
        found = np.bincount(judged.truth, minlength=len(judged.classes)).tolist()
        counts["classes"] = {str(label): rows for label, rows in zip(judged.classes, found, strict=True)}
    return {
        "model_sha256": model_sha256,
        "counts": counts,
        "calibration": _calibration(judged)[0],
        "runtime": dict(runtime),
    }


def document(judged: Judged, *, model_sha256: str) -> dict[str, Any]:
    """The content of `evaluation.json`; see the module's own words."""
    summary, bins = _calibration(judged)
    classification = judged.kind != "regression"
    return {
        "schema": SCHEMA,
        "kind": judged.kind,
        "model_sha256": model_sha256,
        "rows": len(judged.labels),
        "classes": list(judged.classes),
        "curves": _curves(judged) if classification else None,
        "calibration": {"of": summary["of"], "binning": summary["binning"], "bins": bins},
        "confusion": curves.confusion(judged.labels, judged.predictions, judged.classes) if classification else None,
        "scores": _scores(judged),
        "residuals": None if classification else curves.residuals(*_numbers(judged)),
    }


def to_bytes(content: Mapping[str, Any]) -> bytes:
    """The one byte form of a document: the same model and rows give the same file.

    Raises:
        ValueError: If a number is NaN or infinite.
    """
    return (json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _calibration(judged: Judged) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    if judged.kind == "regression":
        return calibration.regression(*_numbers(judged))
    if judged.kind == "binary":
        return calibration.binary(judged.truth == 1, judged.chances[:, 1])
    return calibration.multiclass(judged.truth, judged.chances)


def _numbers(judged: Judged) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return judged.labels.astype(np.float64), judged.predictions.astype(np.float64)


def _curves(judged: Judged) -> dict[str, Any]:
    truth, chances = judged.truth, judged.chances
    rows = np.bincount(truth, minlength=len(judged.classes))
    binary = judged.kind == "binary"
    ranked = [1] if binary else np.argsort(-rows, kind="stable")[: curves.MAX_CLASSES].tolist()
    found: dict[str, list[dict[str, Any]]] = {"roc": [], "precision_recall": []}
    for index in sorted(ranked):
        for name, draw in (("roc", curves.roc), ("precision_recall", curves.precision_recall)):
            curve = draw(truth == index, chances[:, index])
            if curve is not None:
                found[name].append({"class": judged.classes[index], "rows": int(rows[index]), **curve})
    drawn = {curve["class"] for curve in found["roc"]}
    left_out = [label for label in judged.classes[1 if binary else 0 :] if label not in drawn]
    return {"of": "one curve" if binary else "one curve a class", "left_out": left_out, **found}


def _scores(judged: Judged) -> dict[str, Any]:
    if judged.kind == "regression":
        values = judged.predictions.astype(np.float64)
        low, high = float(values.min()), float(values.max())
        limits = (low, high) if high > low else (low - 0.5, low + 0.5)
        return {"of": "prediction", **curves.histogram(values, np.zeros(len(values)), ["rows"], limits)}
    if judged.kind == "binary":
        names = [str(label) for label in judged.classes]
        spread = curves.histogram(judged.chances[:, 1], judged.truth, names, (0.0, 1.0))
        return {"of": "probability of the second class", **spread}
    wrong = (judged.chances.argmax(axis=1) != judged.truth).astype(int)
    spread = curves.histogram(judged.chances.max(axis=1), wrong, ["right", "wrong"], (0.0, 1.0))
    return {"of": "probability of the likeliest class", **spread}
