"""The drift evidence of a release, for the three kinds of problem."""

import json
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from referencing import Registry, Resource

from ml.data.schema import Feature
from ml.drift.evidence import content, evidence
from ml.drift.outputs import answers
from ml.drift.plots import BARS, CATEGORIES, plot
from ml.release.fields import FOLDER
from ml.training.run import train
from tests.ml.training.toy import problem, table

NUMBER = Feature(name="x", kind="number", unit="m")
CATEGORY = Feature(name="c", kind="category", categories=tuple(f"c{i}" for i in range(40)))


def validator(name: str) -> Any:
    files = {path.name: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
    registry: Any = Registry().with_resources((s["$id"], Resource.from_contents(s)) for s in files.values())
    return jsonschema.Draft202012Validator(files[name], registry=registry)


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("candidate")
    return train(problem(table(rows=300)), "2013-02", out=folder, cached=folder / "cache")


def test_the_section_and_the_plots_have_their_shapes(candidate: Any) -> None:
    section, plots = evidence(problem(), candidate, {})

    assert [error.message for error in validator("drift.json").iter_errors(section)] == []
    assert [error.message for error in validator("drift-plots.json").iter_errors(json.loads(plots))] == []
    assert section["reference"] == {
        "selection": "training", "months": ["2013-01", "2013-02"], "rows": 600, "method": "exact",
    }  # fmt: skip
    assert set(section["features"]) == {"heat", "kind"}
    assert section["prediction"]["score"]["role"] == "watch"
    assert section["prediction"]["score"]["n_current"] == 300


def test_the_policy_says_what_a_moved_answer_means(candidate: Any) -> None:
    assert evidence(problem(), candidate, {"prediction": "gate"})[0]["prediction"]["score"]["role"] == "gate"
    section, plots = evidence(problem(), candidate, {"prediction": "ignore"})
    assert section["prediction"] == json.loads(plots)["prediction"] == {}


def test_an_ignored_feature_is_in_neither(candidate: Any) -> None:
    heat, kind = problem().features
    section, plots = evidence(problem(features=(replace(heat, drift="ignore"), kind)), candidate, {})

    assert set(section["features"]) == set(json.loads(plots)["features"]) == {"kind"}


def test_the_same_evidence_has_the_same_bytes(candidate: Any) -> None:
    assert evidence(problem(), candidate, {})[1] == evidence(problem(), candidate, {})[1]


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), max_size=60), st.lists(st.floats(-1e6, 1e6), max_size=60))
def test_every_value_is_in_one_bar(left: list[float], right: list[float]) -> None:
    found = plot(NUMBER, np.array(left), np.array(right))

    assert sum(found["reference"]) + found["missing"][0] == len(left)
    assert sum(found["current"]) + found["missing"][1] == len(right)
    assert len(found["edges"]) < BARS
    assert len(found["reference"]) == len(found["edges"]) + 1 or not found["reference"]


def test_few_different_values_have_a_bar_each() -> None:
    days = np.tile(np.arange(1.0, 8.0), 50)

    assert plot(NUMBER, days, days)["reference"] == [50] * 7


def test_categories_beyond_the_first_share_a_bar() -> None:
    codes = np.repeat(np.arange(-1, 40), 10).astype(float)
    found = plot(CATEGORY, codes, codes)

    assert len(found["labels"]) == CATEGORIES
    assert found["reference"][-2:] == [280, 10]


def test_plot_data_hold_no_number_that_json_has_not() -> None:
    with pytest.raises(ValueError, match="JSON"):
        content({"x": float("nan")})


def test_each_kind_has_answers_of_its_own() -> None:
    scores = np.array([[0.2, 0.8], [0.9, 0.1]], dtype=np.float32)
    three = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]], dtype=np.float32)

    binary, score = answers("binary", [0, 1], np.array([1, 0]), scores)
    multi, chosen = answers("multiclass", ["a", "b", "c"], np.array(["b", "a"]), three)
    number, value = answers("regression", [], np.array([1.5, 2.5]), None)

    assert (binary.name, multi.name, number.name) == ("score", "class", "value")
    assert score.tolist() == pytest.approx([0.8, 0.1])
    assert (multi.categories, chosen.tolist()) == (("a", "b", "c"), [1, 0])
    assert value.tolist() == [1.5, 2.5]
