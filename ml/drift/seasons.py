"""Which rows new ones are compared with: all that trained, those of the same season, or named months. Pure.

A season is a choice that changes the answer, so it is configuration (`Problem.drift_reference`) and stands in every
record. The season of a month is itself and the calendar months next to it, in whatever year the training rows have
them.
"""

from collections.abc import Sequence
from typing import Literal

from ml.errors import ConfigError

Setting = Literal["training", "season"] | tuple[str, ...]


def reference_months(setting: Setting, trained: Sequence[str], judged: str) -> tuple[str, ...]:
    """The months of the training rows that `judged` is compared with, in order; may be empty for a season.

    Args:
        setting: "training" for all, "season", or the months themselves.
        trained: Months that trained, such as `2013-05`; repetitions do not matter.
        judged: The month of the new rows.

    Raises:
        ConfigError: If a named month did not train.
    """
    known = tuple(sorted(set(trained)))
    if setting == "training":
        return known
    if setting == "season":
        near = {(int(judged[5:]) + shift - 1) % 12 + 1 for shift in (-1, 0, 1)}
        return tuple(month for month in known if int(month[5:]) in near)
    strange = sorted(set(setting) - set(known))
    if strange:
        shown = f"{known[0]} to {known[-1]}" if known else "none"
        message = f"drift_reference names {', '.join(strange[:10])}, and the months that trained are {shown}"
        raise ConfigError("ML-DRIFT-006", message, 'name months that trained, or "training" or "season"')
    return tuple(sorted(set(setting)))
