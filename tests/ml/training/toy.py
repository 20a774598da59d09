"""A problem small enough to train in milliseconds: with time, numbers and a category, binary."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pandera.pandas as pa
from sklearn.linear_model import LogisticRegression

from ml.data.contract import Contract, columns
from ml.data.schema import Feature
from ml.problem import Problem

FEATURES = (
    Feature(name="heat", kind="number", minimum=-100, maximum=100),
    Feature(name="kind", kind="category", categories=("a", "b")),
)


def table(months=("2013-01", "2013-02", "2013-03"), rows=60, seed=0):
    rng = np.random.default_rng(seed)
    heat = rng.normal(size=rows * len(months))
    when = [pd.Timestamp(f"{month}-01") + pd.Timedelta(hours=hour) for month in months for hour in range(rows)]
    return pd.DataFrame(
        {
            "when": when,
            "heat": heat,
            "kind": rng.choice(["a", "b"], len(heat)),
            "hot": (heat + rng.normal(size=len(heat)) > 0).astype(float),
        }
    )


def problem(data=None, **changes):
    source = table() if data is None else data

    def load(first, last):
        month = source["when"].dt.strftime("%Y-%m")
        return source[(month >= (first or "")) & (month <= (last or "9"))].reset_index(drop=True)

    toy = Problem(
        name="toy",
        kind="binary",
        package="tests.ml.training",
        source="made up",
        features=FEATURES,
        load=load,
        contract=Contract(
            schema=pa.DataFrameSchema(
                {"when": pa.Column("datetime64[us]"), "hot": pa.Column(float), **columns(FEATURES)}
            )
        ),
        target="hot",
        classes=(0, 1),
        estimator=lambda seed: LogisticRegression(random_state=seed),
        time="when",
        key=("when",),
    )
    return replace(toy, **changes)
