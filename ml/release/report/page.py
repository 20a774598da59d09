"""Writes `report.html`: one page that needs nothing else, verdict first. The same release gives the same bytes."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jinja2

from ml.release import envelope, keys, signature
from ml.release.report import facts
from ml.release.store import REPORT, Release
from ml.training.months import span

EVALUATION: Final = "evaluation.json"
MAX_BYTES: Final = 1024 * 1024


def write(root: Path, release: Release) -> Path:
    """Write the report of a release whose record has the right shape into its folder; returns its path."""
    path = release.directory / REPORT
    scratch = path.with_name(f".{REPORT}")
    try:
        scratch.write_text(render(release, keys.trusted(root)), encoding="utf-8")
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    return path


def render(release: Release, trust: keys.Trusted) -> str:
    """The page. Everything from the record is text: no word of it becomes markup."""
    record = release.record
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    columns, drift = facts.drift(record)
    return environment.get_template("page.html.j2").render(
        record=record,
        verdict=record["gate"]["verdict"],
        words=facts.verdict_words(record),
        reasons=facts.reasons(record),
        counts=_counts(record),
        metrics=facts.metrics(record),
        plots=_plots(record, _evaluation(release)),
        slices=facts.slices(record),
        drift=drift,
        drift_columns=columns,
        scans=facts.scans(record),
        lineage=facts.lineage(record),
        signature=_signature(release, trust),
        n=facts.number,
        span=span,
    )


def _counts(record: Mapping[str, Any]) -> str:
    counted = Counter(check["outcome"] for check in record["gate"]["checks"])
    return ", ".join(f"{counted[name]} {name}" for name in ("pass", "fail", "inconclusive") if counted[name]) + (
        f" of {counted.total()} checks"
    )


def _signature(release: Release, trust: keys.Trusted) -> dict[str, str]:
    signed = release.signature
    problems = signature.problems(signed, release.raw, trust)
    keyid = envelope.keyid_of(signed) if signed is not None else None
    if problems:
        words = "Not signed by anybody trusted: " + "; ".join(problem.message for problem in problems)
        return {"outcome": "fail", "words": words, "key": keyid or ""}
    owner = trust.keys[keyid].owner if keyid is not None else ""
    return {"outcome": "pass", "words": f"Signed by {owner}.", "key": keyid or ""}


def _evaluation(release: Release) -> Mapping[str, Any]:
    """The curves beside the record, if the record names them."""
    if EVALUATION not in release.record["files"]:
        return {}
    try:
        return facts.mapping(json.loads((release.directory / EVALUATION).read_bytes()))
    except (OSError, ValueError):
        return {}


def _plots(record: Mapping[str, Any], evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    from ml.release.report import plots  # noqa: PLC0415  (matplotlib: a second, only where there is something to draw)

    found: list[dict[str, Any]] = []
    if rows := facts.compared(record):
        words = "Points are differences on the same rows, bars their 95 % intervals, ticks the worst that is allowed."
        found.append({"title": "Against the champion", "svg": plots.differences(rows), "words": words, "wide": True})
    if curves := facts.sequence(facts.mapping(evaluation.get("curves")).get("roc")):
        words = "Above the dashed line is better than chance; the area is the metric roc_auc."
        found.append({"title": "ROC", "svg": plots.roc(curves), "words": words, "wide": False})
    if bins := facts.sequence(facts.mapping(evaluation.get("calibration")).get("bins")):
        words = "On the dashed line a prediction means what it says; bars are 95 % intervals."
        found.append(
            {
                "title": "Calibration",
                "svg": plots.calibration(bins, shares=record["kind"] != "regression"),
                "words": words,
                "wide": False,
            }
        )
    histogram = facts.mapping(facts.mapping(evaluation.get("residuals")).get("histogram"))
    for counts in facts.mapping(histogram.get("counts")).values():
        words = "A long side means that the model is wrong by much in that direction."
        found.append(
            {"title": "Errors", "svg": plots.residuals(histogram["edges"], counts), "words": words, "wide": False}
        )
    return found
