"""What the pipeline has to know about a problem, and which problem this checkout is about.

A problem is a folder with a module `problem` that defines `PROBLEM`; `[tool.ml-pipeline] problem` in
`pyproject.toml` names the folder. Everything outside that folder works from this description alone.
"""

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ml.configured import FIX, configured
from ml.data.schema import Feature
from ml.errors import ConfigError
from toolchain import paths

if TYPE_CHECKING:
    import pandas as pd

    from ml.data.contract import Contract
    from ml.data.pin import Pin
    from ml.training.space import Space

Kind = Literal["binary", "multiclass", "regression"]
Load = Callable[[str | None, str | None], "pd.DataFrame"]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One prediction problem.

    Attributes:
        name: Of the registered model and its releases: `flights` makes `flights-0001`.
        kind: What is predicted.
        package: Dotted name of the problem's folder; its content is part of a model's identity.
        source: Where the data come from, with its version.
        features: The model's inputs, in the order of a request row.
        transform: `module:function` that turns encoded rows into the estimator's columns, or None. The module is
            loaded by the model server as well, so it may import numpy only.
        load: The table for the months (`2013-01`, `2013-06`), both inclusive; None leaves that end open.
        contract: What a row must satisfy before it may train or judge a model.
        target: Column of the label.
        classes: The labels in sorted order, the columns of the probabilities; empty for regression.
        estimator: A fresh, unfitted scikit-learn estimator for a seed and, as keywords, a point of `space`; called with
            the seed alone it is the estimator as written. Same arguments, same model.
        time: Column of the moment a row is about. With it the newest month judges; without it a seeded,
            stratified fifth does.
        key: Columns that identify a row; empty means that the whole row does.
        known_afterwards: Columns of the source that do not exist yet when a prediction is due.
        threshold: Binary only: from which probability of `classes[1]` on that class is predicted. "prevalence"
            takes the one at which, on the training rows, as many are predicted as there are.
        slices: Groups of test rows that are judged by themselves: name -> a column of the table, or a function of the
            table that returns one value a row, such as the hour band of a departure.
        slice_metric: The metric of the slices; by default accuracy, or mae for regression.
        pin: The snapshot that `load` reads, set by `ml.data.pin`; a folder's `PROBLEM` has none.
        space: What the hyper-parameter search may vary: each name is a keyword of `estimator` whose default lies in it.
            Empty: there is nothing to search.
        drift_reference: Which training rows new ones are compared with: all ("training"), those of the same time of
            the year ("season": the calendar months next to the judged one and itself), or months by name. Stands in
            every record.
    """

    name: str
    kind: Kind
    package: str
    source: str
    features: tuple[Feature, ...]
    load: Load
    contract: "Contract"
    target: str
    estimator: Callable[..., Any]
    transform: str | None = None
    classes: tuple[int | str, ...] = ()
    time: str | None = None
    key: tuple[str, ...] = ()
    known_afterwards: tuple[str, ...] = ()
    threshold: float | Literal["prevalence"] = "prevalence"
    slices: Mapping[str, "str | Callable[[pd.DataFrame], Any]"] = field(default_factory=dict)
    slice_metric: str | None = None
    pin: "Pin | None" = None
    space: "Space" = ()
    drift_reference: Literal["training", "season"] | tuple[str, ...] = "training"


def current() -> Problem:
    """The problem of this checkout; the environment variable `MLP_PROBLEM` wins over `pyproject.toml`."""
    named = os.environ.get("MLP_PROBLEM")
    return by_package(named or configured(paths.repo_root() / "pyproject.toml"))


def by_package(package: str) -> Problem:
    """The problem that a folder defines.

    Raises:
        ConfigError: If there is no such folder or it defines no `PROBLEM`.
    """
    module_name = f"{package}.problem"
    if (root := str(paths.repo_root())) not in sys.path:
        sys.path.append(root)  # a command knows `ml` and the like only; the folder may stand anywhere in the checkout
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # A missing dependency of the user's code is its own error and keeps its traceback.
        if error.name is None or not module_name.startswith(error.name):
            raise
        raise _unknown(package, f"no module {error.name!r}") from error
    problem = getattr(module, "PROBLEM", None)
    if not isinstance(problem, Problem):
        raise _unknown(package, f"{module_name} defines no PROBLEM")
    return problem


def _unknown(package: str, reason: str) -> ConfigError:
    return ConfigError("ML-CONF-102", f"problem {package!r}: {reason}", FIX)
