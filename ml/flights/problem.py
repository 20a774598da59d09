"""The flights problem in one place: this is what the rest of the pipeline sees of this folder."""

from ml.flights import source
from ml.flights.contract import CONTRACT
from ml.flights.features import FEATURES
from ml.flights.model import SPACE, estimator
from ml.flights.slices import SLICES
from ml.problem import Problem

PROBLEM = Problem(
    name="flights",
    kind="binary",
    package="ml.flights",
    source=source.version(),
    features=FEATURES,
    transform="ml.flights.features:transform",
    load=source.load,
    contract=CONTRACT,
    target="late",
    classes=(0, 1),
    estimator=estimator,
    space=SPACE,
    time="departure",
    key=("departure", "carrier", "flight", "origin"),
    slices=SLICES,
    known_afterwards=("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"),
)
