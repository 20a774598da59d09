import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.statistics.multiplicity import benjamini_hochberg, holm

P_VALUES = st.lists(st.floats(0, 1), max_size=20)


@given(P_VALUES)
def test_adjusted_p_values_keep_the_order_and_are_never_smaller(p_values: list[float]) -> None:
    for adjust in (benjamini_hochberg, holm):
        adjusted = adjust(p_values)

        assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
        assert [q for _, q in sorted(zip(p_values, adjusted, strict=True))] == sorted(adjusted)


@given(P_VALUES)
def test_holm_is_never_more_lenient(p_values: list[float]) -> None:
    pairs = zip(benjamini_hochberg(p_values), holm(p_values), strict=True)

    assert all(lenient <= strict + 1e-12 for lenient, strict in pairs)


def test_adjusted_p_values_are_those_of_the_procedures() -> None:
    p_values = [0.01, 0.04, 0.03, 0.5]

    assert benjamini_hochberg(p_values) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert holm(p_values) == pytest.approx([0.04, 0.09, 0.09, 0.5])
