"""The page about a release's drift, and the table of all months."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.cli import main
from ml.data.schema import Feature
from ml.drift.compare import compare
from ml.drift.evidence import content
from ml.drift.months import markdown, months
from ml.drift.page import page, svg
from ml.drift.plots import plot
from ml.drift.reference import prepare_columns
from ml.drift.rows import Rows
from ml.release.example import example
from tests.ml.release.folders import write_release
from tests.ml.training.toy import problem

FEATURES = (
    Feature(name="flat<", kind="number", unit="m"),
    Feature(name="moved", kind="number"),
    Feature(name="kind", kind="category", categories=("a", "b", "c"), drift="watch"),
)
POLICY = {"required": True, "min_rows": 500, "min_d": 0.05, "alpha": 0.01}


def made() -> tuple[dict[str, Any], dict[str, Any]]:
    random = np.random.default_rng(1)
    sides = [
        {
            "flat<": random.normal(size=2000),
            "moved": random.normal(shift, size=2000),
            "kind": random.integers(0, 3, 2000).astype(float),
        }
        for shift in (0.0, 1.0)
    ]
    drift = {"features": compare(prepare_columns(FEATURES, sides[0], {}, keep=True), sides[1])}
    plots = {feature.name: plot(feature, sides[0][feature.name], sides[1][feature.name]) for feature in FEATURES}
    return drift, {"schema": "ml-pipeline/drift/v1", "features": plots, "prediction": {}}


def spoil(record: dict[str, Any]) -> None:
    record["drift"] = made()[0]
    record["gate"]["policy"]["drift"] = POLICY


def test_the_page_says_the_verdict_first_and_ranks_the_features() -> None:
    text = page(example(spoil), made()[1])

    assert '<span class="verdict alarm">alarm</span>' in text.partition("<table>")[0]
    assert text.index(">moved</td>") < text.index(">flat&lt;</td>")
    assert text.count("<svg") == 3
    assert "flat<" not in text


def test_the_page_needs_nothing_from_elsewhere_and_has_the_same_bytes_again() -> None:
    record, plots = example(spoil), made()[1]
    text = page(record, plots)

    assert "<script" not in text
    assert not [line for line in text.splitlines() if "src=" in line or "@import" in line or "url(http" in line]
    assert text == page(record, plots)


@pytest.mark.parametrize(
    ("left", "right"),
    [([], []), ([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([float("nan")], [0.0]), (list(range(100)), [5.0])],
)
def test_every_column_has_a_picture(left: list[float], right: list[float]) -> None:
    drawn = plot(FEATURES[0], np.array(left, dtype=float), np.array(right, dtype=float))

    assert svg(drawn).startswith("<svg")


def test_the_command_writes_the_page_of_a_release(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_release(tmp_path, "example-0001", spoil)
    words = ["drift", "report", "example-0001", "--root", str(tmp_path), "--out", str(tmp_path / "out" / "page.html")]

    assert main(words) == 2
    assert "ML-DRIFT-010" in capsys.readouterr().err
    (folder / "drift.json").write_bytes(content(made()[1]))
    assert main(words) == 0
    assert "Drift of example-0001" in (tmp_path / "out" / "page.html").read_text()


def test_every_month_is_compared_with_those_before_it() -> None:
    random = np.random.default_rng(2)
    names = np.repeat(["2013-01", "2013-02", "2013-03"], 600)
    heat = random.normal(size=1800)
    heat[1200:] += 1.0
    rows = Rows(x=np.column_stack([heat, np.zeros(1800)]).astype(np.float32), months=names)

    found = list(months(problem(), rows, POLICY))

    assert [(month.month, month.alarms) for month in found] == [("2013-02", ()), ("2013-03", ("heat",))]
    assert found[1].classic == ("heat",)
    assert "| 2013-03 | 600 | 1 of 1 numbers | heat | none |" in markdown(iter(found), 1)
    assert json.dumps(found[0].rows) == "600"
