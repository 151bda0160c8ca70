"""Diversity numbers: limits, identities, and agreement with published packages."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyubias.diversity.measure import measures
from pyubias.diversity.measure.measures import (
    effective_conformers,
    environment_entropy,
    hill_number,
    systematic_sample,
    torsion_coverage,
    vendi_score,
)
from pyubias.diversity.measure.variance import split_variance


def points(n: int, d: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def gaussian_kernel(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.square(x[:, None] - x).sum(-1) / 2.0)


@given(st.integers(1, 30), st.sampled_from([0.0, 0.5, 1.0, 2.0]))
def test_equally_frequent_kinds_count_fully(n: int, order: float) -> None:
    assert hill_number([3.0] * n, order) == pytest.approx(n)


def test_hill_numbers_fall_with_their_order() -> None:
    numbers = [hill_number([10, 3, 1], q) for q in (0.0, 1.0, 2.0)]
    assert numbers[0] == pytest.approx(3.0)
    assert numbers[0] > numbers[1] > numbers[2] > 1.0
    assert numbers[2] == pytest.approx(14**2 / (100 + 9 + 1))


def test_vendi_score_lies_between_one_and_the_number_of_members() -> None:
    assert vendi_score(np.ones((7, 7))) == pytest.approx(1.0)
    assert vendi_score(np.eye(7)) == pytest.approx(7.0)
    assert 1.0 < vendi_score(gaussian_kernel(points(7))) < 7.0


@pytest.mark.parametrize("order", [1, 2])
def test_vendi_score_agrees_with_the_published_package(order: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vendi = pytest.importorskip("vendi_score.vendi")
        kernel = gaussian_kernel(points(20))
        published = vendi.score_K(kernel, q=order)
    assert vendi_score(kernel, order) == pytest.approx(published, rel=1e-9)


def test_environment_entropy_agrees_with_the_published_package() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        entropy = pytest.importorskip("quests.entropy").entropy
    x = points(200)
    assert environment_entropy(x, 0.7) == pytest.approx(float(entropy(x, h=0.7)), rel=1e-5)


def test_environment_entropy_has_its_limits() -> None:
    assert environment_entropy(np.ones((9, 3)), 0.1) == pytest.approx(0.0)
    far_apart = 100.0 * np.arange(9.0)[:, None]
    assert environment_entropy(far_apart, 0.1) == pytest.approx(math.log(9))


@given(st.integers(2, 12), st.integers(0, 100))
def test_doubling_a_set_changes_no_number(n: int, seed: int) -> None:
    x = points(n, seed=seed)
    twice = np.concatenate([x, x])
    groups = [k % 3 for k in range(n)]
    assert vendi_score(gaussian_kernel(twice)) == pytest.approx(vendi_score(gaussian_kernel(x)))
    assert effective_conformers(twice, 0.5) == pytest.approx(effective_conformers(x, 0.5))
    assert environment_entropy(twice, 0.5) == pytest.approx(environment_entropy(x, 0.5))
    assert torsion_coverage(90.0 * twice) == torsion_coverage(90.0 * x)
    assert hill_number([2, 4, 6]) == pytest.approx(hill_number([1, 2, 3]))
    once, double = split_variance(x, groups), split_variance(twice, groups + groups)
    assert (double.between, double.within) == pytest.approx((once.between, once.within))


@pytest.mark.parametrize("n", [49, 50, 51, 52, 99, 101, 260])
def test_no_number_jumps_where_sets_become_large(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "MAX_COMPARED", 50)
    monkeypatch.setattr(measures, "BLOCK", 20)
    far_apart = 100.0 * np.arange(float(n))[:, None]
    assert environment_entropy(far_apart, 0.1) == pytest.approx(math.log(n))
    assert effective_conformers(far_apart, 0.1) == pytest.approx(min(n, 50))


def test_the_entropy_of_a_systematic_sample_is_near_the_full_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = np.concatenate([points(400, 2), np.zeros((600, 2))])
    full = environment_entropy(x, 0.3)
    monkeypatch.setattr(measures, "MAX_COMPARED", 100)
    assert environment_entropy(x, 0.3) == pytest.approx(full, rel=0.1)
    assert environment_entropy(np.tile(x, (3, 1)), 0.3) == pytest.approx(
        environment_entropy(x, 0.3), rel=1e-9
    )


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 20))
def test_a_systematic_sample_has_the_shares_of_the_kinds(counts: list[int], size: int) -> None:
    chosen, shares = systematic_sample(counts, size)
    assert len(set(chosen)) == len(chosen) <= size
    assert shares.sum() == pytest.approx(1.0)
    if len(counts) > size:
        assert np.abs(shares - np.array(counts)[chosen] / sum(counts)).max() < 1.0 / size
    again, same = systematic_sample(3 * np.array(counts), size)
    assert (again.tolist(), same.tolist()) == (chosen.tolist(), pytest.approx(shares))


def test_one_geometry_is_one_effective_conformer() -> None:
    assert effective_conformers(points(1), 0.25) == pytest.approx(1.0)
    assert effective_conformers(100.0 * points(6), 0.25) == pytest.approx(6.0)


def test_torsion_coverage_counts_bins() -> None:
    assert torsion_coverage(np.array([[5.0], [10.0], [370.0]])) == pytest.approx(1 / 12)
    assert torsion_coverage(np.array([[5.0], [-5.0], [355.0]])) == pytest.approx(1 / 12)
    assert torsion_coverage(np.arange(-180.0, 180.0, 15.0)[:, None]) == 1.0
    assert math.isnan(torsion_coverage(np.zeros((4, 0))))
