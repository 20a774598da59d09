from datetime import datetime

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest

from ml.data.checker import Checker, check, sort_out
from ml.data.contract import Contract, Ledger, columns
from ml.data.schema import Feature
from ml.data.systemic import Freshness, Typical
from ml.errors import DataError

CONTRACT = Contract(
    schema=pa.DataFrameSchema(
        {
            "when": pa.Column("datetime64[us]"),
            **columns((Feature(name="temp", kind="number", minimum=-60, maximum=130, nullable=True),)),
        }
    ),
    time="when",
    typical={"temp": Typical(low=28, high=95, unit="degF")},
    freshness=Freshness(max_age_days=2),
)


def table(rows=400, start="2013-06-01"):
    rng = np.random.default_rng(0)
    when = pd.date_range(start, periods=rows, freq="3h").astype("datetime64[us]")
    return pd.DataFrame({"when": when, "temp": rng.normal(65, 8, rows)})


def refusal(frame, as_of=None):
    with pytest.raises(DataError) as caught:
        check(CONTRACT, frame, key=["when"], as_of=as_of)
    return str(caught.value)


def test_an_honest_table_passes():
    _, ledger = check(CONTRACT, table(), key=["when"])

    assert ledger.accepted == 400


def test_celsius_where_fahrenheit_is_declared_is_found_though_every_value_is_in_range():
    message = refusal(table().assign(temp=lambda t: (t["temp"] - 32) / 1.8))

    assert "ML-DATA-003" in message
    assert "temp:unit (median 18" in message
    assert "in degF it lies from 28 to 95" in message


def test_one_month_in_another_unit_is_enough_and_is_named():
    frame = table()
    july = frame["when"].dt.month == 7
    frame.loc[july, "temp"] = (frame.loc[july, "temp"] - 32) / 1.8

    message = refusal(frame)

    assert "temp:unit (median 1" in message
    assert " in 2013-07, in degF" in message


def test_too_few_rows_say_nothing_about_a_unit():
    _, ledger = check(CONTRACT, table(rows=99).assign(temp=0.0), key=["when"])

    assert ledger.accepted == 99


def test_a_month_of_nulls_is_found_though_a_null_is_legal():
    frame = table()
    frame.loc[frame["when"].dt.month == 7, "temp"] = None

    assert "temp:mostly_missing (160 of 160 values (100.0%) are missing in 2013-07, at most 50.0% may)" in refusal(
        frame
    )


@pytest.mark.parametrize(("as_of", "stale"), [("2013-07-22 21:00", False), ("2013-07-22 22:00", True)])
def test_the_newest_row_may_be_as_old_as_the_limit_and_no_older(as_of, stale):
    _, outcome = sort_out(CONTRACT, table(), key=["when"], as_of=datetime.fromisoformat(as_of))

    assert [finding.code for finding in outcome.findings] == (["when:stale"] if stale else [])


def test_without_a_moment_to_count_from_nothing_is_stale():
    _, outcome = sort_out(CONTRACT, table(start="1999-01-01"), key=["when"])

    assert (outcome.findings, outcome.age) == ((), None)


def test_freshness_as_the_record_holds_it():
    _, outcome = sort_out(CONTRACT, table(), key=["when"], as_of=datetime.fromisoformat("2013-07-21"))

    assert outcome.age.to_json() == {"newest": "2013-07-20", "as_of": "2013-07-21", "age_days": 0.12, "limit_days": 2.0}


def test_a_row_from_the_future_is_rejected_and_makes_nothing_fresh():
    frame = table()
    frame.loc[3, "when"] = pd.Timestamp("2031-01-01")
    _, outcome = sort_out(CONTRACT, frame, key=["when"], as_of=datetime.fromisoformat("2013-07-21"))

    assert outcome.ledger.rejected == {"when:from_the_future": 1}
    assert outcome.age.days == 0


def test_all_that_is_wrong_with_a_table_stands_in_one_message():
    frame = table().assign(temp=lambda t: (t["temp"] - 32) / 1.8)
    frame.loc[frame["when"].dt.month == 7, "temp"] = None
    frame.loc[:20, "temp"] = 1000.0

    message = refusal(frame, as_of=datetime.fromisoformat("2014-01-01"))

    assert all(code in message for code in ("temp:unit", "temp:mostly_missing", "when:stale", "temp:above_maximum (21"))


def test_a_ledger_that_does_not_add_up_cannot_be_made():
    with pytest.raises(DataError, match=r"ML-DATA-010.*make 6, not the 7"):
        Ledger(total=7, accepted=3, dropped={"duplicate": 2}, rejected={"temp:missing": 1}, broken={})


@pytest.mark.parametrize("cut", [pytest.param(1, marks=pytest.mark.integration), 7, 130, 399])
def test_chunks_give_the_ledger_the_findings_and_the_rows_of_the_whole(cut):
    frame = pd.concat([table(), table(rows=5)], ignore_index=True)
    frame.loc[10:14, "temp"] = 500.0
    found, whole = sort_out(CONTRACT, frame, key=["when"])

    checker = Checker(CONTRACT, key=["when"])
    parts = [checker.feed(frame.iloc[start : start + cut]).accepted for start in range(0, len(frame), cut)]
    outcome = checker.finish()

    assert outcome.ledger == whole.ledger
    assert outcome.findings == whole.findings
    assert pd.concat(parts)["when"].tolist() == found.accepted["when"].tolist()
    assert whole.ledger.dropped == {"duplicate": 5}


def test_an_infinite_number_without_a_range_is_rejected():
    free = Contract(schema=pa.DataFrameSchema(columns((Feature(name="x", kind="number"),))), max_rejected_share=1.0)
    _, ledger = check(free, pd.DataFrame({"x": [1.0, float("inf"), -float("inf")]}))

    assert ledger.rejected == {"x:not_finite": 2}
