"""What several commands ask about the hyper-parameter search, and how they show what it found."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ml.errors import UsageError
from ml.training import plan as plans

Trials = Annotated[int, typer.Option(min=0, help="Of the hyper-parameter search; 0: the estimator as written.")]
Minutes = Annotated[float, typer.Option(min=0.1, help="No trial starts later than this.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes that search; by default one for each core.")]
SamplerName = Annotated[str, typer.Option(help=f"{', '.join(plans.SAMPLERS)}; see docs/training.md.")]
Resume = Annotated[bool, typer.Option("--resume/--restart", help="Go on with a search that was cut short.")]
SearchFile = Annotated[
    Path | None, typer.Option("--search", help="Take the winner of a search done elsewhere: its JSON file.")
]


def search_wanted(
    trials: int, minutes: float, workers: int | None, sampler: str, *, resume: bool, file: Path | None
) -> plans.SearchPlan | dict[str, Any]:
    """What to search, from the command line.

    Raises:
        UsageError: If there is no such sampler, or the file holds no search.
    """
    known = next((one for one in plans.SAMPLERS if one == sampler), None)
    if known is None:
        message = f"sampler {sampler!r}: must be one of {', '.join(plans.SAMPLERS)}"
        raise UsageError("ML-TRAIN-018", message, "leave --sampler out for halton")
    if file is None:
        return plans.SearchPlan(trials=trials, minutes=minutes, workers=workers, sampler=known, resume=resume)
    try:
        section: dict[str, Any] = json.loads(file.read_bytes())
        dict(section["best"]["parameters"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        message = f"{file}: holds no search: {error!r}"
        raise UsageError("ML-TRAIN-018", message, "give the file that the search printed or wrote") from error
    return section


def shown(section: Mapping[str, Any]) -> str:
    """The search in one paragraph."""
    counts, best = section["trials"], section["best"]
    ended = ", ".join(f"{counts[state]} {state.replace('_', ' ')}" for state in counts if counts[state])
    values = ", ".join(f"{name} {value}" for name, value in sorted(best["parameters"].items()))
    return (
        f"search ({section['sampler']}, {section['budget']['trials']} trials: {ended}): best {section['metric']} "
        f"{best['value']:.5f} in trial {best['trial']}, {section['given']['value']:.5f} as written\n  {values}"
    )
