import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyubias.campaign.selection import METHODS, select, within_quota

GREEDY = sorted(set(METHODS) - {"random"})
LAMBDA = 0.1
every_method = pytest.mark.parametrize("method", sorted(METHODS))


def features(n, p, seed=0):
    """Rows of very different length, in clumps: what frames of a few walkers look like."""
    generator = np.random.default_rng(seed)
    clumps = generator.normal(0, 3, (4, p))
    return clumps[generator.integers(4, size=n)] + generator.normal(0, 0.5, (n, p))


def unit_mean_square(pool, labelled):
    """The scale that the posterior uncertainty uses: see design, section 5."""
    scale = np.mean(labelled**2) ** -0.5
    return scale * pool, scale * labelled


@st.composite
def problems(draw):
    """Pools that hold the same row several times, and rows that are labelled already."""
    p = draw(st.integers(1, 4))
    rows = features(12, p, draw(st.integers(0, 10**6)))
    index = st.integers(0, 11)
    pool = rows[draw(st.lists(index, min_size=1, max_size=20))]
    labelled = rows[draw(st.lists(index, max_size=8))].reshape(-1, p)
    return pool, labelled, draw(st.integers(0, 25))


def distinct_new_rows(pool, labelled):
    return {tuple(row) for row in pool} - {tuple(row) for row in labelled}


@every_method
@given(problem=problems())
def test_every_new_row_is_picked_once_and_no_known_one(method, problem):
    pool, labelled, batch_size = problem
    new = distinct_new_rows(pool, labelled)
    picked = select(method, pool, labelled, batch_size)
    rows = [tuple(row) for row in pool[picked]]
    assert len(set(picked.tolist())) == len(picked)
    assert len(set(rows)) == len(rows) == min(batch_size, len(new))
    assert set(rows) <= new


@every_method
@given(problem=problems())
def test_picks_are_a_prefix_of_longer_picks(method, problem):
    pool, labelled, batch_size = problem
    longer = select(method, pool, labelled, 30)
    np.testing.assert_array_equal(select(method, pool, labelled, batch_size), longer[:batch_size])


@pytest.mark.parametrize("method", GREEDY)
@given(problem=problems(), scale=st.sampled_from([1e-6, 0.25, 1e5]))
def test_picks_do_not_depend_on_the_unit_of_the_features(method, problem, scale):
    pool, labelled, batch_size = problem
    rows = pool[select(method, pool, labelled, batch_size)]
    scaled = pool[select(method, scale * pool, scale * labelled, batch_size)]
    np.testing.assert_array_equal(rows, scaled)


@every_method
@pytest.mark.parametrize("n_labelled", [0, 3])
def test_an_empty_pool_gives_no_picks(method, n_labelled):
    assert len(select(method, np.zeros((0, 5)), features(n_labelled, 5), 4)) == 0


@every_method
def test_a_pool_that_is_known_gives_no_picks(method):
    rows = features(6, 3)
    assert len(select(method, rows, rows, 4)) == 0


def test_random_picks_follow_the_seed():
    pool, labelled = features(50, 3), features(5, 3, seed=1)
    first, again, other = (select("random", pool, labelled, 10, seed=s) for s in (1, 1, 2))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


@pytest.mark.parametrize(
    ("method", "pool", "labelled", "message"),
    [
        ("max_dett", np.ones((2, 3)), np.ones((1, 3)), "unknown selection method 'max_dett'"),
        ("lcmd", np.ones((2, 3)), np.ones((1, 4)), "pool has 3 features and the labelled set 4"),
        ("lcmd", np.full((2, 3), np.nan), np.ones((1, 3)), "features must be finite"),
    ],
)
def test_what_cannot_be_compared_is_refused(method, pool, labelled, message):
    with pytest.raises(ValueError, match=message):
        select(method, pool, labelled, 1)


def literal_max_det(pool, labelled, batch_size):
    """Greedy maximisation of det(K + λ²), K the linear kernel of all labelled and picked rows."""
    picked = []
    for _ in range(batch_size):
        determinants = np.full(len(pool), -np.inf)
        for k in set(range(len(pool))) - set(picked):
            rows = np.vstack([labelled, pool[[*picked, k]]])
            _, determinants[k] = np.linalg.slogdet(rows @ rows.T + LAMBDA**2 * np.eye(len(rows)))
        picked.append(int(np.argmax(determinants)))
    return picked


def test_max_det_maximises_the_determinant_of_the_kernel_step_by_step():
    pool, labelled = features(30, 5), features(8, 5, seed=1)
    picked = select("max_det", pool, labelled, 10, regularisation=LAMBDA)
    assert picked.tolist() == literal_max_det(*unit_mean_square(pool, labelled), 10)


def test_max_diag_takes_the_largest_posterior_variances():
    pool, labelled = features(30, 5), features(8, 5, seed=1)
    x, y = unit_mean_square(pool, labelled)
    precision = y.T @ y + LAMBDA**2 * np.eye(5)
    variances = np.array([row @ np.linalg.solve(precision, row) for row in x])
    picked = select("max_diag", pool, labelled, 10, regularisation=LAMBDA)
    assert picked.tolist() == np.argsort(-variances, kind="stable")[:10].tolist()


def test_max_dist_takes_the_farthest_from_all_that_is_labelled_or_picked():
    pool, labelled = features(40, 3), features(6, 3, seed=1)
    known = list(labelled)
    for k in select("max_dist", pool, labelled, 12):
        distances = [min(np.linalg.norm(x - y) for y in known) for x in pool]
        assert k == np.argmax(distances)
        known.append(pool[k])


def far_from_the_origin(seed, length):
    """Rows that differ by 1, a pool and labelled ones, half of which are there twice."""
    generator = np.random.default_rng(seed)
    pool, labelled = (length + generator.normal(0, 1, (n, 3)) for n in (600, 100))
    labelled = np.concatenate([labelled, labelled[:50]])
    distances = np.linalg.norm(pool[:, None] - labelled[None], axis=-1)
    new = distances.min(1) > 0.01
    return pool[new], labelled, distances[new].min(1), distances[new].argmin(1)


@pytest.mark.parametrize("seed", range(5))
def test_distances_keep_their_digits_far_from_the_origin(seed):
    """The farther of two rows is found by 1e-7, where squares of 1e10 are rounded to 2e-6."""
    labelled = np.full((1, 3), 1e5)
    directions = np.random.default_rng(seed).permutation([*np.eye(3), *-np.eye(3)])
    pool = labelled + (1.0 + 1e-7 * np.arange(6)[:, None]) * directions
    assert select("max_dist", pool, labelled, 1) == [5]


@pytest.mark.parametrize("seed", range(5))
def test_the_nearest_of_labelled_rows_is_found_far_from_the_origin(seed):
    """One pool row has labelled rows at 1 and a little more, the other has one between these."""
    first = np.random.default_rng(seed).uniform(0.5e5, 1e5, 3)
    second = first + 10.0 * np.eye(3)[0]
    shells = (1.0 + 1e-7 * np.arange(6)[:, None]) * [*np.eye(3), *-np.eye(3)]
    labelled = np.concatenate([first + shells[::-1], second + (1.0 + 5e-8) * np.eye(3)[2:]])
    assert select("max_dist", np.stack([first, second]), labelled, 1) == [1]


@pytest.mark.parametrize("seed", range(5))
def test_a_pool_row_belongs_to_the_first_of_equal_labelled_rows(seed):
    pool, labelled, nearest, centre = far_from_the_origin(seed, 1e3)
    sizes = np.bincount(centre, weights=nearest**2, minlength=len(labelled))
    members = centre == np.argmax(sizes)
    assert select("lcmd", pool, labelled, 1) == [np.argmax(np.where(members, nearest, 0.0))]


def test_lcmd_spreads_over_clusters():
    """Two far clusters of equal size: the first two picks are one of each."""
    generator = np.random.default_rng(0)
    centres = np.repeat([[10.0, 0.0], [0.0, 10.0]], 20, axis=0)
    pool = centres + generator.normal(0, 0.1, centres.shape)
    first, second = select("lcmd", pool, np.zeros((1, 2)) + 0.1, 2)
    assert (first < 20) != (second < 20)


@pytest.fixture
def bmdal(monkeypatch):
    # written for numpy 1, which called infinity Inf as well
    monkeypatch.setattr(np, "Inf", np.inf, raising=False)
    return pytest.importorskip("bmdal_reg.bmdal.selection")


def bmdal_features(bmdal, rows):
    data = bmdal.TensorFeatureData(torch.from_numpy(rows))
    return bmdal.Features(bmdal.IdentityFeatureMap(n_features=rows.shape[1]), data)


# The scale is ours: bmdal_reg's own makes the mean squared *norm* one, ours the mean square of
# the components. Then their σ is our λ, both in the posterior and as the noise of MaxDet; in
# their mode "with train" the labelled rows are selected first, which conditions on them.


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("method", "name", "options"),
    [
        ("max_det", "MaxDetSelectionMethod", {"noise_sigma": LAMBDA}),
        ("max_dist", "MaxDistSelectionMethod", {}),
        ("lcmd", "LargestClusterMaxDistSelectionMethod", {"dist_weight_mode": "sq-dist"}),
    ],
)
def test_greedy_picks_are_those_of_bmdal_reg(bmdal, method, name, options, seed):
    pool, labelled = features(80, 6, seed), features(15, 6, seed + 100)
    x, y = (bmdal_features(bmdal, rows) for rows in unit_mean_square(pool, labelled))
    theirs = getattr(bmdal, name)(x, y, sel_with_train=True, verbosity=0, **options).select(20)
    assert select(method, pool, labelled, 20, regularisation=LAMBDA).tolist() == theirs.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_max_diag_picks_are_those_of_bmdal_reg(bmdal, seed):
    pool, labelled = features(80, 6, seed), features(15, 6, seed + 100)
    x, y = (bmdal_features(bmdal, rows) for rows in unit_mean_square(pool, labelled))
    theirs = bmdal.MaxDiagSelectionMethod(y.posterior_tfm(LAMBDA)(x)).select(20)
    ours = select("max_diag", pool, labelled, 20, regularisation=LAMBDA)
    assert ours.tolist() == theirs.flip(0).tolist()  # theirs ends with the largest


@every_method
@given(problem=problems(), cap=st.integers(1, 3))
def test_no_group_gets_more_than_its_quota(method, problem, cap):
    pool, labelled, batch_size = problem
    groups = ["even" if k % 2 == 0 else "odd" for k in range(len(pool))]
    picked = select(method, pool, labelled, batch_size, groups=groups, per_group=cap)
    for name in ("even", "odd"):
        assert sum(groups[k] == name for k in picked) <= cap
    everything = select(method, pool, labelled, 30, groups=groups, per_group=cap)
    np.testing.assert_array_equal(picked, everything[:batch_size])


@every_method
@given(problem=problems())
def test_groups_without_a_quota_change_nothing(method, problem):
    pool, labelled, batch_size = problem
    groups = [k % 3 for k in range(len(pool))]
    for quota in (None, len(pool)):
        picked = select(method, pool, labelled, batch_size, groups=groups, per_group=quota)
        np.testing.assert_array_equal(picked, select(method, pool, labelled, batch_size))


def test_an_order_within_its_quota_keeps_the_first_of_each_group():
    assert within_quota([4, 0, 1, 2, 3], list("aabbb"), 1).tolist() == [4, 0]
    assert within_quota([4, 0, 1], list("aabbb"), None).tolist() == [4, 0, 1]
