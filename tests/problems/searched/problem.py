"""Is x above zero, up to noise? Four months of made-up rows, and a logistic regression with something to search.

`SEARCHED_LOG` names a file: the first worker that fits a weak model writes its process id there and then sleeps,
so that a test can kill it in the middle of a trial.
"""

import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ml.data.contract import Contract, number
from ml.data.schema import Feature
from ml.problem import Problem
from ml.training.space import Choice, Real, Space

ROWS = 80
MONTHS = ("2013-01", "2013-02", "2013-03", "2013-04", "2013-05")
FEATURES = (Feature(name="x", kind="number"), Feature(name="y", kind="number"))
SPACE: Space = (
    Real(name="strength", low=0.001, high=100.0, log=True),
    Choice(name="solver", values=("lbfgs", "liblinear")),
)


def load(first: str | None, last: str | None) -> pd.DataFrame:
    random = np.random.default_rng(3)
    x, y, noise = (random.normal(size=ROWS * len(MONTHS)) for _ in range(3))
    when = pd.to_datetime([f"{month}-{1 + row % 28:02d}" for month in MONTHS for row in range(ROWS)])
    table = pd.DataFrame({"when": when, "x": x, "y": y, "label": (x + noise > 0).astype(int), "row": range(len(x))})
    month = table["when"].dt.strftime("%Y-%m")
    return table[(month >= (first or "")) & (month <= (last or "9"))].reset_index(drop=True)


def estimator(seed: int, *, strength: float = 1.0, solver: str = "lbfgs") -> Pipeline:
    log = os.environ.get("SEARCHED_LOG")
    if log and strength < 1.0 and not Path(log).exists():
        Path(log).write_text(str(os.getpid()))
        time.sleep(60)
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, solver=solver, random_state=seed))


PROBLEM = Problem(
    name="searched",
    kind="binary",
    package=__package__,
    source="made up",
    features=FEATURES,
    load=load,
    contract=Contract(
        schema=pa.DataFrameSchema(
            {**{one.name: number(one) for one in FEATURES}, "label": pa.Column(int, pa.Check.isin([0, 1]))}
        )
    ),
    target="label",
    classes=(0, 1),
    estimator=estimator,
    space=SPACE,
    time="when",
    key=("row",),
)
