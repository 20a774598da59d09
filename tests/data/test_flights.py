"""The real data: what the contract, the split and the model take for granted."""

import pytest

from ml.data.checker import check
from ml.data.digest import snapshot_sha256
from ml.flights.problem import PROBLEM

pytestmark = pytest.mark.integration

LATE_SHARE = (0.10, 0.40)  # of any month; outside of it the label is broken


@pytest.fixture(scope="module")
def table():
    return PROBLEM.load(None, None)


@pytest.fixture(scope="module")
def checked(table):
    return check(PROBLEM.contract, table, key=PROBLEM.key)


def test_the_year_is_complete(table):
    assert len(table) == 336_776
    assert table["departure"].dt.month.nunique() == 12


def test_every_flight_is_accepted_or_has_no_label(checked):
    _, ledger = checked

    assert ledger.rejected == {}
    assert ledger.left_out == {"cancelled": 8255, "diverted": 1175}
    assert ledger.accepted + 9430 == ledger.total


def test_the_content_is_the_one_that_releases_were_made_from(table):
    assert snapshot_sha256(table) == "9bbc358577447110655a7c05f5c3d5526b9f0b8bd4ad1345461758ff34d14a8d"


def test_lateness_of_every_month_is_plausible(checked):
    accepted, _ = checked

    shares = accepted.groupby(accepted["departure"].dt.month)["late"].mean()

    assert shares.between(*LATE_SHARE).all()
    assert 0.2 < accepted["late"].mean() < 0.3


def test_weather_is_there_for_almost_every_flight(checked):
    accepted, _ = checked

    assert accepted[["temp", "wind_speed", "visib"]].isna().mean().max() < 0.01
    assert accepted["pressure"].isna().mean() < 0.15


def test_every_category_occurs_so_that_the_lists_are_not_stale(table):
    for feature in PROBLEM.features:
        if feature.kind == "category":
            assert set(table[feature.name]) == set(feature.categories)
