"""`mlp drift prepare` and `compare` on a problem that is made up in milliseconds."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ml import problem as problems
from ml.cli import main
from ml.problem import Problem
from tests.ml.training.toy import problem, table


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Problem:
    made = problem(table(rows=650))
    monkeypatch.setattr(problems, "current", lambda: made)
    return made


def shifted() -> Any:
    data = table(rows=650)
    data.loc[data["when"] >= "2013-03", "heat"] += 1.0
    return problem(data)


def prepare(folder: Path, *more: str) -> int:
    return main(["drift", "prepare", "--through", "2013-02", "--out", str(folder), *more])


def test_still_rows_are_ok_against_what_was_prepared(
    toy: Problem, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare(tmp_path) == 0
    assert main(["drift", "compare", "--reference", str(tmp_path), "--months", "2013-03"]) == 0

    assert "ok: 650 rows against 1,300" in capsys.readouterr().out


@pytest.mark.parametrize("more", [[], ["--exact"]])
def test_moved_rows_are_an_alarm(
    toy: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare(tmp_path, *more) == 0
    monkeypatch.setattr(problems, "current", shifted)

    assert main(["drift", "compare", "--reference", str(tmp_path), "--months", "2013-03"]) == 3
    assert "alarm" in capsys.readouterr().out


def test_months_without_rows_are_named(toy: Problem, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(tmp_path, "--since", "2013-02")

    # Nothing is there in 2014, but the range to it has rows: only those months count.
    words = ["drift", "compare", "--reference", str(tmp_path), "--months", "2013-03", "--months", "2014-01"]
    assert main(words) == 0
    assert main([*words[:4], "--months", "2013-1"]) == 2
    assert "ML-TRAIN-001" in capsys.readouterr().err


def test_a_problem_without_time_has_no_months(
    toy: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(problems, "current", lambda: replace(toy, time=None))

    assert prepare(tmp_path) == 2
    assert "ML-DRIFT-007" in capsys.readouterr().err
