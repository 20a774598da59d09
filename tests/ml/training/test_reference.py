from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ml.training.inputs import prepare
from ml.training.reference import (
    CATEGORIES,
    EDGES,
    ReferenceRows,
    bins,
    prediction_bins,
    reference,
    reference_rows,
    shares,
)
from tests.ml.training.toy import FEATURES, problem

VALUES = arrays(np.float32, st.integers(0, 200), elements=st.floats(-1e6, 1e6, width=32) | st.just(np.nan))


@given(VALUES)
def test_every_row_is_in_one_bin_or_missing(values):
    got = bins(values)

    assert sum(got["counts"]) + got["missing"] == got["rows"] == len(values)
    assert len(got["counts"]) == len(got["edges"]) + 1
    assert got["edges"] == sorted(set(got["edges"]))
    assert len(got["edges"]) <= EDGES


@given(VALUES)
def test_a_bin_holds_the_values_above_its_lower_edge_up_to_its_upper_one(values):
    got = bins(values)
    known = values[~np.isnan(values)]
    edges = [-np.inf, *got["edges"], np.inf]

    counts = [int(((known > low) & (known <= high)).sum()) for low, high in pairwise(edges)]

    assert counts == got["counts"]


def test_many_different_values_spread_evenly():
    got = bins(np.random.default_rng(0).normal(size=33_000).astype(np.float32))

    assert len(got["edges"]) == EDGES
    assert min(got["counts"]) > 900


def test_every_feature_that_is_not_ignored_has_a_reference():
    ignored = replace(FEATURES[0], drift="ignore")

    assert set(reference(FEATURES, np.zeros((3, 2), np.float32))) == {"heat", "kind"}
    assert set(reference((ignored, FEATURES[1]), np.zeros((3, 2), np.float32))) == {"kind"}


def test_rare_categories_share_a_bin_and_every_row_is_in_one():
    names = tuple(f"c{i}" for i in range(100))
    codes = np.repeat(np.arange(-1, 100), np.arange(1, 102)).astype(np.float32)

    found = shares(names, codes)

    assert len(found["categories"]) == CATEGORIES
    assert found["categories"][0] == "c99"
    assert len(found["counts"]) == CATEGORIES + 2
    assert sum(found["counts"]) == found["rows"] == len(codes)
    assert found["counts"][-1] == 1


def test_the_models_answers_have_bins_of_their_own():
    probabilities = np.linspace(0, 1, 200, dtype=np.float32)
    scores = np.column_stack([1 - probabilities, probabilities])

    assert prediction_bins(problem(), np.zeros(200), scores)["score"]["rows"] == 200


def test_the_reference_rows_are_those_that_the_problem_names():
    inputs = prepare(problem(), "2013-02", seed=1, progress=lambda step: None)
    every = reference_rows(problem(), inputs)
    one = reference_rows(problem(drift_reference=("2013-01",)), inputs)
    season = reference_rows(problem(drift_reference="season"), inputs)

    assert every.about == {"selection": "training", "months": ["2013-01", "2013-02"], "rows": 120}
    assert (one.about, len(one.x)) == ({"selection": "months", "months": ["2013-01"], "rows": 60}, 60)
    assert season.about == {"selection": "season", "months": ["2013-02"], "rows": 60}
    assert every.x is inputs.train_x


def test_a_problem_without_time_has_one_reference():
    timeless = problem(time=None)
    inputs = prepare(timeless, None, seed=1, progress=lambda step: None)

    assert reference_rows(timeless, inputs).about["months"] == []


def test_answers_are_known_from_a_sample_of_evenly_spaced_rows():
    rows = ReferenceRows(x=np.arange(240_000, dtype=np.float32).reshape(-1, 2), about={})

    assert len(rows.sample()) == 40_000
    assert rows.sample()[:2, 0].tolist() == [0, 6]


def test_only_missing_values_have_no_edges():
    assert bins(np.full(5, np.nan, np.float32)) == {"edges": [], "counts": [0], "rows": 5, "missing": 5}


def test_edges_are_exact_in_float32():
    edges = bins(np.float32([0.1, 0.2, 0.3]))["edges"]

    assert edges == pytest.approx([0.1, 0.2, 0.3])
    assert all(np.float32(edge) == edge for edge in edges)
