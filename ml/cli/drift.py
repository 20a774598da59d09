"""`mlp drift`: compare new or live inputs with the data that the model was trained on."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ml.cli.display import steps
from ml.drift.__main__ import labels
from ml.drift.check import check as run_check
from ml.drift.check import exit_code
from ml.drift.prometheus import Source
from ml.errors import UsageError

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)


@app.callback()
def _group() -> None:
    """Compare new or live inputs with the data that the model was trained on."""


@app.command()
def check(
    release_dir: Annotated[Path, typer.Option(help="The release that is live, such as releases/flights-0001.")],
    prometheus: Annotated[str, typer.Option(help="Where Prometheus answers.")] = "http://127.0.0.1:30900",
    window: Annotated[str, typer.Option(help="How far back, as a PromQL duration.")] = "1h",
    match: Annotated[list[str] | None, typer.Option(help="LABEL=VALUE that the counters must have.")] = None,
    min_rows: Annotated[int | None, typer.Option(min=1, help="Fewer rows are inconclusive.")] = None,
) -> None:
    """Print the verdict as one line of JSON: ok, warn, alarm (exit code 3) or inconclusive.

    Example: mlp drift check --release-dir releases/flights-0001 --window 6h
    """
    source = Source(url=prometheus, window=window, match=labels(match or []))
    result = run_check(source, release_dir, min_rows)
    print(json.dumps(result, sort_keys=True))
    raise typer.Exit(exit_code(result))


@app.command()
def prepare(
    through: Annotated[str, typer.Option(help="Last month of the reference, YYYY-MM.")],
    since: Annotated[str | None, typer.Option(help="First month; by default all.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder that receives the reference.")] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Keep every number's sorted values: exact, and larger.")
    ] = False,
) -> None:
    """Prepare a reference once, so that new rows can be compared without the rows that trained.

    Example: mlp drift prepare --through 2013-06
    """
    from ml import problem as problems  # noqa: PLC0415  (a second of imports that `--help` does not need)
    from ml.drift import reference, rows  # noqa: PLC0415
    from toolchain import paths  # noqa: PLC0415

    problem = problems.current()
    target = out or paths.repo_root() / ".build" / "drift" / f"{problem.name}-{through}"
    with steps() as progress:
        found = rows.load(problem, since, through, progress)
        progress(f"prepare {len(found.x):,} rows")
        prepared = reference.prepare_columns(problem.features, found.columns(problem), found.about(problem), keep=exact)
        reference.save(prepared, target)
    size = sum(path.stat().st_size for path in target.iterdir())
    print(f"{target}  {len(prepared.features)} features of {len(found.x):,} rows in {size / 1000:,.0f} kB")
    print(f"next: mlp drift compare --reference {target} --months 2013-07")


@app.command()
def compare(
    reference: Annotated[Path, typer.Option(help="A folder that `mlp drift prepare` wrote.")],
    months: Annotated[list[str], typer.Option(help="Months of the new rows, YYYY-MM; more than once for more.")],
    rule: Annotated[str | None, typer.Option(help="sound or classic; by default as in the gate's policy.")] = None,
) -> None:
    """Compare the rows of some months with a prepared reference; exit code 3 on an alarm.

    Example: mlp drift compare --reference .build/drift/flights-2013-06 --months 2013-07
    """
    from ml import problem as problems  # noqa: PLC0415  (a second of imports that `--help` does not need)
    from ml.drift import decide, rows  # noqa: PLC0415
    from ml.drift.compare import compare as statistics_of  # noqa: PLC0415
    from ml.drift.reference import load  # noqa: PLC0415
    from ml.errors import GateError  # noqa: PLC0415

    problem = problems.current()
    with steps() as progress:
        prepared = load(reference)
        found = rows.refuse_none(rows.load(problem, min(months), max(months), progress).of(months), months)
        progress(f"compare {len(found.x):,} rows")
        features = statistics_of(prepared, found.columns(problem))
    outcomes = decide.judge({"features": features}, _policy(problem, rule))
    verdict = decide.verdict(outcomes)
    print(f"{verdict}: {len(found.x):,} rows against {prepared.about['rows']:,}")
    _show(decide.ranked(outcomes), features)
    if verdict == "alarm":
        raise typer.Exit(GateError.exit_code)


@app.command()
def months(
    through: Annotated[str, typer.Option(help="Last month, YYYY-MM.")],
    since: Annotated[str | None, typer.Option(help="First month, which is only a reference.")] = None,
) -> None:
    """Print as Markdown what each rule would have said in every month, against all months before it.

    Example: mlp drift months --through 2013-12
    """
    from ml import problem as problems  # noqa: PLC0415  (a second of imports that `--help` does not need)
    from ml.drift import months as of_months  # noqa: PLC0415
    from ml.drift import rows  # noqa: PLC0415

    problem = problems.current()
    with steps() as progress:
        found = rows.load(problem, since, through, progress)
        progress("compare every month with those before it")
        numbers = sum(f.kind == "number" and f.drift != "ignore" for f in problem.features)
        print(of_months.markdown(of_months.months(problem, found, _policy(problem, None)), numbers))


@app.command()
def report(
    release: Annotated[str, typer.Argument(metavar="ID", help="A release, such as flights-0001.")],
    out: Annotated[Path | None, typer.Option(help="The page; by default under .build/drift.")] = None,
    root: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Write one self-contained page: every feature ranked by effect, with a picture of each.

    Example: mlp drift report flights-0001
    """
    from ml.drift.page import page  # noqa: PLC0415  (loads matplotlib)
    from ml.release import store  # noqa: PLC0415
    from toolchain import paths  # noqa: PLC0415

    found = store.load(root or paths.repo_root(), release)
    plots = found.directory / "drift.json"
    try:
        drawn = json.loads(plots.read_bytes())
    except (OSError, ValueError) as error:
        message = f"{plots}: the release has no readable plot data: {error}"
        raise UsageError("ML-DRIFT-010", message, "mlp release create makes them from now on") from error
    target = out or paths.repo_root() / ".build" / "drift" / f"{release}.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page(found.record, drawn), encoding="utf-8")
    print(target)


def _policy(problem: Any, rule: str | None) -> dict[str, Any]:
    from ml.gate.policy import load  # noqa: PLC0415
    from ml.release.create import own_policy  # noqa: PLC0415

    policy: dict[str, Any] = load(problem.kind, own_policy(problem))["drift"]
    return policy if rule is None else {**policy, "rule": rule}


def _show(outcomes: Sequence[Any], features: Mapping[str, Mapping[str, Any]]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table()
    for name in ("feature", "role", "effect", "floor", "adj. p", "PSI", "Wass.", "outcome"):
        table.add_column(name, justify="left" if name in ("feature", "role", "outcome") else "right")
    for outcome in outcomes:
        if outcome.part == "missing" and outcome.state == "still":
            continue
        result = features.get(outcome.feature, {}) if outcome.part == "distribution" else {}
        numbers: list[float | None] = [
            outcome.effect,
            outcome.floor,
            outcome.adjusted,
            result.get("psi"),
            result.get("wasserstein"),
        ]
        shown = ["" if number is None else f"{number:.2g}" for number in numbers]
        table.add_row(outcome.name, outcome.role, *shown, outcome.state)
    Console().print(table)
