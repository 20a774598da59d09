"""How far will diabetes have progressed in a year? A number from ten others, no time, no transform."""

import pandas as pd
import pandera.pandas as pa
import sklearn
from sklearn.datasets import load_diabetes
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ml.data.contract import Contract, columns
from ml.data.schema import Feature
from ml.problem import Problem

FEATURES = (
    Feature(name="age", kind="number", unit="years", minimum=0, maximum=130),
    Feature(name="sex", kind="number", unit="1 or 2, as coded by the source", minimum=1, maximum=2),
    Feature(name="bmi", kind="number", unit="kg/m2", minimum=10, maximum=100),
    Feature(name="blood_pressure", kind="number", unit="mm Hg, mean", minimum=30, maximum=250),
    Feature(name="cholesterol", kind="number", unit="mg/dl", minimum=30, maximum=1000),
    Feature(name="ldl", kind="number", unit="mg/dl", minimum=10, maximum=800),
    Feature(name="hdl", kind="number", unit="mg/dl", minimum=5, maximum=200),
    Feature(name="cholesterol_by_hdl", kind="number", minimum=1, maximum=30),
    Feature(name="log_triglycerides", kind="number", minimum=2, maximum=9),
    Feature(name="glucose", kind="number", unit="mg/dl", minimum=30, maximum=600),
)


def load(_first: str | None, _last: str | None) -> pd.DataFrame:
    values, progression = load_diabetes(return_X_y=True, scaled=False)
    table = pd.DataFrame(values, columns=[feature.name for feature in FEATURES])
    return table.assign(progression=progression)


PROBLEM = Problem(
    name="diabetes",
    kind="regression",
    package=__package__,
    source=f"scikit-learn {sklearn.__version__} diabetes",
    features=FEATURES,
    load=load,
    contract=Contract(
        schema=pa.DataFrameSchema({**columns(FEATURES), "progression": pa.Column(float, pa.Check.gt(0))})
    ),
    target="progression",
    estimator=lambda _seed: make_pipeline(StandardScaler(), RidgeCV()),
)
