import pandas as pd
import pandera.pandas as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.data.checker import check
from ml.data.contract import Contract, across, columns
from ml.data.schema import Feature
from ml.errors import DataError

FEATURES = (
    Feature(name="age", kind="number", minimum=0, maximum=150, nullable=True),
    Feature(name="size", kind="number", minimum=0),
    Feature(name="colour", kind="category", categories=("blue", "green")),
)
CONTRACT = Contract(
    schema=pa.DataFrameSchema(
        {"id": pa.Column(int), "label": pa.Column(float), **columns(FEATURES)},
        checks=[across("older_than_big", lambda t: ~(t["age"] > t["size"] * 100))],
    ),
    drops={"unlabelled": lambda t: t["label"].isna()},
    max_rejected_share=1.0,
)
GOOD = {"id": 1, "label": 1.0, "age": 5.0, "size": 2.0, "colour": "blue"}


def table(*changes):
    rows = [{**GOOD, "id": index, **change} for index, change in enumerate(changes)]
    frame = pd.DataFrame(rows)
    return frame.assign(colour=frame["colour"].astype(str))


_row = st.fixed_dictionaries(
    {
        "id": st.integers(0, 20),
        "label": st.sampled_from([0.0, 1.0, None]),
        "age": st.sampled_from([None, -1.0, 5.0, 150.0, 151.0]),
        "size": st.sampled_from([None, -1.0, 0.0, 2.0]),
        "colour": st.sampled_from(["blue", "green", "red"]),
    }
)


@settings(deadline=None, max_examples=40)
@given(st.lists(_row, min_size=1, max_size=25))
def test_every_row_is_accepted_dropped_or_rejected_and_the_ledger_adds_up(rows):
    frame = pd.DataFrame(rows).astype({"label": float, "age": float, "size": float, "colour": "str"})

    accepted, ledger = check(CONTRACT, frame, key=["id"])

    assert ledger.total == len(frame)
    assert ledger.accepted == len(accepted)
    assert ledger.accepted + sum(ledger.dropped.values()) + sum(ledger.rejected.values()) == ledger.total
    assert ledger.accepted + sum(ledger.left_out.values()) == ledger.total
    assert accepted["id"].is_unique
    assert accepted["size"].ge(0).all()
    assert accepted["label"].notna().all()
    assert accepted["colour"].isin(["blue", "green"]).all()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"size": -1.0, "age": None}, "size:below_minimum"),
        ({"age": 151.0}, "age:above_maximum"),
        ({"colour": "red"}, "colour:unknown_category"),
        ({"size": None}, "size:missing"),
        ({"age": 149.0, "size": 1.0}, "older_than_big"),
    ],
)
def test_a_broken_rule_has_a_stable_reason_code(change, code):
    accepted, ledger = check(CONTRACT, table({}, change, {}))

    assert ledger.rejected == {code: 1}
    assert accepted["id"].tolist() == [0, 2]


@pytest.mark.parametrize("value", [0.0, 150.0, None])
def test_a_value_at_the_limit_or_missing_where_that_is_legal_is_accepted(value):
    _, ledger = check(CONTRACT, table({"age": value, "size": 2.0}))

    assert ledger.accepted == 1


def test_a_row_that_breaks_two_rules_counts_once_and_both_rules_are_listed():
    _, ledger = check(CONTRACT, table({}, {"size": -1.0, "colour": "red"}))

    assert ledger.rejected == {"colour:unknown_category": 1}
    assert ledger.broken == {"colour:unknown_category": 1, "older_than_big": 1, "size:below_minimum": 1}


def test_a_text_among_numbers_rejects_that_row_only():
    frame = table({}, {}, {"size": -1.0}).astype({"size": object})
    frame.loc[1, "size"] = "far"

    accepted, ledger = check(CONTRACT, frame)

    assert accepted["id"].tolist() == [0]
    assert ledger.rejected == {"older_than_big": 1, "size:wrong_type": 1}


def test_the_second_row_with_a_key_is_dropped():
    accepted, ledger = check(CONTRACT, table({"id": 7}, {"id": 7, "size": 3.0}, {"id": 8}), key=["id"])

    assert (ledger.dropped["duplicate"], accepted["size"].tolist()) == (1, [2.0, 2.0])


def test_without_a_key_only_wholly_equal_rows_are_duplicates():
    _, ledger = check(CONTRACT, table({"id": 7}, {"id": 7}, {"id": 7, "size": 3.0}))

    assert ledger.dropped["duplicate"] == 1


def test_missing_columns_are_all_named_at_once():
    with pytest.raises(DataError, match=r"ML-DATA-001.*colour, size"):
        check(CONTRACT, table({}).drop(columns=["size", "colour"]))


def test_an_empty_table_is_refused():
    with pytest.raises(DataError, match="ML-DATA-002"):
        check(CONTRACT, table({}).iloc[:0])


def test_a_column_of_the_wrong_type_is_the_whole_tables_fault():
    with pytest.raises(DataError, match=r"ML-DATA-003.*id:wrong_type"):
        check(CONTRACT, table({}).astype({"id": float}))


def test_too_many_bad_rows_stop_the_run_and_name_the_rules():
    strict = Contract(schema=CONTRACT.schema, max_rejected_share=0.5)

    check(strict, table({}, {"size": -1.0, "age": None}))
    with pytest.raises(DataError, match=r"ML-DATA-004.*2 rows \(66.67%\).*size:below_minimum \(2 rows\)") as caught:
        check(strict, table({}, {"size": -1.0, "age": None}, {"size": -2.0, "age": None}))

    assert caught.value.exit_code == 4


def test_dropped_rows_do_not_dilute_the_share_of_bad_ones():
    strict = Contract(schema=CONTRACT.schema, drops=CONTRACT.drops, max_rejected_share=0.4)

    with pytest.raises(DataError, match="ML-DATA-004"):
        check(strict, table({}, {"size": -1.0}, {"label": None}, {"label": None}, {"label": None}))
