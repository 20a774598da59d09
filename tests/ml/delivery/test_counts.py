"""Counters are added up over pods and restarts, in whole numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.delivery.counts import Pool, Totals, reading
from ml.drift.live import Live


def key(name, pod="1", **labels):
    return tuple(sorted({"__name__": name, "instance": pod, "slot": "green", **labels}.items()))


def requests(code, pod="1", route="/predict"):
    return key("ml_requests_total", pod, code=code, route=route)


def test_only_what_came_after_the_first_reading_counts():
    pool = Pool({requests("2xx"): 100.0, requests("5xx"): 7.0})
    pool.add({requests("2xx"): 130.0, requests("5xx"): 8.0})

    assert pool.totals(0.25) == Totals(requests=31, errors=1)


def test_pods_are_pooled_and_a_new_pod_begins_at_nought():
    pool = Pool({requests("2xx", "1"): 100.0})
    pool.add({requests("2xx", "1"): 110.0, requests("2xx", "2"): 5.0})

    assert pool.totals(0.25).requests == 15


def test_a_restarted_pod_keeps_what_it_had_and_counts_on():
    pool = Pool({requests("2xx"): 100.0})
    for value in (150.0, 3.0, 10.0):
        pool.add({requests("2xx"): value})

    assert pool.totals(0.25).requests == 60


def test_a_pod_that_is_gone_keeps_what_it_had():
    pool = Pool({requests("2xx"): 0.0})
    pool.add({requests("2xx"): 9.0})
    pool.add({})

    assert pool.totals(0.25).requests == 9


def test_what_a_client_did_wrong_and_other_routes_say_nothing_about_a_release():
    pool = Pool({})
    pool.add(
        {requests("4xx"): 5.0, requests("5xx", route="/ready"): 9.0, requests("2xx", route="/v2/models/f/infer"): 2.0}
    )

    assert pool.totals(0.25) == Totals(requests=2)


def test_slow_is_what_is_above_one_bound_of_the_histogram():
    bucket = "ml_prediction_duration_seconds_bucket"
    pool = Pool({})
    pool.add(
        {
            key(bucket, le="0.1"): 5.0,
            key(bucket, le="0.25"): 8.0,
            key(bucket, le="+Inf"): 10.0,
            key("ml_prediction_duration_seconds_count"): 10.0,
        }
    )

    totals = pool.totals(0.25)

    assert (totals.timed, totals.slow) == (10, 2)


def test_rows_that_got_no_answer_are_counted_with_those_that_did():
    pool = Pool({})
    pool.add(
        {
            key("ml_predictions_total", outcome="ok"): 20.0,
            key("ml_predictions_total", outcome="error"): 4.0,
        }
    )

    totals = pool.totals(0.25)

    assert (totals.rows, totals.lost) == (24, 4)


def test_rows_by_bin_are_those_of_one_release_over_all_its_pods():
    bins, answers = "ml_feature_bin_total", "ml_prediction_bin_total"
    pool = Pool({key(bins, feature="a", bin="0", version="f-0002"): 10.0})
    pool.add(
        {
            key(bins, feature="a", bin="0", version="f-0002"): 13.0,
            key(bins, "2", feature="a", bin="0", version="f-0002"): 2.0,
            key(bins, feature="a", bin="missing", version="f-0002"): 1.0,
            key(bins, feature="a", bin="0", version="f-0001"): 50.0,
            key(answers, output="score", bin="1", version="f-0002"): 6.0,
            requests("2xx"): 6.0,
        }
    )

    assert pool.live("f-0002") == Live(features={"a": {"0": 5.0, "missing": 1.0}}, predictions={"score": {"1": 6.0}})


@given(st.lists(st.integers(0, 1000), max_size=30), st.integers(0, 1000))
def test_the_sum_is_that_of_all_increments_however_often_it_is_read(steps, start):
    pool = Pool({requests("2xx"): float(start)})
    value = start
    for step in steps:
        value += step
        pool.add({requests("2xx"): float(value)})

    assert pool.totals(0.25).requests == sum(steps)


def test_a_reading_is_keyed_by_all_labels():
    body = {"data": {"result": [{"metric": {"b": "2", "a": "1"}, "value": [1.0, "3"]}]}}

    assert reading(body) == {(("a", "1"), ("b", "2")): 3.0}


@pytest.mark.parametrize(
    "body", [None, {}, {"data": {}}, {"data": {"result": [{}]}}, {"data": {"result": [{"metric": {}, "value": []}]}}]
)
def test_what_is_no_result_is_refused(body):
    with pytest.raises(ValueError, match="no result"):
        reading(body)
