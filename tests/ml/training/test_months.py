import pytest

from ml.errors import UsageError
from ml.training.months import following


@pytest.mark.parametrize(("month", "after"), [("2013-06", "2013-07"), ("2013-12", "2014-01"), ("2013-09", "2013-10")])
def test_the_next_month(month, after):
    assert following(month) == after


@pytest.mark.parametrize("text", ["2013-13", "2013-00", "2013-6", "2013", "", "2013-06-01", "june"])
def test_what_is_no_month_is_refused_by_name(text):
    with pytest.raises(UsageError, match=f"ML-TRAIN-001: month '{text}': must be YYYY-MM"):
        following(text)
