"""A table as one self-contained page: the ledger, then each column with its distribution, range and course by month.

The same data give the same bytes. Called by `mlp data profile`.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import pandas as pd

from ml.data import plots
from ml.data.checker import Outcome
from ml.data.schema import Feature
from ml.data.summary import WHOLE, Summary

if TYPE_CHECKING:
    from ml.problem import Problem

_FEW = 8  # distinct numbers that are shown as categories: labels, weekdays
_KINDS = {"float": "number", "int": "whole number", "datet": "time", "str": "text", "bool": "yes or no"}
_TEMPLATE = Path(__file__).with_name("profile.html.j2")


def page(problem: "Problem", outcome: Outcome, source: str) -> str:
    """The page as HTML; every text of the data is escaped."""
    ledger, summary = outcome.ledger, outcome.summary
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    months = dict(sorted(summary.rows.items()))
    age = outcome.age
    rejected = sum(ledger.rejected.values())
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        title=problem.name,
        source=source,
        faults=_faults(problem, outcome),
        age=None if age is None else f"{age.days:.1f} days older than {age.as_of:%Y-%m-%d}, at most {age.limit_days:g}",
        tiles=[
            ("rows", f"{ledger.total:,}"),
            ("accepted", f"{ledger.accepted:,}"),
            ("dropped", f"{sum(ledger.dropped.values()):,}"),
            ("rejected", f"{rejected:,}"),
            ("months", f"{len(months):,}")
            if WHOLE not in months
            else ("columns", len(problem.contract.schema.columns)),
        ],
        ledger=_ledger(outcome),
        months=_inline(plots.bars(months)) if len(months) > 1 else None,
        columns=[_column(problem, outcome, name) for name in problem.contract.schema.columns],
        sampled=f"{len(summary.sample):,}",
    )


def _faults(problem: "Problem", outcome: Outcome) -> list[tuple[str, str]]:
    faults = [(finding.code, finding.words) for finding in outcome.findings]
    share, limit = outcome.ledger.rejected_share, problem.contract.max_rejected_share
    if share > limit:
        faults.append(("ML-DATA-004", f"{share:.2%} of the rows are rejected, at most {limit:.2%} may be"))
    return faults


def _ledger(outcome: Outcome) -> list[tuple[str, str, str, str]]:
    ledger = outcome.ledger
    rows = [("accepted", "", ledger.accepted)]
    rows += [("dropped", code, n) for code, n in sorted(ledger.dropped.items())]
    rows += [("rejected", code, n) for code, n in sorted(ledger.rejected.items())]
    rows.append(("total", "", ledger.total))
    return [(kind, code, f"{n:,}", f"{n / ledger.total:.2%}") for kind, code, n in rows]


def _column(problem: "Problem", outcome: Outcome, name: str) -> dict[str, Any]:
    summary, rule = outcome.summary, problem.contract.schema.columns[name]
    feature = {each.name: each for each in problem.features}.get(name)
    limit = problem.contract.missing_limits().get(name)
    values = summary.sample[name] if len(summary.sample) else pd.Series(dtype=float)
    numeric = pd.api.types.is_numeric_dtype(values.dtype)
    low, high = summary.ranges.get(name, (None, None))
    codes = [*(finding.code for finding in outcome.findings), *outcome.ledger.rejected]
    return {
        "name": name,
        "type": next((word for kind, word in _KINDS.items() if str(rule.dtype).startswith(kind)), str(rule.dtype)),
        "unit": "" if feature is None else feature.unit,
        "missing": f"{summary.missing_share(name):.2%}",
        "allowed": "" if limit is None else f"{limit:.0%}",
        "lowest": _short(low),
        "highest": _short(high),
        "median": _short(float(values.median())) if numeric and values.notna().any() else "",
        "rule": _rule(feature),
        "distinct": "" if numeric else f"{values.nunique():,} in the sample",
        "faults": [code for code in codes if code.partition(":")[0] == name],
        "picture": _picture(problem, summary, name, feature),
    }


def _rule(feature: Feature | None) -> str:
    if feature is None:
        return ""
    if feature.kind == "category":
        return f"one of {len(feature.categories)}"
    low = "any" if feature.minimum is None else _short(feature.minimum)
    return f"{low} to {'any' if feature.maximum is None else _short(feature.maximum)}"


def _picture(problem: "Problem", summary: Summary, name: str, feature: Feature | None) -> str | None:
    sample = summary.sample
    if sample.empty or pd.api.types.is_datetime64_any_dtype(sample[name].dtype):
        return None
    months = summary.months(sample)
    missing = _shares(summary.rows, summary.missing[name])
    if not pd.api.types.is_numeric_dtype(sample[name].dtype) or 0 < sample[name].nunique() <= _FEW:
        return _inline(plots.categories(sample[name], months, missing))
    rule = problem.contract.typical.get(name)
    typical = None if rule is None or rule.of is not None else (rule.low, rule.high)
    limits = (None, None) if feature is None else (feature.minimum, feature.maximum)
    return _inline(plots.numbers(sample[name], months, missing, limits=limits, typical=typical))


def _shares(rows: Mapping[str, int], missing: Mapping[str, int]) -> dict[str, float]:
    return {month: missing.get(month, 0) / count for month, count in sorted(rows.items())}


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:,.6g}"


def _inline(svg: str) -> str:
    """As an address that needs no other file; a picture of its own, so that no two share their ids."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
