"""The one way to find a problem's transform, for training, evaluation and serving. Imports numpy only."""

import importlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Transform = Callable[[Matrix], Matrix]


def resolve(path: str | None) -> Transform:
    """The function behind `module:function`; without a path, one that returns the rows as they are.

    Raises:
        ValueError: If the path has no colon or the module no such function.
    """
    if path is None:
        return _unchanged
    module, _, name = path.partition(":")
    function = getattr(importlib.import_module(module), name, None) if name else None
    if function is None:
        raise ValueError(f"transform {path!r}: must be module:function, for example my_problem.features:transform")

    def checked(rows: Matrix) -> Matrix:
        return np.asarray(function(rows), dtype=np.float32)

    return checked


def _unchanged(rows: Matrix) -> Matrix:
    return rows
