"""The report's pictures as SVG: the same numbers give the same bytes; colours follow the page's light or dark."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure
from scipy.stats import binomtest

# Colours that stand for the page's own; `_svg` puts the page's names in their place.
_INK: Final = "#010203"
_MUTED: Final = "#040506"
_ACCENT: Final = "#070809"
_PAGE: Final = {_INK: "currentColor", _MUTED: "var(--muted)", _ACCENT: "var(--accent)"}
_STYLE: Final[Any] = {  # its annotation in the library names every setting there is
    "svg.fonttype": "none",
    "svg.hashsalt": "ml-pipeline",
    "text.parse_math": False,  # a class may be called $x$
    "text.color": _INK,
    "axes.edgecolor": _MUTED,
    "axes.labelcolor": _INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": _INK,
    "ytick.color": _INK,
    "font.size": 9,
}
_LABEL_LIMIT: Final = 24
_SIZE: Final = (4.2, 3.4)
Z95: Final = 1.959963984540054  # two-sided 95 %, standard normal


def roc(curves: Sequence[Mapping[str, Any]]) -> str:
    """Receiver operating characteristic: one line a curve, each with its area; the dashed line is chance."""
    with mpl.rc_context(_STYLE):
        figure, axes = _axes("false alarms (share of the others)", "found (share of the class)")
        axes.plot([0, 1], [0, 1], color=_MUTED, linewidth=0.8, linestyle="--")
        for index, curve in enumerate(curves):
            x, y = zip(*curve["points"], strict=True)
            alpha = 1 - 0.6 * index / max(len(curves), 1)
            name = f"{_label(curve['class'])}: area {curve['area']:.4f}"
            axes.plot(x, y, color=_ACCENT, alpha=alpha, linewidth=1.6, label=name)
        axes.legend(loc="lower right", frameon=False)
        return _svg(figure)


def calibration(bins: Sequence[Mapping[str, Any]], *, shares: bool) -> str:
    """Predicted against observed in bins, with 95 % intervals; on the dashed line the model means what it says.

    Args:
        bins: From low to high, as evaluation.json has them.
        shares: Whether what was observed is a share of the bin's rows: its interval is then Wilson's, which stays
            within 0 and 1 however few they are. Otherwise it is a mean, with its standard error.
    """
    with mpl.rc_context(_STYLE):
        figure, axes = _axes("predicted", "observed")
        ends = [value for item in bins for value in (item["predicted"], item["observed"])]
        axes.plot([min(ends), max(ends)], [min(ends), max(ends)], color=_MUTED, linewidth=0.8, linestyle="--")
        axes.errorbar(
            [item["predicted"] for item in bins],
            [item["observed"] for item in bins],
            yerr=list(zip(*(_reach(item, shares=shares) for item in bins), strict=True)),
            color=_ACCENT, marker="o", markersize=3.5, linewidth=1.2, capsize=2,
        )  # fmt: skip
        return _svg(figure)


def _reach(item: Mapping[str, Any], *, shares: bool) -> tuple[float, float]:
    """How far the interval of a bin reaches down and up."""
    if not shares:
        reach = Z95 * (item.get("standard_error") or 0.0)
        return reach, reach
    found = binomtest(round(item["observed"] * item["rows"]), item["rows"]).proportion_ci(0.95, "wilson")
    return max(0.0, item["observed"] - found.low), max(0.0, found.high - item["observed"])


def residuals(edges: Sequence[float], counts: Sequence[int]) -> str:
    """How the errors of a regression are spread; the line is no error."""
    with mpl.rc_context(_STYLE):
        figure, axes = _axes("observed minus predicted", "rows")
        axes.stairs(counts, edges, color=_ACCENT, fill=True, alpha=0.6)
        axes.axvline(0, color=_MUTED, linewidth=0.8, linestyle="--")
        return _svg(figure)


def differences(rows: Sequence[tuple[str, float, float, float | None]]) -> str:
    """Candidate minus champion with 95 % intervals; the tick is the worst that the margin allows.

    Args:
        rows: Metric, difference and its standard error in units of which positive is better, and the allowed loss.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8.8, 0.5 + 0.36 * len(rows)), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0, color=_MUTED, linewidth=0.8, linestyle="--")
        for index, (_name, difference, error, margin) in enumerate(rows):
            axes.errorbar([difference], [index], xerr=[Z95 * error], color=_ACCENT, marker="o", markersize=4, capsize=3)
            if margin is not None:
                axes.plot([-margin], [index], color=_INK, marker="|", markersize=12)
        axes.set_yticks(range(len(rows)), [_label(row[0]) for row in rows])
        axes.invert_yaxis()
        axes.set_xlabel("better than the champion →")
        axes.spines[["top", "right"]].set_visible(False)
        return _svg(figure)


def _label(value: object) -> str:
    """A name from the data, short enough to leave room for the picture."""
    text = str(value)
    return text if len(text) <= _LABEL_LIMIT else f"{text[:_LABEL_LIMIT]}…"


def _axes(x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = out.getvalue()
    text = text[text.index("<svg") :].strip()
    for ours, page in _PAGE.items():
        text = text.replace(ours, page)
    return text
