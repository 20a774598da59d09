"""What `mlp train` shows of a model: its metrics and how sure they are, the worst slices, calibration, run time."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ml.evaluation import slices
from ml.evaluation.difference import Answers
from ml.evaluation.score import score
from ml.problem import Problem
from ml.statistics.intervals import intervals
from ml.training.candidate import Candidate

CONFIDENCE = 0.95
MIN_ROWS = 100  # fewer say too little to be called worst
WORST = 3
_LOSSES = frozenset({"log_loss", "rmse", "mae"})


def show(problem: Problem, candidate: Candidate) -> None:
    """Print the evaluation of a candidate on its test rows."""
    serving = json.loads(candidate.serving_path.read_bytes())
    answers = Answers(*score(candidate.model_path, serving, candidate.test_features))
    console = Console(highlight=False)
    console.print(_metrics(problem, candidate, answers))
    if candidate.slices:
        metric = slices.metric_of(problem.kind, problem.slice_metric)
        truth = slices.Truth(kind=problem.kind, labels=candidate.test_labels, classes=problem.classes, metric=metric)
        console.print(slice_table(slices.section(candidate.slices, truth, answers, CONFIDENCE)))
    for line in (calibrated(candidate.evaluation["calibration"]), cost(candidate.evaluation["runtime"])):
        console.print(line, soft_wrap=True, markup=False)


def _metrics(problem: Problem, candidate: Candidate, answers: Answers) -> Table:
    found = intervals(
        problem.kind,
        candidate.test_labels,
        answers.predictions,
        answers.probabilities,
        classes=problem.classes or None,
        confidence=CONFIDENCE,
    )
    table = Table()
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column(f"{CONFIDENCE:.0%} interval", justify="right")
    for name in sorted(candidate.metrics):
        table.add_row(name, f"{candidate.metrics[name]:.4f}", _span(found[name].low, found[name].high))
    return table


def slice_table(section: Mapping[str, Any]) -> Table:
    """The worst slices of each column that have rows enough; how many more there are."""
    metric, columns = section["metric"], section["columns"]
    table = Table(title=f"worst slices by {metric}", title_justify="left")
    table.add_column("slice")
    for name in ("rows", metric, f"{CONFIDENCE:.0%} interval"):
        table.add_column(name, justify="right")
    for column, entries in columns.items():
        judged = [entry for entry in entries if entry["rows"] >= MIN_ROWS and entry["estimate"] is not None]
        worst = _worst_first(judged, metric)[:WORST]
        for entry in worst:
            interval = _span(entry["low"], entry["high"])
            table.add_row(
                escape(f"{column}={entry['value']}"), f"{entry['rows']:,}", f"{entry['estimate']:.4f}", interval
            )
        better, small = len(judged) - len(worst), len(entries) - len(judged)
        rest = [f"{better} better" if better else "", f"{small} under {MIN_ROWS} rows" if small else ""]
        if any(rest):
            table.add_row(f"[dim]{escape(column)}: {', '.join(filter(None, rest))}[/]", "", "", "")
    return table


def _worst_first(entries: Sequence[Mapping[str, Any]], metric: str) -> list[Mapping[str, Any]]:
    return sorted(entries, key=lambda entry: float(entry["estimate"]), reverse=metric in _LOSSES)


def calibrated(summary: Mapping[str, Any]) -> str:
    """The calibration in one line."""
    if "error" in summary:
        return (
            f"calibration: expected error {summary['error']:.4f} (a perfect model would show "
            f"{summary['error_by_chance']:.4f} by chance), Brier score {summary['brier']:.4f}; {summary['of']}, "
            f"{summary['binning']}"
        )
    error, slope = summary["residual_standard_error"], summary["slope"]
    return (
        f"calibration: off by {summary['residual_mean']:+.4g} on average"
        + ("" if error is None else f" (standard error {error:.4g})")
        + ("" if slope is None else f", slope of the truth over the prediction {slope:.3f} (1 is right)")
    )


def cost(runtime: Mapping[str, Any]) -> str:
    """What one prediction of the exported model costs, in one line."""
    return (
        f"one prediction: {runtime['p50_ms_1_row']:.3g} ms (p99 {runtime['p99_ms_1_row']:.3g} ms), in batches of 32 "
        f"{runtime['us_per_row_32']:.3g} us a row, {runtime['bytes'] / 1000:,.3g} kB of model, "
        f"{runtime['peak_rss_mib']:.3g} MiB of memory; on one core of this machine"
    )


def _span(low: float | None, high: float | None) -> str:
    known = low is not None and high is not None and low <= high  # NaN is not known either
    return f"{low:.4f} to {high:.4f}" if known else "unknown"
