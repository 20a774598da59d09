"""Which training rows judge a trial: always later ones than those it was trained on, and never the test rows. Pure."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold, StratifiedKFold, TimeSeriesSplit

if TYPE_CHECKING:
    import pandas as pd

FOLDS = 3


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Row numbers to train on and to judge on, each in the order of the table."""

    train: NDArray[np.intp]
    judge: NDArray[np.intp]


def by_time(moments: "pd.Series[Any]") -> list[Fold]:
    """The last months each judge what the months before it taught, the earliest first, as a release is judged.

    With a single month its rows in order of time take the place of months.
    """
    month = moments.dt.strftime("%Y-%m").to_numpy()
    judging = np.unique(month)[1:][-FOLDS:]
    if len(judging):
        return [Fold(train=np.flatnonzero(month < one), judge=np.flatnonzero(month == one)) for one in judging]
    order = np.argsort(moments.to_numpy(), kind="stable")
    parts = TimeSeriesSplit(n_splits=FOLDS).split(order)
    return [Fold(train=np.sort(order[early]), judge=np.sort(order[late])) for early, late in parts]


def without_time(labels: NDArray[Any], *, seed: int, stratified: bool) -> list[Fold]:
    """Seeded folds of a problem without time; `stratified` keeps the share of each class."""
    kind = StratifiedKFold if stratified else KFold
    parts = kind(n_splits=FOLDS, shuffle=True, random_state=seed).split(np.zeros(len(labels)), labels)
    return [Fold(train=early, judge=late) for early, late in parts]
