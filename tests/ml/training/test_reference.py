from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ml.training.reference import EDGES, bins, reference
from tests.ml.training.toy import FEATURES

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


def test_categories_and_ignored_features_have_no_reference():
    assert set(reference(FEATURES, np.zeros((3, 2), np.float32))) == {"heat"}


def test_only_missing_values_have_no_edges():
    assert bins(np.full(5, np.nan, np.float32)) == {"edges": [], "counts": [0], "rows": 5, "missing": 5}


def test_edges_are_exact_in_float32():
    edges = bins(np.float32([0.1, 0.2, 0.3]))["edges"]

    assert edges == pytest.approx([0.1, 0.2, 0.3])
    assert all(np.float32(edge) == edge for edge in edges)
