"""Variance between and within molecules."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyubias.diversity.measure.variance import split_variance, variance_components


@given(st.integers(1, 20), st.integers(1, 5), st.integers(0, 100))
def test_variance_between_and_within_adds_up(n: int, n_groups: int, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(n, 5))
    split = split_variance(x, [k % n_groups for k in range(n)])
    assert split.total == pytest.approx(np.square(x - x.mean(0)).sum(1).mean())


def test_variance_is_all_between_or_all_within() -> None:
    assert split_variance(np.array([1.0, 1.0, 3.0, 3.0]), list("aabb")).fraction_between == 1.0
    assert split_variance(np.array([1.0, 3.0, 1.0, 3.0]), list("aabb")).fraction_between == 0.0


def test_components_of_variance_are_found_again_whatever_the_sizes():
    generator = np.random.default_rng(3)
    molecules = np.repeat(np.arange(3000), generator.integers(1, 5, 3000))
    means = 2.0 * generator.normal(size=3000)
    found = variance_components(
        means[molecules] + 3.0 * generator.normal(size=len(molecules)), molecules
    )
    assert found.between == pytest.approx(4.0, rel=0.1)
    assert found.within == pytest.approx(9.0, rel=0.1)
    assert found.total == pytest.approx(13.0, rel=0.1)


def test_components_of_variance_by_hand():
    # sums of squares 4 within (2 degrees of freedom) and 36 between (1), two of each
    found = variance_components(np.array([1.0, 3.0, 7.0, 9.0]), ["a", "a", "b", "b"])
    assert (found.within, found.between) == pytest.approx((2.0, 17.0))
    assert variance_components(np.array([1.0, 2.0]), ["a", "a"]).between == 0.0
    # means that scatter less than their members do
    assert variance_components(np.array([0.0, 4.0, 1.0, 3.0]), ["a", "a", "b", "b"]).between == 0.0
