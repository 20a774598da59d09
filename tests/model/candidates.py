"""One training on the real data for all tests of a session, kept in the checkout's cache."""

from functools import cache

from ml.flights.problem import PROBLEM
from ml.training.candidate import Candidate
from ml.training.run import train
from toolchain import paths

FIRST, SECOND = "2013-06", "2013-07"


@cache
def candidate(through: str = FIRST) -> Candidate:
    return train(PROBLEM, through, out=paths.repo_root() / ".build" / "tests" / f"flights-{through}")
