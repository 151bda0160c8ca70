"""All diversity numbers of data sets, as values that JSON can hold."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pyubias.diversity.measure.census import Census, take_census
from pyubias.diversity.measure.measures import (
    MAX_COMPARED,
    distinct_shapes,
    effective_conformers,
    environment_entropy,
    hill_number,
    systematic_sample,
    torsion_coverage,
    vendi_score,
)
from pyubias.diversity.measure.overlap import overlaps
from pyubias.diversity.measure.variance import (
    split_variance,
    variance_components,
    without_composition,
)
from pyubias.errors import UserError
from pyubias.molecules.fingerprints import similarities
from pyubias.molecules.geometry import environments_of

__all__ = ["measure_diversity"]

Array = NDArray[np.float64]

RESOLUTION = 0.25  # Å, difference from which geometries of a molecule count as different

BANDWIDTH = 0.1  # width of the kernel of environments, in sums of two covalent radii

MAX_MOLECULES = 3000  # molecules in the Vendi score of fingerprints


def measure_diversity(sets: Mapping[str, Sequence[Atoms]]) -> dict[str, Any]:
    """Compute all numbers of the report.

    Args:
        sets: structures by name of the set, labelled or not.

    Returns:
        ``resolution`` and ``bandwidth``; ``sets``: for each name ``census``, ``structural``,
        ``conformational``, ``environments`` and ``variance``; ``overlaps``: for each pair of sets.
        A number that was not measured is None.

    Raises:
        UserError: a set has no structure that can be identified.
    """
    found = {name: take_census(frames) for name, frames in sets.items()}
    for name, census in found.items():
        if not census.groups:
            reason = census.problems[0][1] if census.problems else "it is empty"
            raise UserError(f"set '{name}' has no structure that can be measured: {reason}")
    firsts = [sets[name][g.indices[0]] for name, census in found.items() for g in census.groups]
    elements = sorted({e for atoms in firsts for e in set(atoms.symbols)})
    return {
        "resolution": RESOLUTION,
        "bandwidth": BANDWIDTH,
        "sets": {name: _measure(found[name], sets[name], elements) for name in sets},
        "overlaps": [asdict(o) for o in overlaps(found)],
    }


def _measure(census: Census, frames: Sequence[Atoms], elements: Sequence[str]) -> dict[str, Any]:
    places = {k: g for g in census.groups for k in g.indices}
    usable = [frames[k] for k in sorted(places)]
    keys = [places[k].molecule.key for k in sorted(places)]
    surroundings = [environments_of(atoms, elements) for atoms in usable]
    return {
        "census": _census(census),
        "structural": _structural(census, usable),
        "conformational": _conformational(census),
        "environments": _entropies(surroundings, usable),
        "variance": {
            "geometry": _geometry_variance(surroundings, usable, keys, elements),
            **_energy_variance(census, frames, elements),
        },
    }


def _census(census: Census) -> dict[str, Any]:
    counts = [len(g.indices) for g in census.groups]
    return {
        "structures": census.n_structures,
        "molecules": len(census.groups),
        "conformers_per_molecule": census.n_structures / max(1, len(census.groups)),
        "conformers_least": min(counts, default=0),
        "conformers_most": max(counts, default=0),
        "periodic": census.n_periodic,
        "charges": sorted({g.molecule.charge for g in census.groups}),
        "duplicates": [[k + 1, j + 1] for k, j in census.duplicates],
        "problems": [[k + 1, reason] for k, reason in census.problems],
        "of_molecules": [
            {
                "molecule": g.molecule.name,
                "charge": g.molecule.charge,
                "multiplicity": g.molecule.multiplicity,
                "atoms": g.molecule.n_atoms,
                "conformers": len(g.indices),
                "energy_range": _finite(g.energy_range),
            }
            for g in census.groups
        ],
    }


def _structural(census: Census, frames: Sequence[Atoms]) -> dict[str, Any]:
    molecules = [g.molecule for g in census.groups]
    counts = [len(g.indices) for g in census.groups]
    compared = sorted(molecules, key=lambda m: m.key)
    chosen, _ = systematic_sample(np.ones(len(compared)), MAX_MOLECULES)
    compared = [compared[k] for k in chosen]
    bits = [molecule.bits for molecule in compared]
    scaffolds = [m.scaffold for m in molecules if m.scaffold]
    frequency = {s: scaffolds.count(s) for s in sorted(set(scaffolds))}
    symbols = [e for atoms in frames for e in atoms.get_chemical_symbols()]
    return {
        "vendi": vendi_score(similarities(bits, bits)),
        "vendi_molecules": len(compared),
        "hill_molecules": hill_number(counts),
        "scaffolds": len(frequency),
        "hill_scaffolds": hill_number(list(frequency.values())),
        "acyclic": sum(not m.scaffold for m in molecules),
        "elements": {e: symbols.count(e) / len(symbols) for e in sorted(set(symbols))},
    }


def _conformational(census: Census) -> dict[str, Any]:
    groups = census.groups
    effective = [
        None if g.molecule.periodic else effective_conformers(g.shapes, RESOLUTION) for g in groups
    ]
    torsions = [torsion_coverage(g.angles) for g in groups]
    deviations = [g.energy_deviation for g in groups]
    return {
        "effective_conformers": _average([n for n in effective if n is not None]),
        "effective_conformers_of_molecules": effective,
        "sampled_molecules": sum(
            len(g.indices) > MAX_COMPARED and len(distinct_shapes(g.shapes)[0]) > MAX_COMPARED
            for g in groups
        ),
        "torsion_coverage": _average([t for t in torsions if not math.isnan(t)]),
        "energy_spread": _average([x for x in deviations if not math.isnan(x)]),
    }


def _entropies(surroundings: Sequence[Array], frames: Sequence[Atoms]) -> dict[str, Any]:
    """Entropy in nats of the environments of each element, and of all environments together."""
    symbols = np.array([e for atoms in frames for e in atoms.get_chemical_symbols()])
    rows = np.concatenate(surroundings)
    entropies = {
        str(e): environment_entropy(rows[symbols == e], BANDWIDTH) for e in np.unique(symbols)
    }
    shares = {e: float(np.mean(symbols == e)) for e in entropies}
    # atoms of two elements never have the same environment
    total = sum(p * (entropies[e] - math.log(p)) for e, p in shares.items())
    return {"entropy": total, "of_elements": entropies}


def _geometry_variance(
    surroundings: Sequence[Array],
    frames: Sequence[Atoms],
    keys: Sequence[str],
    elements: Sequence[str],
) -> dict[str, Any]:
    """Variance of the mean environments of structures, between and within molecules."""
    means = [_mean(rows, a, elements) for rows, a in zip(surroundings, frames, strict=True)]
    split = split_variance(np.array(means), keys)
    return {**vars(split), "fraction": _finite(split.fraction_between)}


def _energy_variance(
    census: Census, frames: Sequence[Atoms], elements: Sequence[str]
) -> dict[str, Any]:
    """Components of the variance of energies per atom without composition.

    Each geometry counts once. With no more molecules than linearly independent compositions, the
    fitted energies of the elements explain all differences between molecules, and only the variance
    within molecules is known.
    """
    members = [(g, g.indices[k]) for g in census.groups for k in g.labelled]
    if not members:
        return {}
    labelled = [frames[k] for _, k in members]
    keys = [g.molecule.key for g, _ in members]
    split = variance_components(without_composition(labelled, elements), keys)
    counts = [[a.get_chemical_symbols().count(e) for e in elements] for a in labelled]
    if len(set(keys)) <= np.linalg.matrix_rank(np.unique(counts, axis=0)):
        return {
            "energy": {"total": None, "between": None, "within": split.within, "fraction": None}
        }
    return {"energy": {**vars(split), "fraction": _finite(split.fraction_between)}}


def _mean(surroundings: Array, atoms: Atoms, elements: Sequence[str]) -> Array:
    """Mean environment of a structure: for each element, the sum over its atoms / all atoms."""
    symbols = np.array(atoms.get_chemical_symbols())
    return np.concatenate([surroundings[symbols == e].sum(0) for e in elements]) / len(atoms)


def _average(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
