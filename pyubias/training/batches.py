"""Labelled structures as tensors: samples of one structure, and batches of samples."""

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

__all__ = ["Batch", "Sample", "collate", "make_sample", "to_device"]


@dataclass(frozen=True)
class Sample:
    """One labelled structure; a label that the structure lacks is nan.

    Attributes:
        graph: the structure.
        energy: eV.
        forces: (n, 3) f64, eV/Å.
        strain_gradient: W = V σ (3, 3) f64, eV.
    """

    graph: Graph
    energy: float
    forces: Tensor
    strain_gradient: Tensor


@dataclass(frozen=True)
class Batch:
    """Several labelled structures, with the units of `Sample`.

    Attributes:
        graph: S structures with n atoms in all.
        energies: (S,) f64.
        forces: (n, 3) f64.
        strain_gradients: (S, 3, 3) f64.
    """

    graph: Graph
    energies: Tensor
    forces: Tensor
    strain_gradients: Tensor


def make_sample(atoms: Atoms, cutoff: float, elements: Sequence[str]) -> Sample:
    """The graph and labels of one structure.

    Raises:
        DatasetError: the structure has no energy.
        UserError: an element of the structure is not in `elements`.
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
    """Samples as one batch, in their order."""
    return Batch(
        graph=concatenate([s.graph for s in samples]),
        energies=torch.tensor([s.energy for s in samples], dtype=torch.float64),
        forces=torch.cat([s.forces for s in samples]),
        strain_gradients=torch.stack([s.strain_gradient for s in samples]),
    )


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with all its tensors on a device."""
    if device.type == "cpu":
        return batch
    move = {name: getattr(batch.graph, name).to(device) for name in vars(batch.graph)}
    return Batch(
        graph=type(batch.graph)(**move),
        energies=batch.energies.to(device),
        forces=batch.forces.to(device),
        strain_gradients=batch.strain_gradients.to(device),
    )
