"""One self-contained page about a release's drift: the verdict, every feature ranked by effect, a picture of each.

Reads the numbers of a record and the plot data beside it, computes nothing. The same input gives the same bytes.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from ml.drift.decide import Outcome, judge, ranked, verdict

_STYLE = """
:root { color-scheme: light; --ink: #1c2430; --dim: #667085; --line: #e4e7ec; --paper: #f7f8fa }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, "Liberation Sans", Arial, sans-serif; color: var(--ink); background: var(--paper);
  margin: 0 auto; padding: 32px 24px 64px; max-width: 1180px }
h1 { font-size: 26px; margin: 0 0 4px } h2 { font-size: 18px; margin: 40px 0 12px }
p { margin: 0 0 12px; max-width: 76ch } .dim { color: var(--dim) }
.verdict { display: inline-block; padding: 2px 12px; border-radius: 999px; font-weight: 600; color: #fff }
.ok { background: #12805c } .warn { background: #b25e09 }
.alarm { background: #b42318 } .inconclusive { background: #667085 }
table { border-collapse: collapse; width: 100%; background: #fff; border: 1px solid var(--line); border-radius: 8px }
th, td { padding: 7px 12px; text-align: right; border-bottom: 1px solid var(--line);
  font-variant-numeric: tabular-nums }
th { font-weight: 600; color: var(--dim); font-size: 13px } th:first-child, td:first-child { text-align: left }
td.bar { width: 24%; text-align: left; position: relative; min-width: 150px }
.bar i { display: block; height: 10px; border-radius: 2px; background: #98a2b3 } .moved .bar i { background: #d92d20 }
.watch.moved .bar i { background: #dc8a1e }
.bar u { position: absolute; top: 3px; bottom: 3px; width: 2px; background: #1c2430 }
.tag { font-size: 12px; padding: 1px 8px; border-radius: 999px; background: #eef0f3; color: #475467 }
.moved .tag.state { background: #fde5e2; color: #912018 }
.watch.moved .tag.state { background: #fdf0dd; color: #7a4506 }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); gap: 16px }
figure { margin: 0; background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: 12px }
figcaption { font-weight: 600; display: flex; justify-content: space-between; align-items: start; margin-bottom: 4px }
figcaption .dim { font-weight: 400; font-size: 13px }
figure svg { width: 100%; height: auto; display: block }
"""
_WORDS = {
    "ok": "nothing that counts has moved",
    "warn": "watched features moved; they are expected to, and block nothing",
    "alarm": "a gated feature moved: beyond chance and by more than the floor",
    "inconclusive": "too few rows to say anything",
}
_GREY, _COLOUR = "#98a2b3", "#175cd3"


def page(record: Mapping[str, Any], plots: Mapping[str, Any]) -> str:
    """The whole page as HTML.

    Args:
        record: A release's record.
        plots: The content of the drift.json beside it.
    """
    gate = record["gate"]["policy"]
    outcomes = ranked(judge(record["drift"], {**gate["drift"], "rule": gate["preset"]}))
    said = verdict(outcomes)
    title = f"Drift of {escape(record['release'])}"
    return "\n".join(
        [
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
            f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>',
            f'<h1>{title} <span class="verdict {said}">{said}</span></h1>',
            f'<p class="dim">{_WORDS[said].capitalize()}. {escape(_compared(record))}</p>',
            _table(outcomes, record["drift"]),
            "<h2>Reference (grey) and judged rows (blue), shares of rows</h2>",
            f'<div class="plots">{"".join(_figures(outcomes, plots))}</div></body></html>\n',
        ]
    )


def _compared(record: Mapping[str, Any]) -> str:
    test, known = record["data"]["test"], record["drift"].get("reference", {})
    months = known.get("months", [])
    span = f" of {months[0]} to {months[-1]}" if months else ""
    rows = f"{known['rows']:,} rows" if "rows" in known else "the training rows"
    policy = record["gate"]["policy"]["drift"]
    return (
        f"{test['rows']:,} rows of {test['from']} to {test['to']} against {rows}{span}. "
        f"The bar is the share of probability that lies elsewhere, the mark the floor of {policy['min_d']:g}."
    )


def _table(outcomes: Sequence[Outcome], drift: Mapping[str, Any]) -> str:
    heads = ("feature", "role", "effect", "", "adjusted p", "PSI", "Wasserstein (sd)", "outcome")
    rows = "".join(
        _row(outcome, drift) for outcome in outcomes if outcome.part != "missing" or outcome.state != "still"
    )
    return (
        f"<table><thead><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _row(outcome: Outcome, drift: Mapping[str, Any]) -> str:
    section = drift.get("prediction" if outcome.part == "prediction" else "features", {})
    result = section.get(outcome.feature, {}) if outcome.part != "missing" else {}
    effect, floor = 100 * min(outcome.effect or 0.0, 1.0), 100 * outcome.floor
    cells = [_short(outcome.adjusted), _short(result.get("psi")), _short(result.get("wasserstein"))]
    return (
        f'<tr class="{outcome.role} {outcome.state}"><td>{escape(outcome.name)}</td><td>{outcome.role}</td>'
        f'<td>{_short(outcome.effect)}</td><td class="bar"><i style="width:{effect:.2f}%"></i>'
        f'<u style="left:calc(12px + (100% - 24px) * {floor / 100:.4f})"></u></td>'
        f"{''.join(f'<td>{cell}</td>' for cell in cells)}"
        f'<td><span class="tag state">{outcome.state}</span></td></tr>'
    )


def _short(number: float | None) -> str:
    if number is None:
        return ""
    return "&lt; 0.0001" if 0 <= number < 1e-4 else f"{number:.4f}" if number < 1 else f"{number:.2f}"


def _figures(outcomes: Sequence[Outcome], plots: Mapping[str, Any]) -> Iterator[str]:
    for outcome in outcomes:
        drawn = plots["prediction" if outcome.part == "prediction" else "features"].get(outcome.feature)
        if drawn is not None and outcome.part != "missing":
            unit = f' <span class="dim">{escape(drawn["unit"])}</span>' if drawn["unit"] else ""
            caption = f'<span>{escape(outcome.name)}{unit}</span><span class="tag">{_short(outcome.effect)}</span>'
            yield f"<figure><figcaption>{caption}</figcaption>{svg(drawn)}</figure>"


def svg(drawn: Mapping[str, Any]) -> str:
    """One feature's bars as an SVG element without any date, id or font of its own."""
    import matplotlib as mpl  # noqa: PLC0415  (a second that no other command needs)
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context({"svg.hashsalt": "drift", "svg.fonttype": "none", "font.size": 8, "font.family": "sans-serif"}):
        figure = Figure(figsize=(4.2, 2.1), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        shares = [[count / max(sum(drawn[side]), 1) for count in drawn[side]] for side in ("reference", "current")]
        (_draw_numbers if drawn["kind"] == "number" else _draw_categories)(axes, drawn, shares)
        axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        axes.spines[["top", "right"]].set_visible(False)  # type: ignore[index,unused-ignore]
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = written.getvalue()
    return text[text.index("<svg") :]


def _draw_numbers(axes: Any, drawn: Mapping[str, Any], shares: Sequence[Sequence[float]]) -> None:
    if not drawn["reference"]:
        return
    low, high = drawn["range"]
    inner = drawn["edges"]
    width = (inner[1] - inner[0]) if len(inner) > 1 else max(high - low, 1.0)
    edges = [min(low, inner[0] - width), *inner, max(high, inner[-1] + width)] if inner else [low - 0.5, high + 0.5]
    axes.stairs(shares[0], edges, fill=True, color=_GREY, alpha=0.65)
    axes.stairs(shares[1], edges, color=_COLOUR, linewidth=1.4)


def _draw_categories(axes: Any, drawn: Mapping[str, Any], shares: Sequence[Sequence[float]]) -> None:
    labels = [*drawn["labels"], "other", "unknown"]
    kept = [i for i in range(len(labels)) if i < len(drawn["labels"]) or shares[0][i] + shares[1][i] > 0]
    for side, (share, colour) in enumerate(zip(shares, (_GREY, _COLOUR), strict=True)):
        places = [place + (side - 0.5) * 0.4 for place in range(len(kept))]
        axes.bar(places, [share[i] for i in kept], width=0.4, color=colour, alpha=0.65 if side == 0 else 0.9)
    axes.set_xticks(range(len(kept)), [labels[i] for i in kept], rotation=60 if len(kept) > 6 else 0)
