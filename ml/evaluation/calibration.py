"""Whether a probability means what it says, and whether a regression is off on average. Pure numpy.

Called by `ml.evaluation.report` for the record (the summary) and for the report (the bins).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.evaluation.curves import rounded

Floats = NDArray[np.float64]

BINS = 15
BINNING = f"{BINS} bins of equally many rows"


def binary(truth: NDArray[np.bool_], chances: Floats) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Calibration of the probability of the second class.

    Args:
        truth: Whether a row is of that class, shape (n_rows,).
        chances: Shape (n_rows,), in [0, 1].

    Returns:
        The summary and the bins. `brier` is the mean squared distance of the probability from 0 or 1.
    """
    brier = float(((chances - truth) ** 2).mean())
    return _summary("probability of the second class", truth, chances, brier)


def multiclass(truth: NDArray[np.intp], chances: Floats) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Calibration of the probability of the likeliest class.

    Args:
        truth: Index of each row's class, shape (n_rows,).
        chances: Shape (n_rows, n_classes), in [0, 1].

    Returns:
        The summary and the bins. `brier` is summed over the classes, as Brier (1950) defines it: 0 to 2.
    """
    brier = float(((chances - np.eye(chances.shape[1])[truth]) ** 2).sum(axis=1).mean())
    return _summary("probability of the likeliest class", chances.argmax(axis=1) == truth, chances.max(axis=1), brier)


def regression(labels: Floats, predictions: Floats) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Whether predictions are off on average, and whether they spread as they should.

    Args:
        labels: Shape (n_rows,).
        predictions: Shape (n_rows,).

    Returns:
        The summary and bins of mean prediction and mean label. `residual_mean` is prediction minus label, with its
        standard error. `slope` is that of the least-squares line of the labels over the predictions: 1 is right, less
        than 1 means predictions too extreme; None where all predictions are equal.
    """
    errors = predictions - labels
    spread = float(predictions.var())
    covariance = float(((predictions - predictions.mean()) * (labels - labels.mean())).mean())
    scatter = float(errors.std(ddof=1)) if len(errors) > 1 else None
    summary = {
        "of": "prediction",
        "binning": BINNING,
        "residual_mean": rounded(float(errors.mean())),
        "residual_standard_error": None if scatter is None else rounded(scatter / len(errors) ** 0.5),
        "residual_deviation": None if scatter is None else rounded(scatter),
        "slope": rounded(covariance / spread) if spread > 0 else None,
    }
    return summary, _bins(labels, predictions)


def _summary(
    of: str, truth: NDArray[np.bool_], chances: Floats, brier: float
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """`error` is the expected calibration error, and `error_by_chance` what a perfect model would show.

    Source: Naeini, Cooper and Hauskrecht (2015), with bins of equally many rows. A perfectly calibrated model has an
    error above 0 as well: in each bin the mean of |normal(0, se)|, which is se times the root of 2/pi.
    """
    error = by_chance = 0.0
    for rows in parts(chances):
        share = len(rows) / len(chances)
        error += share * abs(float(truth[rows].mean()) - float(chances[rows].mean()))
        deviation = float(np.sqrt((chances[rows] * (1 - chances[rows])).sum())) / len(rows)
        by_chance += share * deviation * float(np.sqrt(2 / np.pi))
    summary = {
        "of": of,
        "binning": BINNING,
        "error": rounded(error),
        "error_by_chance": rounded(by_chance),
        "brier": rounded(brier),
    }
    return summary, _bins(truth, chances)


def parts(values: Floats) -> Sequence[NDArray[np.intp]]:
    """Indexes of the rows of each bin, from the least value up; equal values may fall into two bins."""
    order = np.argsort(values, kind="stable")
    return [part for part in np.array_split(order, BINS) if len(part)]


def _bins(observed: NDArray[Any], predicted: Floats) -> list[dict[str, Any]]:
    """Each bin's rows, mean prediction, and the share or mean that was observed, with its standard error."""
    found = []
    for rows in parts(predicted):
        seen = observed[rows].astype(np.float64)
        error = float(seen.std(ddof=1)) / len(rows) ** 0.5 if len(rows) > 1 else None
        found.append(
            {
                "rows": len(rows),
                "predicted": rounded(float(predicted[rows].mean())),
                "observed": rounded(float(seen.mean())),
                "standard_error": None if error is None else rounded(error),
            }
        )
    return found
