"""What the record says about the judging rows beyond the metrics: intervals, counts, the comparison on the same rows.

Called by `ml.release.create` and `ml.release.champion`; the gate decides by these numbers alone.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ml.evaluation import slices
from ml.evaluation.difference import Answers
from ml.evaluation.score import score
from ml.gate.metrics import plain
from ml.problem import Problem
from ml.statistics.intervals import intervals
from ml.statistics.paired import first_copies, paired

if TYPE_CHECKING:
    from ml.training.candidate import Candidate

CONFIDENCE = 0.95


def answers_of(candidate: "Candidate") -> Answers:
    """What the candidate's exported model says to its test rows."""
    serving = json.loads(candidate.serving_path.read_bytes())
    return Answers(*score(candidate.model_path, serving, candidate.test_features))


def evaluation(problem: Problem, candidate: "Candidate", ours: Answers) -> dict[str, Any]:
    """The record's `evaluation`: what training measured of this model alone, and how sure its metrics are.

    Copies of a row say nothing new: the intervals and `distinct_rows` are of distinct rows.
    """
    labels, distinct = candidate.test_labels, first_copies(candidate.test_features, candidate.test_labels)
    mine = _at(ours, distinct)
    found = intervals(
        problem.kind,
        labels[distinct],
        mine.predictions,
        mine.probabilities,
        classes=problem.classes or None,
        confidence=CONFIDENCE,
    )
    counts = {
        **candidate.evaluation["counts"],
        "distinct_rows": len(distinct),
        "distinct_predictions": len(np.unique(ours.predictions)),
    }
    return {
        **candidate.evaluation,
        "confidence": CONFIDENCE,
        "intervals": {
            name: {
                "low": plain(each.low),
                "high": plain(each.high),
                "standard_error": plain(each.standard_error),
            }
            for name, each in found.items()
        },
        "counts": counts,
        "slices": slices.section(candidate.slices, truth_of(problem, candidate), ours, CONFIDENCE),
    }


def truth_of(problem: Problem, candidate: "Candidate") -> slices.Truth:
    """What the slices of the test rows are measured against."""
    return slices.Truth(
        kind=problem.kind,
        labels=candidate.test_labels,
        classes=problem.classes,
        metric=slices.metric_of(problem.kind, problem.slice_metric),
    )


def paired_with(problem: Problem, candidate: "Candidate", ours: Answers, theirs: Answers) -> dict[str, Any]:
    """The record's `champion.paired`: candidate minus champion on the distinct test rows."""
    distinct = first_copies(candidate.test_features, candidate.test_labels)
    found = paired(
        problem.kind,
        candidate.test_labels[distinct],
        _at(ours, distinct),
        _at(theirs, distinct),
        classes=problem.classes or None,
    )
    return {name: _plain(entry) for name, entry in found.items()}


def _plain(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(value) for name, value in entry.items()}


def _at(answers: Answers, rows: NDArray[np.intp]) -> Answers:
    chances = answers.probabilities
    return Answers(answers.predictions[rows], None if chances is None else chances[rows])
