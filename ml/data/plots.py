"""Pictures of columns as SVG text, the same bytes for the same data. Called by `ml.data.profile`."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ml.data.summary import WHOLE

INK, BLUE, PALE, RED, GREY, GREEN = "#1f2937", "#2563eb", "#bfdbfe", "#dc2626", "#9ca3af", "#dcfce7"
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "ml-pipeline",  # ids that do not change from run to run
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica Neue", "Arial", "DejaVu Sans"],
    "font.size": 8,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
}
_BINS, _SHOWN = 40, 10


def bars(months: Mapping[str, int]) -> str:
    """Rows by month."""
    with _figure(9.4, 1.7) as (figure, out):
        axes = figure.add_subplot()
        axes.bar(range(len(months)), list(months.values()), color=BLUE, width=0.7)
        _months(axes, list(months), room=14)
        axes.set_title("rows by month")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        _save(figure, out)
    return out.getvalue()


def numbers(
    values: "pd.Series[float]",
    months: "pd.Series[str]",
    missing: Mapping[str, float],
    *,
    limits: tuple[float | None, float | None],
    typical: tuple[float, float] | None,
) -> str:
    """A numeric column: its distribution with the contract's limits, and by month its median and what is missing.

    Args:
        values: The sample, shape (n_rows,).
        months: Of each row.
        missing: Month -> share of missing values, in order.
        limits: Of the contract; None leaves that end open.
        typical: Where the median lies in the declared unit.
    """
    with _figure(9.4, 1.9) as (figure, out):
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
        known = values[np.isfinite(values.to_numpy(dtype=float))].to_numpy(dtype=float)
        if len(known):
            left.hist(known, bins=_BINS, color=BLUE)
        _limits(left, known, limits)
        left.set_title("distribution, with the contract's limits")
        left.set_yticks([])
        _by_month(right, values, months, missing, typical)
        _save(figure, out)
    return out.getvalue()


def categories(values: "pd.Series[str]", months: "pd.Series[str]", missing: Mapping[str, float]) -> str:
    """A column of texts: its commonest values, and how their shares move by month."""
    with _figure(9.4, 1.9) as (figure, out):
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
        shares = values.value_counts(normalize=True).sort_index().sort_values(ascending=False, kind="stable")
        top = shares.head(_SHOWN)[::-1]
        left.barh(range(len(top)), list(top), color=BLUE)
        left.set_yticks(range(len(top)), [str(name)[:18] for name in top.index], fontsize=6)
        left.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        more = f", the first {_SHOWN} of {len(shares)}" if len(shares) > _SHOWN else ""
        left.set_title(f"shares of the values{more}")
        if len(missing) > 1 and len(shares):
            known = values.notna()
            table = pd.crosstab(months[known], values[known], normalize="index").reindex(list(missing))
            for rank, name in enumerate(shares.index[:3]):
                right.plot(
                    range(len(missing)), table[name], color=[BLUE, INK, GREY][rank], lw=1.4, label=str(name)[:18]
                )
            right.set_ylim(0, 1.35 * float(table[list(shares.index[:3])].max().max()))  # room for the legend
            right.legend(frameon=False, fontsize=6, ncols=3, loc="upper left")
            right.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
            right.set_title("the three commonest by month")
            _months(right, list(missing))
        else:
            right.set_axis_off()
        _save(figure, out)
    return out.getvalue()


@contextmanager
def _figure(width: float, height: float) -> Iterator[tuple[Figure, io.StringIO]]:
    with mpl.rc_context(_STYLE):
        yield Figure(figsize=(width, height), layout="constrained"), io.StringIO()


def _save(figure: Figure, out: io.StringIO) -> None:
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)


def _limits(axes: Axes, known: Any, limits: tuple[float | None, float | None]) -> None:
    """Dashed where the limit is in sight; where it is far away the column's card tells it in words."""
    if not len(known):
        axes.text(0.5, 0.5, "no value", ha="center", transform=axes.transAxes, color=RED)
        return
    low, high = float(known.min()), float(known.max())
    room = max(high - low, 1e-9)
    for limit in limits:
        if limit is not None and low - room <= limit <= high + room:
            axes.axvline(limit, color=RED, lw=1, ls="--")


def _by_month(
    axes: Axes,
    values: "pd.Series[float]",
    months: "pd.Series[str]",
    missing: Mapping[str, float],
    typical: tuple[float, float] | None,
) -> None:
    if len(missing) <= 1:
        axes.set_axis_off()
        return
    place = np.arange(len(missing))
    groups = values.astype(float).groupby(months.to_numpy())
    low, middle, high = (groups.quantile(share).reindex(list(missing)) for share in (0.1, 0.5, 0.9))
    if typical is not None:
        axes.axhspan(*typical, color=GREEN, lw=0)
    axes.fill_between(place, low.to_numpy(), high.to_numpy(), color=PALE, lw=0, alpha=0.8)
    axes.plot(place, middle.to_numpy(), color=BLUE, lw=1.6, marker="o", ms=2.5)
    title = "by month: median, and the middle 80 %"
    axes.set_title(title + ("; green: where the median must be" if typical is not None else ""))
    if any(missing.values()):
        second = axes.twinx()
        second.bar(place, list(missing.values()), color=RED, alpha=0.35, width=0.5)
        second.set_ylim(0, max(0.25, *missing.values()) * 2.5)
        second.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        second.set_ylabel("missing", color=RED, fontsize=7)
        second.spines["right"].set_visible(True)
    _months(axes, list(missing))


def _months(axes: Axes, names: Sequence[str], room: int = 8) -> None:
    """Label at most `room` months, evenly."""
    step = max(1, -(-len(names) // room))
    shown = list(range(0, len(names), step))
    axes.set_xticks(shown, [names[i] if names[i] != WHOLE else "all" for i in shown])
