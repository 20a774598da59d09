"""Malformed data sets: an exact ledger of what went where, and no training on bad data."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from ml.cli import main
from ml.data import checker, ingest, snapshots
from ml.data.letters import DeadLetters
from ml.errors import DataError
from ml.flights.problem import PROBLEM
from ml.training import run
from tests.data.malformed import case as cases
from tests.data.malformed import files, tables

pytestmark = pytest.mark.integration

CASES = {**files.CASES, **tables.CASES}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module", autouse=True)
def rows():
    """The real rows once for all cases."""
    with pytest.MonkeyPatch.context() as patch:
        table = cases.real()
        patch.setattr(cases, "real", table.copy)
        yield table


@pytest.fixture(scope="module")
def well_formed(rows, tmp_path_factory):
    """The hash of the snapshot of the well-formed file."""
    found, _ = checker.sort_out(PROBLEM.contract, rows, key=PROBLEM.key)
    names = [PROBLEM.time, *PROBLEM.key]
    names += [name for name in sorted(found.accepted.columns) if name not in names]
    table = found.accepted.sort_values(names, kind="stable", ignore_index=True)
    return snapshots.write(table, tmp_path_factory.mktemp("well"), source="control")[0]


def test_there_are_enough_of_them_and_each_says_something_else():
    assert len(CASES) == len(files.CASES) + len(tables.CASES) >= 90
    assert len({case.words for case in CASES.values()}) == len(CASES)


@pytest.fixture
def told(monkeypatch, tmp_path):
    """What the run found, before anything was made of it."""
    monkeypatch.setenv("MLP_DATA_STORE", str(tmp_path / "store"))
    outcomes = []
    real = ingest.ingest

    def spied(*args, **kwargs):
        outcomes.append(real(*args, **kwargs))
        return outcomes[-1]

    monkeypatch.setattr(ingest, "ingest", spied)
    return outcomes


@pytest.mark.parametrize("name", CASES)
def test_every_row_goes_where_it_must_and_only_good_ones_can_be_trained_on(name, tmp_path, capsys, told, well_formed):
    """Training reads snapshots: a refused file leaves none, and another one leaves its accepted rows and no other."""
    case, store = CASES[name], tmp_path / "store"

    code = main(["data", "snapshot", str(case.make(tmp_path)), *case.options])

    made = sorted((store / "snapshots").glob("*"))
    assert (code, len(made)) == ((4, 0) if case.code else (0, 1))
    assert (case.code or "") in capsys.readouterr().err
    if case.total is None:
        assert told == []
        return
    assert told[0].ledger.to_json() == case.ledger()
    assert [finding.code for finding in told[0].findings] == list(case.findings)
    rejected = sum(case.rejected.values())
    letters = DeadLetters(store / "dead-letters" / PROBLEM.name).read()
    assert len(letters.letters) == (min(rejected, ingest.SYSTEMIC_LETTERS) if case.code else rejected)
    assert letters.counts.dropped == rejected - len(letters.letters)
    if made:
        table, meta = snapshots.load(made[0].stem, made[0].parent)
        assert len(table) == case.ledger()["accepted"]
        assert meta["ledger"] == case.ledger()
        assert (made[0].stem == well_formed) is case.same


@pytest.mark.parametrize("name", ["celsius", "month-of-nulls", "swapped-airports", "lost-labels", "wrong-century"])
def test_nothing_is_fitted_on_a_problems_own_source_that_is_bad(name, tmp_path, monkeypatch, rows):
    """The same tables, delivered by the problem's own source instead of a file."""
    bad = CASES[name].table(rows.copy())
    fitted = []
    monkeypatch.setenv("MLP_DATA_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(run, "fit", lambda *args, **kwargs: fitted.append(args))
    problem = replace(PROBLEM, load=lambda _first, _last: bad)

    with pytest.raises(DataError, match=r"ML-DATA-00[134]"):
        run.train(problem, "2013-06", out=tmp_path / "out", cached=tmp_path / "cache")

    assert fitted == []


def table_of_cases() -> str:
    lines = [
        "| case | what is wrong | total | accepted | dropped | rejected | outcome |",
        "|---|---|---:|---:|---|---|---|",
    ]
    for name, case in CASES.items():
        ledger = case.ledger() if case.total is not None else {}
        parts = [_listed(ledger.get(part)) for part in ("dropped", "rejected")]
        outcome = " ".join([case.code or "passes", *(f"`{code}`" for code in case.findings)])
        numbers = [f"{ledger[part]:,}" if ledger else "" for part in ("total", "accepted")]
        lines.append(f"| {name} | {case.words} | {' | '.join([*numbers, *parts])} | {outcome} |")
    return "\n".join(lines)


def _listed(counts) -> str:
    return ", ".join(f"{code} {n:,}" for code, n in (counts or {}).items())


def test_the_table_in_the_docs_is_this_one():
    text = (ROOT / "docs" / "data.md").read_text()

    assert table_of_cases() in text, f"put this into docs/data.md:\n{table_of_cases()}"


def test_a_huge_file_is_read_in_bounded_memory(tmp_path, rows):
    """Many times a block: what is held at once is a chunk, not the file."""
    path = tmp_path / "huge.csv"
    body = rows.to_csv(index=False, header=False)
    with path.open("w") as file:
        file.write(",".join(rows.columns) + "\n")
        for _ in range(40):
            file.write(body)

    outcome = ingest.ingest(PROBLEM, ingest.Order(files=[path]), ingest.Post(None, NOW))

    assert outcome.ledger.total == 92_000
    assert outcome.ledger.accepted == cases.ACCEPTED
    assert outcome.ledger.dropped["duplicate"] == 39 * cases.ACCEPTED
    assert isinstance(outcome.summary.sample, pd.DataFrame)
    assert len(outcome.summary.sample) <= 20_000
