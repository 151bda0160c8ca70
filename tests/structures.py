"""Structures, their graphs and finite differences, which the tests share."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from numpy.typing import NDArray

from pyubias.model.graphs import build_graph
from pyubias.model.potential import Potential

Array = NDArray[np.float64]
ELEMENTS = ["C", "H", "O"]


def molecule(seed: int = 0) -> Atoms:
    """Seven atoms on a jittered grid, without symmetry and without a cell."""
    grid = 1.4 * np.array(list(np.ndindex(2, 2, 2)))[:7]
    jitter = np.random.default_rng(seed).uniform(-0.2, 0.2, grid.shape)
    return Atoms("CHOHHOC", positions=grid + jitter)


def crystal(seed: int = 0) -> Atoms:
    """Three atoms in an oblique periodic cell, all of whose vectors are shorter than 4 Å."""
    atoms = Atoms(
        "CHO",
        scaled_positions=[[0.1, 0.1, 0.2], [0.5, 0.6, 0.3], [0.8, 0.2, 0.7]],
        cell=[[3.1, 0.2, 0.0], [-0.4, 3.3, 0.3], [0.5, 0.1, 2.9]],
        pbc=True,
    )
    atoms.rattle(0.05, seed=seed)
    return atoms


def copper(n: int, seed: int = 0) -> list[Atoms]:
    """Rattled, strained cells of four atoms with labels from ASE's EMT."""
    generator = np.random.default_rng(seed)
    frames = []
    for _ in range(n):
        atoms = bulk("Cu", cubic=True)
        atoms.set_cell(atoms.cell @ strain(generator.normal(0, 0.02, (3, 3))), scale_atoms=True)
        atoms.positions += generator.normal(0, 0.1, atoms.positions.shape)
        atoms.calc = EMT()
        atoms.info["REF_energy"] = atoms.get_potential_energy()
        atoms.arrays["REF_forces"] = atoms.get_forces()
        atoms.info["REF_stress"] = atoms.get_stress()
        atoms.calc = None
        frames.append(atoms)
    return frames


def graph_arguments(
    atoms: Atoms, cutoff: float = 4.0, elements: Sequence[str] = tuple(ELEMENTS)
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]:
    """The arguments of a model's `forward` for one structure."""
    graph = build_graph(atoms, cutoff, elements)
    return graph.edge_vectors, graph.edge_index, graph.types, graph.n_atoms


def strain(epsilon: Array) -> Array:
    """1 + (ε + εᵀ)/2."""
    return np.eye(3) + 0.5 * (epsilon + epsilon.T)


def strained(atoms: Atoms, epsilon: Array) -> Atoms:
    """Positions and cell stretched by 1 + ε."""
    copy = atoms.copy()
    copy.set_cell(atoms.cell.array @ strain(epsilon))
    copy.positions = atoms.positions @ strain(epsilon)
    return copy


def finite_differences(function: Callable[[Array], float], x: Array, step: float = 1e-4) -> Array:
    """∂function/∂x by central differences, in the shape of x."""
    gradient = np.zeros_like(x)
    for k in np.ndindex(x.shape):
        shift = np.zeros_like(x)
        shift[k] = step
        gradient[k] = (function(x + shift) - function(x - shift)) / (2 * step)
    return gradient


def by_positions(function: Callable[[Atoms], float], atoms: Atoms) -> Array:
    """∂function/∂x, (n, 3)."""

    def displaced(positions: Array) -> float:
        copy = atoms.copy()
        copy.positions = positions
        return function(copy)

    return finite_differences(displaced, atoms.positions)


def by_strain(function: Callable[[Atoms], float], atoms: Atoms) -> Array:
    """∂function/∂ε, (3, 3), symmetric."""
    return finite_differences(lambda e: function(strained(atoms, e)), np.zeros((3, 3)))


def without_stress(atoms: Atoms) -> Atoms:
    """The structure itself, whose label of stress is deleted."""
    del atoms.info["REF_stress"]
    return atoms


def energy_only(atoms: Atoms) -> Atoms:
    """The structure itself, whose labels of forces and stress are deleted."""
    del atoms.arrays["REF_forces"]
    return without_stress(atoms)


def predictions(potential: Potential, atoms: Atoms) -> tuple[float, Array, Array]:
    """E, F and ∂E/∂ε of one structure, by autograd through displaced and strained edges."""
    graph = build_graph(atoms, potential.cutoff, potential.elements)
    displacements = torch.zeros((len(atoms), 3), dtype=torch.float64, requires_grad=True)
    epsilon = torch.zeros((3, 3), dtype=torch.float64, requires_grad=True)
    i, j = graph.edge_index
    r = graph.edge_vectors + displacements[j] - displacements[i]
    r = r + r @ (0.5 * (epsilon + epsilon.T))
    energy = potential(r, graph.edge_index, graph.types, graph.n_atoms).sum()
    gradient, strain_gradient = torch.autograd.grad(energy, [displacements, epsilon])
    return energy.item(), -gradient.numpy(), strain_gradient.numpy()
