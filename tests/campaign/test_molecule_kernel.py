"""The two levels of a structure add up to it, and the knob between them means what it says."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyubias.campaign.molecule_kernel import (
    select_on_levels,
    split_features,
    split_uncertainty,
    two_level_features,
)
from pyubias.campaign.selection import METHODS, select
from pyubias.model.heads import PosteriorHead

KERNELS = sorted(set(METHODS) - {"random"})
LAMBDA = 0.1
every_kernel = pytest.mark.parametrize("method", KERNELS)


def structures(n_molecules=6, per_molecule=5, p=8, seed=0):
    """Features that share a large mean, differ by molecule, and less by geometry."""
    generator = np.random.default_rng(seed)
    molecules = np.repeat([f"m{k}" for k in range(n_molecules)], per_molecule)
    means = 5.0 + np.repeat(generator.normal(0, 1, (n_molecules, p)), per_molecule, axis=0)
    return means + generator.normal(0, 0.1, means.shape), molecules.tolist()


@st.composite
def problems(draw):
    """A pool and a labelled set of the same and of other molecules, and a batch size."""
    p = draw(st.integers(1, 4))
    rows = np.random.default_rng(draw(st.integers(0, 10**6))).normal(3, 1, (14, p))
    names = draw(st.lists(st.sampled_from("abcd"), min_size=14, max_size=14))
    n = draw(st.integers(0, 6))
    return rows[n:], rows[:n], names[n:], names[:n], draw(st.integers(0, 16))


def pick(method, problem, balance, batch_size=None, **options):
    pool, labelled, pool_molecules, labelled_molecules, n = problem
    return select_on_levels(
        method,
        pool,
        labelled,
        n if batch_size is None else batch_size,
        pool_molecules=pool_molecules,
        labelled_molecules=labelled_molecules,
        balance=balance,
        **options,
    )


@given(problem=problems())
def test_features_are_molecule_and_conformer_parts(problem):
    features, molecules = problem[0], problem[2]
    levels = split_features(features, molecules)
    np.testing.assert_allclose(levels.molecule + levels.conformer, features, rtol=0, atol=1e-13)
    for name in set(molecules):
        rows = np.array([m == name for m in molecules])
        assert (levels.molecule[rows] == levels.molecule[rows][0]).all()
        np.testing.assert_allclose(levels.conformer[rows].sum(0), 0.0, atol=1e-12)


def test_one_geometry_is_all_molecule():
    features, molecules = structures(per_molecule=1)
    np.testing.assert_array_equal(split_features(features, molecules).conformer, 0.0)


def test_mean_variance_of_a_molecule_is_that_of_its_mean_and_of_its_geometries():
    features, molecules = structures()
    labelled = structures(seed=1)[0][:7]
    u = split_uncertainty(features, molecules, labelled, LAMBDA)
    for name in set(molecules):
        rows = np.array([m == name for m in molecules])
        assert np.ptp(u.molecule[rows]) == 0.0
        parts = u.molecule[rows][0] ** 2 + np.mean(u.conformer[rows] ** 2)
        assert np.mean(u.total[rows] ** 2) == pytest.approx(parts, rel=1e-10)


def test_the_whole_is_the_total_uncertainty_of_the_posterior():
    features, molecules = structures()
    labelled = structures(seed=1)[0][:7]
    head = PosteriorHead(torch.from_numpy(labelled), torch.ones(1, 8).double(), LAMBDA)
    total = head.total(torch.from_numpy(features)).numpy()
    u = split_uncertainty(features, molecules, labelled, LAMBDA)
    np.testing.assert_allclose(u.total, total, rtol=1e-8)


def test_labels_of_all_geometries_make_the_molecule_known():
    """A labelled molecule has no molecule part left, one of another kind has."""
    features, molecules = structures(n_molecules=2, per_molecule=4, p=12)
    u = split_uncertainty(features, molecules, features[:4], 1e-3)
    assert u.total[:4].max() < 2e-3
    assert u.molecule[0] < 2e-3
    assert u.molecule[4] > 0.05


@pytest.mark.parametrize("balance", [0.0, 0.3, 1.0])
def test_the_kernel_is_the_weighted_sum_of_the_levels(balance):
    (pool, names), (labelled, known) = structures(), structures(seed=1)
    x, y = two_level_features(pool, labelled, names, known, balance)
    (m, n), (c, d) = (two_level_features(pool, labelled, names, known, b) for b in (1.0, 0.0))
    np.testing.assert_allclose(x @ y.T, balance * m @ n.T + (1 - balance) * c @ d.T, atol=1e-10)


def test_both_levels_have_unit_mean_square_over_the_labelled_structures():
    (pool, names), (labelled, known) = structures(), structures(seed=1)
    for balance in (0.0, 1.0):
        _, rows = two_level_features(pool, 1e-3 * labelled, names, known, balance)
        assert np.mean(rows**2) == pytest.approx(0.5)  # the other half of the columns is zero


def test_the_mean_of_a_molecule_runs_over_pool_and_labelled_structures():
    """Moving a structure from the pool to the labelled set changes no molecule's mean."""
    features, names = structures(n_molecules=3, per_molecule=4)
    for n in (1, 5, 7):
        x, y = two_level_features(features[n:], features[:n], names[n:], names[:n], 1.0)
        differences = np.vstack([y, x])[:, :8] @ np.ones(8)
        assert len(np.unique(differences.round(9))) == 3


@pytest.mark.parametrize("n_labelled", [0, 1, 4])
@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_a_level_on_which_nothing_differs_is_no_noise(balance, n_labelled):
    """One molecule: its part is zero, not rounding blown up to the size of features."""
    features, names = structures(n_molecules=1, per_molecule=9)
    x, y = two_level_features(
        features[n_labelled:],
        features[:n_labelled],
        names[n_labelled:],
        names[:n_labelled],
        balance,
    )
    np.testing.assert_array_equal(np.vstack([y, x])[:, :8], 0.0)
    assert np.abs(x).max() < 100


@every_kernel
@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
@given(problem=problems())
def test_every_structure_is_picked_once(method, balance, problem):
    picked = pick(method, problem, balance)
    assert len(set(picked.tolist())) == len(picked) == min(problem[4], len(problem[0]))


@every_kernel
@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("cap", [None, 2])
@given(problem=problems())
def test_picks_are_a_prefix_of_longer_picks(method, balance, cap, problem):
    longer = pick(method, problem, balance, 20, per_molecule=cap)
    shorter = pick(method, problem, balance, per_molecule=cap)
    np.testing.assert_array_equal(shorter, longer[: problem[4]])


@every_kernel
@given(problem=problems())
def test_molecules_only_takes_every_new_molecule_before_a_second_geometry(method, problem):
    names, known = problem[2], set(problem[3])
    picked = [names[k] for k in pick(method, problem, 1.0, 20)]
    new = set(names) - known
    assert set(picked[: len(new)]) == new


@every_kernel
def test_geometries_only_does_not_look_for_new_molecules(method):
    """A new molecule with one geometry has no conformer part: it comes last."""
    features, names = structures(n_molecules=3, per_molecule=5)
    lonely = np.full((1, 8), 50.0)
    problem = (np.vstack([lonely, features[3:]]), features[:3], ["new", *names[3:]], names[:3], 12)
    assert 0 not in pick(method, problem, 0.0)
    assert pick(method, problem, 1.0)[0] == 0


def test_the_knob_moves_picks_from_geometries_to_molecules():
    """Two known molecules in many geometries, many new ones in a single one each."""
    known, known_names = structures(n_molecules=2, per_molecule=24, p=40)
    new, new_names = structures(n_molecules=16, per_molecule=1, p=40, seed=1)
    new_names = [f"new {name}" for name in new_names]
    labelled = [0, 1, 2, 24, 25, 26]
    others = sorted(set(range(48)) - set(labelled))
    problem = (
        np.vstack([known[others], new]),
        known[labelled],
        [known_names[k] for k in others] + new_names,
        [known_names[k] for k in labelled],
        12,
    )
    balances = (0.0, 0.1, 0.5, 0.9, 1.0)
    n_new = [sum(k >= 42 for k in pick("max_det", problem, balance)) for balance in balances]
    assert n_new == sorted(n_new)
    assert (n_new[0], n_new[-1]) == (0, 12)


@every_kernel
def test_one_molecule_is_selected_by_its_geometries_at_any_balance(method):
    """Its centred features, which for distances are as good as the features themselves."""
    features, _ = structures(n_molecules=1, per_molecule=30)
    problem = (features[5:], features[:5], ["a"] * 25, ["a"] * 5, 8)
    halfway, geometries = pick(method, problem, 0.5), pick(method, problem, 0.0)
    np.testing.assert_array_equal(halfway, geometries)
    if method in ("max_dist", "lcmd"):
        np.testing.assert_array_equal(halfway, select(method, features[5:], features[:5], 8))


@every_kernel
@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
@given(problem=problems(), cap=st.integers(1, 3))
def test_no_molecule_gets_more_than_its_cap(method, balance, problem, cap):
    names = problem[2]
    picked = [names[k] for k in pick(method, problem, balance, 20, per_molecule=cap)]
    for name in set(names):
        assert picked.count(name) == min(cap, names.count(name))


def test_an_empty_pool_gives_no_picks():
    labelled, names = structures()
    assert len(pick("max_det", (np.zeros((0, 8)), labelled, [], names, 4), 0.5)) == 0
