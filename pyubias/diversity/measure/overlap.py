"""Overlap of two data sets, such as training and test: shared molecules, scaffolds, geometries."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pyubias.diversity.measure.census import Census, Group
from pyubias.molecules.fingerprints import similarities

__all__ = ["Overlap", "overlaps"]

LEAK_DISTANCE = 0.05  # Å, root mean square difference of distances; below, a geometry has leaked


@dataclass(frozen=True)
class Overlap:
    """The part of the second set that the first one contains.

    Attributes:
        first, second: names of the sets.
        shared_molecules: names of the molecules in both.
        molecules: fraction of the second set's structures whose molecule is in the first set.
        scaffolds: fraction of the second set's structures with rings whose scaffold is in the
            first set.
        leaked: number of structures of the second set with a geometry of the first set within
            `LEAK_DISTANCE`; None if all shared molecules are periodic, whose geometries are not
            compared.
        not_compared: number of periodic structures of the second set whose key is in the first.
        similarity: largest Tanimoto similarity with a molecule of the first set, mean over the
            molecules of the second set.
    """

    first: str
    second: str
    shared_molecules: list[str]
    molecules: float
    scaffolds: float
    leaked: int | None
    not_compared: int
    similarity: float


def overlaps(sets: Mapping[str, Census]) -> list[Overlap]:
    """The overlap of each pair of sets, in the order given."""
    return [_overlap(a, sets[a], b, sets[b]) for a, b in combinations(sets, 2)]


def _overlap(name_a: str, a: Census, name_b: str, b: Census) -> Overlap:
    known = {g.molecule.key: g for g in a.groups}
    scaffolds = {g.molecule.scaffold for g in a.groups} - {""}
    shared = [g for g in b.groups if g.molecule.key in known]
    compared = [g for g in shared if not g.molecule.periodic]
    leaked = sum(_leaked(known[g.molecule.key], g) for g in compared)
    with_rings = [g for g in b.groups if g.molecule.scaffold]
    in_scaffolds = [g for g in with_rings if g.molecule.scaffold in scaffolds]
    bits = [[g.molecule.bits for g in census.groups] for census in (b, a)]
    nearest = similarities(*bits).max(1)
    return Overlap(
        first=name_a,
        second=name_b,
        shared_molecules=[g.molecule.name for g in shared],
        molecules=_structures(shared) / max(1, b.n_structures),
        scaffolds=_structures(in_scaffolds) / max(1, _structures(with_rings)),
        leaked=leaked if compared or not shared else None,
        not_compared=_structures(shared) - _structures(compared),
        similarity=float(np.mean(nearest)),
    )


def _structures(groups: list[Group]) -> int:
    return sum(len(g.indices) for g in groups)


def _leaked(a: Group, b: Group) -> int:
    columns = max(1, a.shapes.shape[1])
    return sum(
        bool((np.square(a.shapes - row).sum(1) / columns).min() < LEAK_DISTANCE**2)
        for row in b.shapes
    )
