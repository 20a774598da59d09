"""How often each rule for drift is wrong, by simulation: false alarms on still features, and what is found.

Stated seeds, and 95 % Clopper-Pearson bounds of every rate. Called by `benchmarks.drift`.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import beta

from ml.data.schema import Feature
from ml.drift.compare import compare
from ml.drift.decide import Outcome, judge
from ml.drift.reference import prepare_columns
from ml.statistics.multiplicity import benjamini_hochberg

SEED = 42
COLUMNS = 30
POLICY = {"min_rows": 500, "min_d": 0.05, "alpha": 0.01}


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """What is true: how many of the numbers moved by how many standard deviations, on how many rows a side.

    With `mixed`, ten of the columns are categories and half of the numbers miss 5 % of their values.
    """

    name: str
    rows: int
    moved: int = 0
    shift: float = 0.0
    mixed: bool = False


CASES = (
    Case(name="nothing", rows=1_000),
    Case(name="nothing", rows=10_000),
    Case(name="nothing, mixed kinds", rows=1_000, mixed=True),
    Case(name="nothing, mixed kinds", rows=10_000, mixed=True),
    Case(name="all by 0.02 sd (harmless)", rows=10_000, moved=30, shift=0.02),
    Case(name="one by 0.2 sd", rows=1_000, moved=1, shift=0.2),
    Case(name="one by 0.2 sd", rows=10_000, moved=1, shift=0.2),
    Case(name="ten by 0.5 sd", rows=1_000, moved=10, shift=0.5),
)


def measure(trials: int) -> list[dict[str, Any]]:
    """Per case and rule: how many of the trials raised an alarm, with bounds."""
    found = []
    for index, case in enumerate(CASES):
        print(f"simulating {case.name}, {case.rows:,} rows: {trials} trials", file=sys.stderr)
        random = np.random.default_rng((SEED, index))
        alarms = [_alarms(case, random) for _ in range(trials)]
        rates = {rule: _rate(sum(alarm[rule] for alarm in alarms), trials) for rule in alarms[0]}
        found.append({"case": case.name, "rows": case.rows, "trials": trials, "rates": rates})
    return found


def _alarms(case: Case, random: np.random.Generator) -> Mapping[str, bool]:
    """Whether each rule raises an alarm for one pair of samples."""
    features = [_feature(case, index) for index in range(COLUMNS)]
    reference, current = ({f.name: _column(case, f, random) for f in features} for _ in range(2))
    for feature in features[: case.moved]:
        current[feature.name] = current[feature.name] + case.shift
    section = {"features": compare(prepare_columns(features, reference, {}), current)}
    ours = judge(section, POLICY)
    p_values = [float(outcome.p or 0.0) for outcome in ours if outcome.part == "distribution"]
    below = [p < 0.05 for p in p_values]
    return {
        "any p < 0.05 (classic)": any(below),
        "half p < 0.05": sum(below) >= len(below) / 2,
        "Bonferroni": min(p_values) < 0.05 / len(p_values),
        "Benjamini-Hochberg": min(benjamini_hochberg(p_values)) < 0.05,
        "ours": any(outcome.state == "moved" for outcome in ours),
        "ours, floor 0.1": _moved(judge(section, {**POLICY, "min_d": 0.1})),
    }


def _moved(outcomes: Sequence[Outcome]) -> bool:
    return any(outcome.state == "moved" for outcome in outcomes)


def _feature(case: Case, index: int) -> Feature:
    if case.mixed and index >= COLUMNS * 2 // 3:
        return Feature(name=f"f{index}", kind="category", categories=tuple(f"c{i}" for i in range(2 + index)))
    return Feature(name=f"f{index}", kind="number", nullable=case.mixed and index % 2 == 0)


def _column(case: Case, feature: Feature, random: np.random.Generator) -> Any:
    if feature.kind == "category":
        weights = 1.0 / np.arange(1, len(feature.categories) + 1)
        return random.choice(len(weights), case.rows, p=weights / weights.sum()).astype(float)
    values = random.normal(size=case.rows)
    if feature.nullable:
        values[random.random(case.rows) < 0.05] = np.nan
    return values


def _rate(alarms: int, trials: int) -> dict[str, float]:
    """Source of the bounds: Clopper and Pearson (1934)."""
    low = float(beta.ppf(0.025, alarms, trials - alarms + 1)) if alarms else 0.0
    high = float(beta.ppf(0.975, alarms + 1, trials - alarms)) if alarms < trials else 1.0
    return {"rate": alarms / trials, "low": low, "high": high}


def show(rates: Sequence[Mapping[str, Any]]) -> None:
    """A Markdown table (docs/drift.md holds one) would not fit a terminal; this one does."""
    table = Table(title=f"% of checks that alarm, [95 % bounds]; {COLUMNS} independent columns, seed {SEED}")
    table.add_column("what is true")
    for rule in rates[0]["rates"]:
        table.add_column(rule, justify="right")
    for row in rates:
        cells = [f"{r['rate']:.1%}\n[{r['low']:.1%}, {r['high']:.1%}]" for r in row["rates"].values()]
        table.add_row(f"{row['case']}\n{row['rows']:,} rows, {row['trials']} trials", *cells)
    Console(width=150).print(table)
