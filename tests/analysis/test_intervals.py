"""Means and their intervals."""

import math

import pytest
from scipy.stats import ttest_1samp

from pyubias.analysis.intervals import geometric, interval, ratio


def test_intervals_are_those_of_students_t() -> None:
    # t(0.975, 2) = 4.3027
    half = 4.3027 / math.sqrt(3.0)
    assert interval([1.0, 2.0, 3.0]) == pytest.approx((2.0, 2.0 - half, 2.0 + half), rel=1e-4)
    assert interval([1.0]) == (1.0, None, None)
    logs = geometric([math.exp(1.0), math.exp(2.0), math.exp(3.0)])
    assert [math.log(x) for x in logs] == pytest.approx([2.0, 2.0 - half, 2.0 + half], rel=1e-4)
    assert interval([1.0, 2.0, 3.0]).text() == "2.0 (-0.5 to 4.5)"


def test_intervals_are_those_of_a_t_test() -> None:
    values = [3.0, 5.0, 4.0, 8.0]
    expected = ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert interval(values)[1:] == pytest.approx((expected.low, expected.high))


def test_equal_values_have_an_interval_without_width() -> None:
    assert interval([2.0, 2.0, 2.0]) == (2.0, 2.0, 2.0)


def test_ratios_are_those_of_pairs() -> None:
    values, others = {0: 2.0, 1: 20.0, 2: 7.0}, {0: 1.0, 1: 10.0, 5: 1.0}
    assert ratio(values, others) == pytest.approx((2.0, 2.0, 2.0))
    assert ratio({0: 1.0}, {1: 1.0}) is None
