"""`train`: from a problem and a month to a candidate for a release. Called by `mlp train` and `mlp release create`."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ml.evaluation import runtime, slices
from ml.problem import Problem
from ml.training import cache, lineage, months, plan, space
from ml.training.candidate import Candidate
from ml.training.fit import fit
from ml.training.inputs import Inputs, Progress, prepare
from ml.training.judged import Measure
from ml.training.plan import SearchPlan
from ml.training.reference import reference_rows
from toolchain import paths

MEASURE: Measure = runtime.measure
SEED = plan.SEED


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
    search: SearchPlan | Mapping[str, Any] = plan.NONE,
) -> Candidate:
    """Train on all data through a month and judge on the next one; the same call gives the same bytes and metrics.

    Args:
        problem: What to predict from what.
        through: Last month to train on, such as `2013-06`; None for a problem without time.
        out: Folder that receives the model's files; made if absent.
        seed: Of every random choice.
        progress: Told each step as it starts.
        cached: Folder of earlier trainings, with that of the studies beside it; those of the checkout by default.
        measure: Of the run time. A training that is reused keeps the figures of its first run.
        search: How much to search beforehand, or the section of a search elsewhere, whose winner is taken.

    Raises:
        PipelineError: If the data do not pass, `through` does not fit the problem, or ONNX and estimator differ.
    """
    root = cache_folder() if cached is None else cached
    inputs = prepare(problem, through, seed=seed, progress=progress)
    parts = _slices(problem, inputs)
    made_from = _made_from(problem, inputs, through, seed)
    name = cache.key({**made_from, "search": _identity(problem, search)})
    trained = cache.load(root, name)
    reused = trained is not None
    if trained is not None:
        progress("reuse an identical training")
    else:
        trained = _train(problem, inputs, search, made_from=made_from, root=root, measure=measure, progress=progress)
        if _is_whole(trained):  # a search that ran out of time goes on with the next call instead
            cache.store(root, name, trained)
    return replace(_candidate(problem, inputs, trained, made_from, out), reused=reused, slices=tuple(parts))


def _slices(problem: Problem, inputs: Inputs) -> list[slices.Slice]:
    """The groups of the test rows; a mistake in the problem's folder shows here, before the fit."""
    slices.metric_of(problem.kind, problem.slice_metric)
    return slices.of(problem.slices, inputs.parts.test)


def _is_whole(trained: cache.Trained) -> bool:
    """Whether the whole budget was searched."""
    section = trained.facts["search"]
    return section is None or not section["trials"]["not_started"]


def _train(  # noqa: PLR0913  (what, how much to search, what identifies it, where it is kept, who is told)
    problem: Problem,
    inputs: Inputs,
    wanted: SearchPlan | Mapping[str, Any],
    *,
    made_from: Mapping[str, Any],
    root: Path,
    measure: Measure,
    progress: Progress,
) -> cache.Trained:
    """Search if asked to, and fit the winner."""
    seed, studies = made_from["seed"], root.parent / "search"
    section: Mapping[str, Any] | None = None
    trials: list[dict[str, Any]] = []
    if isinstance(wanted, Mapping):
        space.refuse_outside(problem.space, wanted["best"]["parameters"])
        section = wanted
    elif problem.space and wanted.trials:
        from ml.training.search import search  # noqa: PLC0415  (the search library, half a second)

        found = search(problem, inputs, wanted, seed=seed, folder=studies, made_from=made_from, progress=progress)
        section, trials = found.section, found.trials
    progress(f"fit on {len(inputs.train_x):,} rows, judge on {len(inputs.test_x):,}")
    parameters = {} if section is None else section["best"]["parameters"]
    trained = fit(problem, inputs, seed=seed, parameters=parameters, measure=measure)
    return replace(trained, facts={**trained.facts, "search": section, "trials": trials})


def _identity(problem: Problem, wanted: SearchPlan | Mapping[str, Any]) -> object:
    """What a search adds to the cache's key. Not the workers: their number changes nothing but the time."""
    if isinstance(wanted, Mapping):
        return dict(wanted)
    if not problem.space or not wanted.trials:
        return None
    return {"trials": wanted.trials, "minutes": wanted.minutes, "sampler": wanted.sampler}


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
        search=trained.facts["search"],
        trials=trained.facts["trials"],
        files=trained.files(),
        model=trained.facts["model"],
        metrics=trained.facts["metrics"],
        evaluation=trained.facts["evaluation"],
        model_path=out / cache.MODEL,
        serving_path=out / cache.SERVING,
        evaluation_path=out / cache.EVALUATION,
        test_features=inputs.test_x,
        test_labels=inputs.test_labels,
        reference=reference_rows(problem, inputs),
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
        return {"from": months.UNORDERED, "to": months.UNORDERED, "rows": len(rows)}
    moments = rows[problem.time]
    return {"from": f"{moments.min():%Y-%m-%d}", "to": f"{moments.max():%Y-%m-%d}", "rows": len(rows)}
