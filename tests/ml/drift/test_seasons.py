import pytest

from ml.drift.seasons import reference_months
from ml.errors import ConfigError

TWO_YEARS = [f"{year}-{month:02d}" for year in (2012, 2013) for month in range(1, 13)]


def test_all_that_trained_is_the_reference_unless_said_otherwise() -> None:
    assert reference_months("training", ["2013-02", "2013-01", "2013-02"], "2013-03") == ("2013-01", "2013-02")


@pytest.mark.parametrize(
    ("judged", "expected"),
    [
        ("2014-07", ("2012-06", "2012-07", "2012-08", "2013-06", "2013-07", "2013-08")),
        ("2014-01", ("2012-01", "2012-02", "2012-12", "2013-01", "2013-02", "2013-12")),
        ("2014-12", ("2012-01", "2012-11", "2012-12", "2013-01", "2013-11", "2013-12")),
    ],
)
def test_a_season_is_the_same_time_of_the_year_in_every_year(judged: str, expected: tuple[str, ...]) -> None:
    assert reference_months("season", TWO_YEARS, judged) == expected


def test_where_the_season_never_trained_there_is_no_reference() -> None:
    assert reference_months("season", ["2013-01", "2013-02"], "2013-07") == ()


def test_named_months_must_have_trained() -> None:
    assert reference_months(("2013-02", "2013-01"), TWO_YEARS, "2014-07") == ("2013-01", "2013-02")
    with pytest.raises(ConfigError, match=r"2015-01, and the months that trained are 2012-01 to 2013-12") as refused:
        reference_months(("2015-01", "2013-01"), TWO_YEARS, "2014-07")
    assert refused.value.code == "ML-DRIFT-006"
