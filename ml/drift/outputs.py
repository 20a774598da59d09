"""The model's own answers as one column, so that they are compared as any feature is. Pure.

Binary: the probability of the second class (`score`). Multi-class: the predicted class. Regression: the number itself.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.schema import Feature


def answers(
    kind: str, classes: Sequence[Any], predictions: NDArray[Any], probabilities: NDArray[np.floating] | None
) -> tuple[Feature, NDArray[np.floating]]:
    """What the answers are called, and their values, shape (n_rows,).

    Args:
        kind: binary, multiclass or regression.
        classes: In the order of the probabilities' columns; empty for regression.
        predictions: Labels or numbers, shape (n_rows,).
        probabilities: Shape (n_rows, n_classes), None for regression.
    """
    if kind == "regression" or probabilities is None:
        return Feature(name="value", kind="number"), np.asarray(predictions, dtype=np.float32)
    if kind == "binary":
        return Feature(name="score", kind="number"), probabilities[:, 1]
    names = tuple(str(label) for label in classes)
    chosen = probabilities.argmax(axis=1).astype(np.float32)
    return Feature(name="class", kind="category", categories=names), chosen
