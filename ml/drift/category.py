"""One categorical column: how often the reference has each category, and how far new rows are from that. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.data.schema import UNKNOWN_CATEGORY


@dataclass(frozen=True, kw_only=True, slots=True)
class CategoryReference:
    """Rows per category of the reference, shape (n_categories + 1,): missing and unknown ones are the last cell.

    `categories` names the others; a name that no row of the reference has counts 0 and is unseen.
    """

    categories: tuple[str, ...]
    counts: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """All rows of the reference."""
        return int(self.counts.sum())


def counts(categories: Sequence[str], codes: NDArray[np.floating]) -> NDArray[np.int64]:
    """Rows per category, the unknown last; `codes` (n_rows,) as `ml.data.schema` encodes them."""
    found = np.bincount(codes.astype(np.int64) - int(UNKNOWN_CATEGORY), minlength=len(categories) + 1)
    return np.append(found[1:], found[0])


def unseen(reference: NDArray[np.int64], current: NDArray[np.int64]) -> int:
    """Rows in a cell that the reference has no row in."""
    return int(current[reference == 0].sum())
