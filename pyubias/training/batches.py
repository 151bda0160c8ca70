"""Labelled structures as tensors, one at a time and in batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress
from torch import Tensor

from pyubias.model.graphs import Graph, build_graph, concatenate
from pyubias.training.labels import ENERGY, FORCES, STRESS
from pyubias.training.reading import DatasetError

__all__ = ["Batch", "Sample", "collate", "make_sample"]


@dataclass(frozen=True)
class Sample:
    """One labelled graph: energy in eV, forces (n, 3) in eV/Å, strain gradient V·σ (3, 3) in eV.

    Labels that a structure does not have are nan.
    """

    graph: Graph
    energy: float
    forces: Tensor
    strain_gradient: Tensor


@dataclass(frozen=True)
class Batch:
    """Samples side by side: energies (S,), forces (n, 3), strain gradients (S, 3, 3)."""

    graph: Graph
    energies: Tensor
    forces: Tensor
    strain_gradients: Tensor


def make_sample(atoms: Atoms, cutoff: float, elements: Sequence[str]) -> Sample:
    """The graph and labels of one structure.

    Raises:
        DatasetError: it has no energy.
    """
    if ENERGY not in atoms.info:
        raise DatasetError(f"a structure {atoms.get_chemical_formula()} has no {ENERGY}")
    stress = atoms.info.get(STRESS)
    strain_gradient = (
        np.full((3, 3), np.nan)
        if stress is None
        else voigt_6_to_full_3x3_stress(stress) * atoms.get_volume()
    )
    forces = atoms.arrays.get(FORCES, np.full((len(atoms), 3), np.nan))
    return Sample(
        graph=build_graph(atoms, cutoff, elements),
        energy=float(atoms.info[ENERGY]),
        forces=torch.tensor(forces, dtype=torch.float64),
        strain_gradient=torch.tensor(strain_gradient, dtype=torch.float64),
    )


def collate(samples: Sequence[Sample]) -> Batch:
    return Batch(
        graph=concatenate([s.graph for s in samples]),
        energies=torch.tensor([s.energy for s in samples], dtype=torch.float64),
        forces=torch.cat([s.forces for s in samples]),
        strain_gradients=torch.stack([s.strain_gradient for s in samples]),
    )
