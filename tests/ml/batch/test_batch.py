import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.batch import source as sources
from ml.batch.run import Options, Report, dead_letters_of, predict_file
from ml.cli import batch as cli
from ml.cli import main
from ml.errors import DataError, PipelineError, UsageError
from ml.serving.bundle import load
from ml.serving.model import Model
from tests.ml.serving.releases import DELAY, make_release

HEADER = "id,distance,carrier,gust\n"


def model(directory: Path, kind: str = "binary") -> Model:
    return load(directory, make_release(directory, kind)).model


@pytest.fixture
def delay(tmp_path: Path) -> Model:
    return model(tmp_path / "model")


def read(path: Path) -> list[dict[str, Any]]:
    table = pq.read_table(path) if path.suffix == ".parquet" else pacsv.read_csv(path)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def letters(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in dead_letters_of(output).read_text(encoding="utf-8").splitlines()]


def run(tmp_path: Path, model: Model, text: str, output: str = "out.csv", **options: Any) -> Report:
    source = tmp_path / "in.csv"
    source.write_text(text, encoding="utf-8")
    return predict_file(source, tmp_path / output, model, Options(**{"max_dead_share": 1.0, **options}))


def test_a_csv_is_predicted_as_the_server_would_row_by_row(tmp_path: Path, delay: Model) -> None:
    rows: list[Any] = [[100.0, "AA", 5.0], [2500.0, "DL", None], [900.0, "", 30.0]]
    text = HEADER + 'a,100,AA,5\nb, 2500 ,"DL",NA\nc,9e2,,30\n'

    report = run(tmp_path, delay, text, keep=["id"])

    expected = delay.predict(delay.encoder.array(delay.encoder.check(rows)))
    got = read(report.output)
    assert [row["row"] for row in got] == [1, 2, 3]
    assert [row["id"] for row in got] == ["a", "b", "c"]
    assert [row["prediction"] for row in got] == expected.labels
    assert [row["probability"] for row in got] == expected.scores
    assert (report.total, report.accepted, report.dead, report.dead_letters) == (3, 3, 0, None)


@pytest.mark.parametrize("output", ["out.csv", "out.parquet"])
def test_parquet_and_csv_give_the_same_predictions(tmp_path: Path, delay: Model, output: str) -> None:
    rng = np.random.default_rng(3)
    table = pa.table(
        {
            "gust": pa.array([None if i % 7 == 0 else float(i % 50) for i in range(500)]),
            "distance": pa.array(rng.integers(0, 5000, 500)),
            "carrier": pa.array([["AA", "UA", "XX", None][i % 4] for i in range(500)]).dictionary_encode(),
            "id": pa.array(range(500)),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    pacsv.write_csv(table.set_column(2, "carrier", table["carrier"].cast(pa.string())), tmp_path / "in.csv")

    reports = [
        predict_file(tmp_path / f"in.{kind}", tmp_path / f"{kind}-{output}", delay, Options(keep=["id"]))
        for kind in ("parquet", "csv")
    ]

    first, second = (read(report.output) for report in reports)
    assert len(first) == 500
    assert [(row["prediction"], row["probability"]) for row in first] == [
        (row["prediction"], row["probability"]) for row in second
    ]
    assert [int(row["id"]) for row in second] == [row["id"] for row in first] == list(range(500))


def test_every_bad_row_is_a_dead_letter_with_its_number_and_reason(tmp_path: Path, delay: Model) -> None:
    text = HEADER + (
        "1,100,AA,5\n"
        "2,far,AA,5\n"
        "3,,AA,5\n"
        "4,100,AA\n"
        "5,99999,AA,5\n"
        "6,inf,AA,5\n"
        '7,100,"A\nA",5\n'
        "8,100,AA,5,6\n"
        "9,1e39,AA,5\n"
        "10,100,UA,\n"
    )

    report = run(tmp_path, delay, text, keep=["id"])

    assert (report.total, report.accepted, report.dead) == (10, 3, 7)
    assert [(row["row"], int(row["id"])) for row in read(report.output)] == [(1, 1), (7, 7), (10, 10)]
    found = {line["row"]: line["reason"] for line in letters(report.output)}
    assert found[2] == "distance='far': must be a number"
    assert found[3] == "distance is missing and must be a number"
    assert "has 3 fields, the header has 4" in found[4]
    assert "at most 5000.0" in found[5]
    assert found[6] == "distance=inf: must be finite"
    assert "has 5 fields" in found[8]
    assert "distance=1e+39" in found[9]


def test_rejected_lines_keep_the_numbers_right_across_blocks(
    tmp_path: Path, delay: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "CSV_BLOCK_BYTES", 64)
    lines = [f"{n},100,AA\n" if n % 3 == 0 else f"{n},100,AA,5\n" for n in range(1, 101)]

    report = run(tmp_path, delay, HEADER + "".join(lines), keep=["id"])

    assert [row["row"] for row in read(report.output)] == [int(row["id"]) for row in read(report.output)]
    assert sorted(line["row"] for line in letters(report.output)) == list(range(3, 100, 3))
    assert (report.total, report.accepted, report.dead) == (100, 67, 33)


def test_rows_the_model_cannot_answer_are_dead_letters(tmp_path: Path) -> None:
    app = model(tmp_path / "model", "regression")

    report = run(tmp_path, app, "a,b\n1,1\n3e38,3e38\n2,2\n")

    assert [row["prediction"] for row in read(report.output)] == [6.0, 12.0]
    assert [line["reason"] for line in letters(report.output)] == ["the model's answer is not a finite number"]


def test_a_row_that_makes_the_model_raise_costs_only_itself(
    tmp_path: Path, delay: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = delay._transform
    assert honest is not None

    def poisoned(x: Any) -> Any:
        if (x[:, 0] == 666).any():
            raise ValueError("poison")
        return honest(x)

    monkeypatch.setattr(delay, "_transform", poisoned)
    text = HEADER + "".join(f"{n},{666 if n == 40 else n},AA,5\n" for n in range(1, 101))

    report = run(tmp_path, delay, text)

    assert (report.accepted, report.dead) == (99, 1)
    assert [row["row"] for row in read(report.output)] == [n for n in range(1, 101) if n != 40]
    assert letters(report.output)[0]["reason"] == "the model failed: ValueError: poison"


def test_too_many_dead_rows_leave_the_earlier_output_and_the_dead_letters(tmp_path: Path, delay: Model) -> None:
    (tmp_path / "out.csv").write_text("earlier", encoding="utf-8")

    with pytest.raises(DataError, match=r"ML-BATCH-003.*1 of 2 rows.*40\.0%"):
        run(tmp_path, delay, HEADER + "1,100,AA,5\n2,x,AA,5\n", max_dead_share=0.4)

    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == "earlier"
    assert len(letters(tmp_path / "out.csv")) == 1
    assert not list(tmp_path.glob(".*tmp"))


def test_a_run_without_dead_rows_removes_the_dead_letters_of_the_run_before(tmp_path: Path, delay: Model) -> None:
    run(tmp_path, delay, HEADER + "1,x,AA,5\n2,100,AA,5\n")
    assert dead_letters_of(tmp_path / "out.csv").exists()

    run(tmp_path, delay, HEADER + "1,100,AA,5\n")

    assert not dead_letters_of(tmp_path / "out.csv").exists()


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, delay: Model) -> None:
    source = tmp_path / "in.csv"
    source.write_text(HEADER + "1,100,AA,5\n", encoding="utf-8")

    def interrupt(_rows: int, _total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_file(source, tmp_path / "out.csv", delay, progress=interrupt)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "model"]


@pytest.mark.parametrize(
    ("case", "code"),
    [
        (("in.txt", "x", "out.csv"), "ML-BATCH-001"),
        (("gone.csv", None, "out.csv"), "ML-BATCH-001"),
        (("in.csv", "", "out.csv"), "ML-BATCH-001"),
        (("in.csv", HEADER, "out.csv"), "ML-BATCH-001"),
        (("in.parquet", "not parquet", "out.csv"), "ML-BATCH-001"),
        (("in.csv", "distance,carrier\n1,AA\n", "out.csv"), "ML-BATCH-002"),
        (("in.csv", "distance,distance,carrier,gust\n1,1,AA,1\n", "out.csv"), "ML-BATCH-002"),
        (("in.csv", HEADER + "1,100,AA,5\n", "nowhere/out.csv"), "ML-BATCH-005"),
        (("in.csv", HEADER + "1,100,AA,5\n", "in.csv"), "ML-BATCH-006"),
        (("in.csv", HEADER + "1,100,AA,5\n", "out.json"), "ML-BATCH-006"),
    ],
)
def test_what_cannot_be_read_or_written_is_refused(
    tmp_path: Path, delay: Model, case: tuple[str, str | None, str], code: str
) -> None:
    name, text, output = case
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")

    with pytest.raises(PipelineError) as caught:
        predict_file(tmp_path / name, tmp_path / output, delay)

    assert caught.value.code == code
    assert not list(tmp_path.glob("out*"))


def test_a_csv_that_is_not_utf8_is_refused(tmp_path: Path, delay: Model) -> None:
    (tmp_path / "in.csv").write_bytes(HEADER.encode() + b"1,100,\xff,5\n")

    with pytest.raises(DataError, match="ML-BATCH-001"):
        predict_file(tmp_path / "in.csv", tmp_path / "out.csv", delay)


@pytest.mark.parametrize("keep", [["row"], ["id", "id"]])
def test_kept_columns_must_not_clash(tmp_path: Path, delay: Model, keep: list[str]) -> None:
    with pytest.raises(UsageError, match="ML-BATCH-006"):
        run(tmp_path, delay, HEADER + "1,100,AA,5\n", keep=keep)


fields = st.sampled_from(["100", "0", "-1", "x", "", "NaN", "1e999", "5000.5", "AA", " 7 "])


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.lists(fields, min_size=2, max_size=4), min_size=1, max_size=30))
def test_no_row_is_ever_lost(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    directory = tmp_path_factory.mktemp("batch")
    with (directory / "in.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([feature.name for feature in DELAY])
        writer.writerows(rows)
    options = Options(max_dead_share=1.0)

    report = predict_file(directory / "in.csv", directory / "out.parquet", model(directory / "m"), options)

    done = [row["row"] for row in read(report.output)]
    dead = [line["row"] for line in letters(report.output)] if report.dead else []
    assert sorted(done + dead) == list(range(1, len(rows) + 1))


def test_the_command_predicts_with_a_release_by_id_and_says_the_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "repo_root", lambda: tmp_path)
    make_release(tmp_path / "releases" / "delay-0001", "binary")
    (tmp_path / "in.csv").write_text(HEADER + "1,100,AA,5\n2,x,AA,5\n", encoding="utf-8")
    arguments = ["batch", str(tmp_path / "in.csv"), str(tmp_path / "out.csv"), "--release", "delay-0001"]

    code = main([*arguments, "--keep", "id", "--max-dead-share", "0.5"])

    assert code == 0
    assert "2 rows = 1 predicted + 1 dead letters" in capsys.readouterr().out
    assert main(arguments) == DataError.exit_code
    assert "ML-BATCH-003" in capsys.readouterr().err
    assert main([*arguments[:-1], "../delay"]) == UsageError.exit_code


def test_the_help_has_an_example() -> None:
    code = "from ml.cli import main; raise SystemExit(main(['batch', '--help']))"

    text = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout

    assert "Example: mlp batch" in text
