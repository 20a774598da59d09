"""The space of a hyper-parameter search in plain values, and the points that a seed draws from it.

Pure, and imports no search library: a problem's folder declares its space with these classes. A point depends on
nothing but the space, the sampler, the seed and the trial's index, so every size of the search draws the same ones.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.stats import qmc

from ml.errors import ConfigError

Value = float | int | str | bool
Fixed = Literal["halton", "random"]
"""Samplers whose points do not depend on what other trials found."""

_DIGITS = 4  # of a drawn real number: nobody needs more, and it stays readable in a record


@dataclass(frozen=True, kw_only=True)
class Real:
    """A real number from `low` to `high`, both included; `log` draws its logarithm evenly."""

    name: str
    low: float
    high: float
    log: bool = False

    def at(self, share: float) -> float:
        """The value at a share in [0, 1) of the range."""
        drawn = float(f"{_between(self.low, self.high, share, log=self.log):.{_DIGITS}g}")
        return min(max(drawn, self.low), self.high)

    def holds(self, value: object) -> bool:
        """Whether it is a number of the range."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high  # type: ignore[operator]  # `number` says it is one


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A whole number from `low` to `high`, both included; `log` draws its logarithm evenly."""

    name: str
    low: int
    high: int
    log: bool = False

    def at(self, share: float) -> int:
        """The value at a share in [0, 1) of the range; every number has its part of it."""
        edge = _between(self.low, self.high + 1, share, log=self.log)
        return min(max(math.floor(edge), self.low), self.high)

    def holds(self, value: object) -> bool:
        """Whether it is a whole number of the range."""
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One of some values without an order."""

    name: str
    values: tuple[Value, ...]

    def at(self, share: float) -> Value:
        """The value at a share in [0, 1) of the list."""
        return self.values[min(int(share * len(self.values)), len(self.values) - 1)]

    def holds(self, value: object) -> bool:
        """Whether it is one of the values; 1 is not True."""
        return any(value == known and type(value) is type(known) for known in self.values)


Dimension = Real | Whole | Choice
Space = tuple[Dimension, ...]


def point(space: Space, sampler: Fixed, seed: int, index: int) -> dict[str, Value]:
    """The parameters of trial `index`, the same in every process.

    `halton` covers the space evenly whatever the number of trials; `random` draws independently.

    Source: Owen, "A randomized Halton algorithm in R" (2017), as `scipy.stats.qmc.Halton`.
    """
    if sampler == "halton":
        drawn = qmc.Halton(d=len(space), scramble=True, rng=seed).fast_forward(index).random(1)[0]
    else:
        drawn = np.random.default_rng([seed, index]).random(len(space))
    return {one.name: one.at(float(share)) for one, share in zip(space, drawn, strict=True)}


def given(estimator: Callable[..., Any], space: Space) -> dict[str, Value]:
    """The estimator as it was written: its own default for every parameter of the space.

    Raises:
        ConfigError: Naming every parameter that the estimator does not take, or whose default is outside the space.
    """
    known = inspect.signature(estimator).parameters
    problems = [*_malformed(space)]
    found: dict[str, Value] = {}
    for one in space:
        default: Any = known[one.name].default if one.name in known else inspect.Parameter.empty
        if one.name not in known:
            problems.append(f"{one.name}: the estimator takes no such argument")
        elif default is inspect.Parameter.empty:
            problems.append(f"{one.name}: the estimator's argument needs a default, the value without a search")
        elif not one.holds(default):
            problems.append(f"{one.name}={default!r}: the estimator's default must lie in the space")
        else:
            found[one.name] = default
    if problems:
        fix = "correct the space or the estimator's signature in the problem's model.py"
        raise ConfigError("ML-TRAIN-010", f"the search space is refused: {'; '.join(problems)}", fix)
    return found


def refuse_outside(space: Space, parameters: Mapping[str, object]) -> None:
    """Raise a ConfigError (`ML-TRAIN-010`) unless the parameters are exactly one point of the space."""
    by_name = {one.name: one for one in space}
    outside = [name for name, one in by_name.items() if name in parameters and not one.holds(parameters[name])]
    wrong = sorted({*(set(by_name) ^ set(parameters)), *outside})
    if wrong:
        named = ", ".join(wrong)
        message = f"these parameters are no point of the problem's search space: {named}"
        raise ConfigError("ML-TRAIN-010", message, "search again, or use the checkout that searched")


def described(space: Space) -> list[dict[str, Any]]:
    """The space as JSON values, for the key of a search."""
    return [{"kind": type(one).__name__, **vars(one)} for one in space]


def _malformed(space: Sequence[Dimension]) -> list[str]:
    names = [one.name for one in space]
    found = [f"{name}: is there twice" for name in sorted(set(names)) if names.count(name) > 1]
    for one in space:
        if isinstance(one, Choice):
            if len(one.values) < 1:
                found.append(f"{one.name}: needs at least one value")
        elif not (math.isfinite(one.low) and math.isfinite(one.high) and one.low < one.high):
            found.append(f"{one.name}: low {one.low!r} must be below high {one.high!r}, both finite")
        elif one.log and one.low <= 0:
            found.append(f"{one.name}: low {one.low!r} must be above 0 for a logarithmic range")
    return found


def _between(low: float, high: float, share: float, *, log: bool) -> float:
    if log:
        return math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    return low + share * (high - low)
