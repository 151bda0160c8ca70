"""Selection over many molecules: features split into a molecule and a conformer part.

The structure features φ of a molecule M are split as in equation (22):

    φ = m + c,    m = mean of φ over the structures of M,    c = φ - m.

All geometries of a molecule share the molecule part m; they differ in the conformer part c. The
mean runs over all given structures, labelled or not.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyubias.campaign.selection import rms, select, whiten, within_quota

__all__ = [
    "Levels",
    "TotalUncertainty",
    "select_on_levels",
    "split_features",
    "split_uncertainty",
    "two_level_features",
]

Array = NDArray[np.float64]
ROUNDING = 1e-9  # parts that are smaller than this fraction of the features count as zero


class Levels(NamedTuple):
    """Molecule and conformer parts of features, (n, p) each."""

    molecule: Array
    conformer: Array


class TotalUncertainty(NamedTuple):
    """u and its parts, (n,) each, before calibration."""

    total: Array
    molecule: Array
    conformer: Array


def split_features(features: Array, molecules: Sequence[Hashable]) -> Levels:
    """φ = m + c of each row.

    Args:
        features: (n, p).
        molecules: n names; rows with the same name are geometries of one molecule.
    """
    names: dict[Hashable, int] = {}
    index = np.array([names.setdefault(m, len(names)) for m in molecules], dtype=np.int64)
    sums = np.zeros((len(names), features.shape[1]))
    np.add.at(sums, index, features)
    means = sums / np.bincount(index, minlength=len(names))[:, None]
    molecule = means[index]
    return Levels(molecule, features - molecule)


def split_uncertainty(
    features: Array,
    molecules: Sequence[Hashable],
    labelled: Array,
    regularisation: float = 0.1,
) -> TotalUncertainty:
    """The total uncertainty, equation (14), and its molecule and conformer parts.

    With the kernel matrix A = λ² (Φ̂ᵀΦ̂ + λ² I)⁻¹ of the labelled structures,

        u² = φ̂ᵀAφ̂,    u_molecule² = m̂ᵀAm̂,    u_conformer² = ĉᵀAĉ.

    u_molecule is the uncertainty of the mean energy over the molecule's geometries, u_conformer
    that of the energy of this geometry relative to the mean. As the conformer parts of a molecule
    add up to zero, over its structures

        mean u² = u_molecule² + mean u_conformer²,

    while a single u² also holds twice the covariance m̂ᵀAĉ.

    Args:
        features: (n, p), of the structures whose uncertainty is split.
        molecules: n names.
        labelled: (k, p).
        regularisation: λ.
    """
    scale = 1.0 / max(rms(labelled), np.finfo(float).tiny)
    parts = (features, *split_features(features, molecules))
    return TotalUncertainty(
        *(
            regularisation
            * np.linalg.norm(whiten(scale * x, scale * labelled, regularisation), axis=1)
            for x in parts
        )
    )


def two_level_features(
    pool: Array,
    labelled: Array,
    pool_molecules: Sequence[Hashable],
    labelled_molecules: Sequence[Hashable],
    balance: float,
) -> tuple[Array, Array]:
    """Features whose inner product is the kernel of equation (22).

    They are [√b m̂, √(1-b) ĉ], where each part is scaled to unit mean square over the labelled
    structures. The mean of m over them is subtracted first: it is the same for all molecules, and
    would otherwise set the scale of their differences. Where the labelled structures do not differ
    in a part, all structures set its scale.

    Args:
        pool: (n, p) structure features. labelled: (m, p).
        pool_molecules, labelled_molecules: n and m names.
        balance: b, from 0 (geometries only) to 1 (molecules only).

    Returns:
        the features of the pool (n, 2p) and of the labelled structures (m, 2p).
    """
    features = np.concatenate([labelled, pool])
    known = len(labelled)
    molecule, conformer = split_features(features, [*labelled_molecules, *pool_molecules])
    molecule = molecule - molecule[: known or None].mean(0)
    zero = ROUNDING * rms(features)
    both = np.hstack(
        [
            np.sqrt(balance) * _normalised(molecule, known, zero),
            np.sqrt(1.0 - balance) * _normalised(conformer, known, zero),
        ]
    )
    return both[known:], both[:known]


def _normalised(part: Array, known: int, zero: float) -> Array:
    """Scale a part to unit mean square over its first `known` rows, or over all if those vanish.

    A part that vanishes everywhere stays zero.
    """
    for rows in (part[:known], part):
        size = rms(rows)
        if size > zero:
            return part / size
    return np.zeros_like(part)


def select_on_levels(
    method: str,
    pool: Array,
    labelled: Array,
    batch_size: int,
    *,
    pool_molecules: Sequence[Hashable],
    labelled_molecules: Sequence[Hashable],
    balance: float,
    per_molecule: int | None = None,
    regularisation: float = 0.1,
    seed: int = 0,
) -> NDArray[np.int64]:
    """`selection.select` with the kernel of equation (22).

    Structures with the features of a labelled or picked one come last, in random order. At balance
    1 these are all further geometries of a molecule.
    """
    if len(pool) == 0:
        return np.zeros(0, dtype=np.int64)
    pool_levels, labelled_levels = two_level_features(
        pool, labelled, pool_molecules, labelled_molecules, balance
    )
    picked = select(
        method,
        pool_levels,
        labelled_levels,
        batch_size,
        regularisation=regularisation,
        seed=seed,
        groups=pool_molecules,
        per_group=per_molecule,
    )
    if len(picked) == batch_size:
        return picked
    others = select("random", pool, np.concatenate([labelled, pool[picked]]), len(pool), seed=seed)
    order = np.concatenate([picked, others])
    return within_quota(order, pool_molecules, per_molecule)[:batch_size]
