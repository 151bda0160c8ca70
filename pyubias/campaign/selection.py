"""Batch selection: which frames of a pool to label, given the frames that are labelled.

These are pure functions of features: (pool, labelled, batch size) → indices into the pool, the
most informative first. No index occurs twice, and frames with the features of a labelled frame are
never picked; a pool that holds nothing else gives fewer indices. Frames may belong to groups, such
as molecules, and a batch may take a limited number from each group.

The methods are those of Holzmüller et al., J. Mach. Learn. Res. 24, 164 (2023).
"""

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["METHODS", "rms", "select", "whiten", "within_quota"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

# distance per feature below which two rows, scaled to unit mean square, are the same structure
DUPLICATE_DISTANCE = 1e-6

# rows whose distances to all others are in memory at once
BLOCK = 256

# labelled features must reach this fraction of those of the pool to set the scale
NEGLIGIBLE_RMS = 1e-6


def select(
    method: str,
    pool: Array,
    labelled: Array,
    batch_size: int,
    *,
    regularisation: float = 0.1,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
    per_group: int | None = None,
) -> Indices:
    """Indices of up to `batch_size` pool rows.

    Args:
        method: random, max_diag, max_det, max_dist or lcmd.
        pool: (n, p) structure features of the candidates.
        labelled: (m, p) structure features of the labelled structures.
        batch_size: largest number of indices.
        regularisation: λ of the posterior kernel (max_diag and max_det).
        seed: of the random order (random).
        groups: n names, one for each pool row.
        per_group: largest number of picks from one group.

    Raises:
        ValueError: unknown method, shapes that do not fit, or features that are not finite.
    """
    if method not in METHODS:
        raise ValueError(f"unknown selection method '{method}', wanted one of {sorted(METHODS)}")
    pool, labelled = np.atleast_2d(pool), np.atleast_2d(labelled)
    if labelled.size == 0:
        labelled = np.zeros((0, pool.shape[1]))
    if pool.shape[1] != labelled.shape[1]:
        raise ValueError(
            f"pool has {pool.shape[1]} features and the labelled set {labelled.shape[1]}"
        )
    if not (np.isfinite(pool).all() and np.isfinite(labelled).all()):
        raise ValueError("features must be finite")

    if len(pool) == 0:
        return np.zeros(0, dtype=np.int64)

    # unit mean square over the labelled set, so that λ means the same as in the uncertainty
    reference = labelled if rms(labelled) > NEGLIGIBLE_RMS * rms(pool) else pool
    scale = 1.0 / max(rms(reference), np.finfo(float).tiny)
    candidates = _distinct(pool * scale, labelled * scale)
    quota = _Quota([0] * len(pool) if groups is None else groups, per_group, candidates)
    picked = METHODS[method](
        pool[candidates] * scale, labelled * scale, batch_size, regularisation, seed, quota
    )
    return candidates[picked]


def within_quota(
    order: Sequence[int] | Indices, groups: Sequence[Hashable], per_group: int | None
) -> Indices:
    """The rows in the given order; a row is dropped once its group has `per_group` picks."""
    quota = _Quota(groups, per_group)
    return quota.first(order, len(groups))


class _Quota:
    """The rows that may still be picked: each row once, and `per_group` rows of each group.

    Args:
        groups: a name for each row.
        per_group: largest number of picks from one group; None is no limit.
        rows: the rows that take part; default: all.
    """

    def __init__(
        self, groups: Sequence[Hashable], per_group: int | None, rows: Indices | None = None
    ) -> None:
        names: dict[Hashable, int] = {}
        every = np.array([names.setdefault(g, len(names)) for g in groups], dtype=np.int64)
        self.groups = every if rows is None else every[rows]
        self.open = np.ones(len(self.groups), dtype=bool)
        self.left = np.full(len(names), len(every) if per_group is None else per_group)

    def take(self, k: int) -> None:
        group = self.groups[k]
        self.open[k] = False
        self.left[group] -= 1
        if self.left[group] <= 0:
            self.open[self.groups == group] = False

    def first(self, order: Sequence[int] | Indices, n: int) -> Indices:
        """Take up to n rows in the given order, each if it is open when its turn comes."""
        picked: list[int] = []
        for k in order:
            if len(picked) < n and self.open[k]:
                self.take(k)
                picked.append(int(k))
        return np.array(picked, dtype=np.int64)


def rms(features: Array) -> float:
    """Root mean square of all components; zero if there are none."""
    return float(np.sqrt(np.mean(features**2))) if features.size else 0.0


def _distinct(pool: Array, labelled: Array) -> Indices:
    """Deduplicate the pool against the labelled rows and against itself."""
    known: set[bytes] = set()
    kept = []
    nearest, _ = _nearest(pool, labelled)
    new = nearest > DUPLICATE_DISTANCE**2 * pool.shape[1]
    for k in np.flatnonzero(new):
        key = (np.round(pool[k] / DUPLICATE_DISTANCE) + 0.0).tobytes()
        if key not in known:
            known.add(key)
            kept.append(k)
    return np.array(kept, dtype=np.int64)


def _random(
    pool: Array, labelled: Array, batch_size: int, regularisation: float, seed: int, quota: _Quota
) -> Indices:
    return quota.first(np.random.default_rng(seed).permutation(len(pool)), batch_size)


def _max_diag(
    pool: Array, labelled: Array, batch_size: int, regularisation: float, seed: int, quota: _Quota
) -> Indices:
    """Largest posterior variance of each frame by itself."""
    variance = np.square(whiten(pool, labelled, regularisation)).sum(1)
    return quota.first(np.argsort(-variance, kind="stable"), batch_size)


def _max_det(
    pool: Array, labelled: Array, batch_size: int, regularisation: float, seed: int, quota: _Quota
) -> Indices:
    """Largest posterior variance given all picks so far: greedy maximisation of log det(K + 1).

    With whitened features z the kernel is z·z'. Each pick reduces the covariance of the others by
    equation (21), here as a growing Cholesky factor of the kernel matrix.
    """
    z = whiten(pool, labelled, regularisation)
    variance = np.square(z).sum(1)
    factors = np.zeros((0, len(pool)))
    picked: list[int] = []
    while len(picked) < batch_size and quota.open.any():
        k = int(np.argmax(np.where(quota.open, variance, -np.inf)))
        picked.append(k)
        quota.take(k)
        covariance = z @ z[k] - factors.T @ factors[:, k]
        column = covariance / np.sqrt(1.0 + covariance[k])
        factors = np.vstack([factors, column])
        variance = variance - column**2
    return np.array(picked, dtype=np.int64)


def _max_dist(
    pool: Array, labelled: Array, batch_size: int, regularisation: float, seed: int, quota: _Quota
) -> Indices:
    """Farthest from all labelled and picked rows."""
    nearest, _ = _nearest(pool, labelled)
    picked: list[int] = []
    while len(picked) < batch_size and quota.open.any():
        if np.isinf(nearest).all():  # nothing is labelled: begin with the largest norm
            k = int(np.argmax(np.square(pool).sum(1)))
        else:
            k = int(np.argmax(np.where(quota.open, nearest, -np.inf)))
        picked.append(k)
        quota.take(k)
        nearest = np.minimum(nearest, _squared_distances(pool, pool[k]))
    return np.array(picked, dtype=np.int64)


def _lcmd(
    pool: Array, labelled: Array, batch_size: int, regularisation: float, seed: int, quota: _Quota
) -> Indices:
    """Largest cluster, maximum distance: the farthest member of the largest cluster.

    Every labelled or picked point is the centre of a cluster, and each pool point belongs to the
    nearest centre. The size of a cluster is the sum of the squared distances to its centre.
    """
    if len(labelled) == 0:
        first = _max_dist(pool, labelled, 1, regularisation, seed, quota)
        nearest = _squared_distances(pool, pool[first[0]])
        centre = np.zeros(len(pool), dtype=np.int64)
        picked, n_centres = [int(k) for k in first[:batch_size]], 1
    else:
        nearest, centre = _nearest(pool, labelled)
        picked, n_centres = [], len(labelled)

    while len(picked) < batch_size and quota.open.any():
        sizes = np.bincount(centre, weights=nearest, minlength=n_centres)
        occupied = np.bincount(centre[quota.open], minlength=n_centres) > 0
        largest = int(np.argmax(np.where(occupied, sizes, -np.inf)))
        members = quota.open & (centre == largest)
        k = int(np.argmax(np.where(members, nearest, -np.inf)))
        picked.append(k)
        quota.take(k)
        distances = _squared_distances(pool, pool[k])
        closer = distances < nearest
        nearest, centre = np.where(closer, distances, nearest), np.where(closer, n_centres, centre)
        n_centres += 1
    return np.array(picked, dtype=np.int64)


def whiten(pool: Array, labelled: Array, regularisation: float) -> Array:
    """z with z·z' = φᵀ(ΦᵀΦ + λ² I)⁻¹ φ', the kernel of equation (14) in units of λ²."""
    gram = labelled.T @ labelled + regularisation**2 * np.eye(pool.shape[1])
    return np.linalg.solve(np.linalg.cholesky(gram), pool.T).T


def _nearest(a: Array, b: Array) -> tuple[Array, Indices]:
    """Squared distance of each row of `a` to the nearest row of `b`, and its index.

    It is inf without rows in `b`. Of rows at the same distance, the first counts. The square is
    expanded, which a matrix product evaluates much faster. The nearest distance is then taken from
    differences, which keep the digits of nearby points, as is the choice among rows whose expanded
    squares differ by less than their rounding.
    """
    nearest, index = np.full(len(a), np.inf), np.zeros(len(a), dtype=np.int64)
    if len(b) == 0:
        return nearest, index
    norms = np.square(b).sum(1)
    rounding = 4.0 * np.finfo(float).eps * (a.shape[1] + 2)
    for start in range(0, len(a), BLOCK):
        rows = a[start : start + BLOCK]
        own = np.square(rows).sum(1)
        squared = own[:, None] + norms - 2.0 * rows @ b.T
        first = np.argmin(squared, axis=1)
        found = np.square(rows - b[first]).sum(1)
        limit = squared.min(1) + rounding * (own + norms.max())
        for k in np.flatnonzero((squared <= limit[:, None]).sum(1) > 1):
            exact = _squared_distances(b, rows[k])
            first[k] = np.argmin(exact)
            found[k] = exact[first[k]]
        nearest[start : start + BLOCK], index[start : start + BLOCK] = found, first
    return nearest, index


def _squared_distances(a: Array, row: Array) -> Array:
    """(n,), of the rows of `a` to one row."""
    squares: Array = np.square(a - row).sum(1)
    return squares


METHODS: dict[str, Callable[[Array, Array, int, float, int, _Quota], Indices]] = {
    "random": _random,
    "max_diag": _max_diag,
    "max_det": _max_det,
    "max_dist": _max_dist,
    "lcmd": _lcmd,
}
