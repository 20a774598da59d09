"""Which of three irises is it? Four numbers, three classes, no time, no transform."""

import pandas as pd
import pandera.pandas as pa
import sklearn
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ml.data.contract import Contract, columns
from ml.data.schema import Feature
from ml.problem import Problem

CLASSES = ("setosa", "versicolor", "virginica")
FEATURES = tuple(
    Feature(name=name, kind="number", unit="cm", minimum=0, maximum=100)
    for name in ("sepal_length", "sepal_width", "petal_length", "petal_width")
)


def load(_first: str | None, _last: str | None) -> pd.DataFrame:
    values, species = load_iris(return_X_y=True)
    table = pd.DataFrame(values, columns=[feature.name for feature in FEATURES])
    return table.assign(species=[CLASSES[index] for index in species])


PROBLEM = Problem(
    name="iris",
    kind="multiclass",
    package=__package__,
    source=f"scikit-learn {sklearn.__version__} iris",
    features=FEATURES,
    load=load,
    contract=Contract(
        schema=pa.DataFrameSchema({**columns(FEATURES), "species": pa.Column(str, pa.Check.isin(CLASSES))})
    ),
    target="species",
    classes=CLASSES,
    estimator=lambda seed: make_pipeline(StandardScaler(), LogisticRegression(random_state=seed)),
)
