"""`mlp train`: fit and judge a model without making a release."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ml.cli.search import Minutes, Resume, SamplerName, SearchFile, Trials, Workers, search_wanted, shown
from ml.training import plan as plans
from ml.training.inputs import Progress
from ml.training.months import span
from toolchain import paths

if TYPE_CHECKING:
    from ml.problem import Problem
    from ml.training.candidate import Candidate

Through = Annotated[str | None, typer.Option(help="Last month to train on, YYYY-MM; the next one judges.")]


def train(
    through: Through = None,
    *,
    seed: Annotated[int | None, typer.Option(help="Of every random choice.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for model.onnx, serving.json and evaluation.json.")] = None,
    snapshot: Annotated[str | None, typer.Option(help="Train on this snapshot, by its hash.")] = None,
    trials: Trials = plans.DEFAULT_TRIALS,
    minutes: Minutes = plans.DEFAULT_MINUTES,
    workers: Workers = None,
    sampler: SamplerName = "halton",
    resume: Resume = True,
    search: SearchFile = None,
) -> None:
    """Fit and judge a model without making a release.

    Searches the problem's space first, on the training months only. A search that was killed goes on with the same
    command.

    Example: mlp train --through 2013-06 --trials 20
    """
    from ml.data.pin import current  # noqa: PLC0415  (a second of imports that `--help` does not need)
    from ml.training import run  # noqa: PLC0415  (a second of imports that `--help` does not need)

    problem = current(snapshot)
    wanted = search_wanted(trials, minutes, workers, sampler, resume=resume, file=search)
    target = out or paths.repo_root() / ".build" / "candidates" / f"{problem.name}-{through or 'all'}"
    started = time.monotonic()
    with _steps() as progress:
        seed = run.SEED if seed is None else seed
        candidate = run.train(problem, through, out=target, seed=seed, progress=progress, search=wanted)
    if candidate.search is not None:
        (target / "search.json").write_text(json.dumps(candidate.search, sort_keys=True, indent=1) + "\n")
    _show(problem, candidate, time.monotonic() - started)
    print(f"next: mlp release create --through {through}" if through else "next: mlp release create")


def _show(problem: "Problem", candidate: "Candidate", seconds: float) -> None:
    """The evaluation, the search and the model's files."""
    from ml.cli import evaluated  # noqa: PLC0415  (loads the ONNX runtime)

    print(f"{candidate.problem}: trained on {span(candidate.data['train'])}, judged on {span(candidate.data['test'])}")
    evaluated.show(problem, candidate)
    if candidate.search is not None:
        Console().print(shown(candidate.search), soft_wrap=True, highlight=False, markup=False)
    how = "reused an identical training" if candidate.reused else "trained"
    model = candidate.model
    print(
        f"{how} in {seconds:.1f} s; {model['bytes'] / 1000:.3g} kB of ONNX, "
        f"differs from the estimator by at most {model['parity_max_abs_diff']:.1e} on {model['parity_rows']:,} rows"
    )
    print(f"{candidate.model_path}\n{candidate.serving_path}")


@contextmanager
def _steps() -> Iterator[Progress]:
    """Names the step that is running; on a terminal with a spinner, in a log one line a step."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda step: console.print(step, soft_wrap=True)
        return
    with console.status("start") as status:
        yield status.update
