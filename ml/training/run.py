"""`train`: from a problem and a month to a candidate for a release. Called by `mlp train` and `mlp release create`."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ml.evaluation import runtime, slices
from ml.problem import Problem
from ml.training import cache, lineage
from ml.training.candidate import Candidate
from ml.training.fit import fit
from ml.training.inputs import Inputs, Progress, prepare
from ml.training.judged import Measure
from ml.training.reference import columns
from toolchain import paths

MEASURE: Measure = runtime.measure
SEED = 20130601  # any number; fixed, so that two people get the same model


def cache_folder() -> Path:
    """Where earlier trainings of this checkout lie."""
    return paths.repo_root() / ".build" / "train"


def _silent(_step: str) -> None:
    """No progress display."""


def train(  # noqa: PLR0913  (keyword-only: what, until when, where to; the rest has defaults)
    problem: Problem,
    through: str | None,
    *,
    out: Path,
    seed: int = SEED,
    progress: Progress = _silent,
    cached: Path | None = None,
    measure: Measure = MEASURE,
) -> Candidate:
    """Train on all data through a month and judge on the next one; the same call gives the same bytes and metrics.

    Args:
        problem: What to predict from what.
        through: Last month to train on, such as `2013-06`; None for a problem without time.
        out: Folder that receives model.onnx, serving.json and evaluation.json; made if absent.
        seed: Of every random choice.
        progress: Told each step as it starts.
        cached: Folder of earlier trainings; that of the checkout by default.
        measure: Of the run time. A training that is reused keeps the figures of its first run.

    Raises:
        DataError: If the data break the contract, do not suffice or leak the answer.
        UsageError: If `through` does not fit the problem.
        PipelineError: If the ONNX model differs from the estimator.
    """
    root = cache_folder() if cached is None else cached
    inputs = prepare(problem, through, seed=seed, progress=progress)
    parts = slices.of(problem.slices, inputs.parts.test)
    made_from = _made_from(problem, inputs, through, seed)
    name = cache.key(made_from)
    trained = cache.load(root, name)
    reused = trained is not None
    if trained is None:
        progress(f"fit on {len(inputs.train_x):,} rows, judge on {len(inputs.test_x):,}")
        trained = fit(problem, inputs, seed=seed, measure=measure)
        cache.store(root, name, trained)
    else:
        progress("reuse an identical training")
    return replace(_candidate(problem, inputs, trained, made_from, out), reused=reused, slices=tuple(parts))


def _made_from(problem: Problem, inputs: Inputs, through: str | None, seed: int) -> dict[str, Any]:
    """All that decides what a training gives: the cache's key."""
    return {
        "snapshot_sha256": inputs.snapshot_sha256,
        "tree_sha256": lineage.tree_sha256(problem.package),
        "lock_sha256": lineage.lock_sha256(),
        "environment": lineage.environment(),
        "problem": problem.package,
        "through": through,
        "seed": seed,
    }


def _candidate(
    problem: Problem, inputs: Inputs, trained: cache.Trained, made_from: Mapping[str, Any], out: Path
) -> Candidate:
    out.mkdir(parents=True, exist_ok=True)
    for name, content in trained.contents().items():
        _place(out / name, content)
    return Candidate(
        problem=problem.name,
        kind=problem.kind,
        data={
            "source": problem.source,
            "snapshot_sha256": inputs.snapshot_sha256,
            "snapshot": inputs.stored(),
            "train": _period(problem, inputs.parts.train),
            "test": _period(problem, inputs.parts.test),
            "dropped": inputs.ledger.left_out,
            "ledger": inputs.ledger.to_json(),
            "freshness": None if inputs.age is None else inputs.age.to_json(),
        },
        tree_sha256=made_from["tree_sha256"],
        lock_sha256=made_from["lock_sha256"],
        environment=made_from["environment"],
        parameters={"through": made_from["through"], **trained.facts["parameters"]},
        files=trained.files(),
        model=trained.facts["model"],
        metrics=trained.facts["metrics"],
        evaluation=trained.facts["evaluation"],
        model_path=out / cache.MODEL,
        serving_path=out / cache.SERVING,
        evaluation_path=out / cache.EVALUATION,
        test_features=inputs.test_x,
        test_labels=inputs.test_labels,
        reference=columns(problem.features, inputs.train_x),
        test=columns(problem.features, inputs.test_x),
        reused=False,
    )


def _place(path: Path, content: bytes) -> None:
    """Write in one step: whoever reads the file meanwhile sees the old one or the new one."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(content)
    part.replace(path)


def _period(problem: Problem, rows: Any) -> dict[str, Any]:
    """First and last day; problems without time have none and say so."""
    if problem.time is None:
        return {"from": "unordered", "to": "unordered", "rows": len(rows)}
    moments = rows[problem.time]
    return {"from": f"{moments.min():%Y-%m-%d}", "to": f"{moments.max():%Y-%m-%d}", "rows": len(rows)}
