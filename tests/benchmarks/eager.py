"""The baseline: the same potential in eager PyTorch, driven by ASE.

Neighbor list, energies, features and both gradients are computed anew in every step, by autograd
over plain PyTorch operators, as a direct implementation of the equations would.
"""

import time
from typing import Any, ClassVar

import numpy as np
import torch
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.md.langevin import Langevin

from pyubias.model.graphs import build_graph, forces_from
from pyubias.training.train import Trained

TAU = 0.25


class EagerBiased(Calculator):
    """Energy and forces of E − τ ρ u, with ρ from the norms of this step's forces."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

    def __init__(self, trained: Trained, biased: bool) -> None:
        super().__init__()
        self.trained = trained
        self.potential = trained.potential.members[0].set_dtype(torch.float64)
        self.potential.descriptor.fused = False
        self.features = trained.potential.feature_maps[0].to(torch.float64)
        self.biased = biased

    def calculate(
        self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        graph = build_graph(self.atoms, self.trained.cutoff, self.trained.elements)
        vectors = graph.edge_vectors.requires_grad_(True)
        energies, inputs, sensitivities = self.potential.layer_gradients(
            vectors, graph.edge_index, graph.types, graph.n_atoms, bool(self.features.all_layers)
        )
        energy = energies.sum()
        (gradient,) = torch.autograd.grad(energy, vectors, retain_graph=self.biased)
        forces = forces_from(graph, gradient)
        if self.biased:
            u = self.trained.potential.head.total(self.features(inputs, sensitivities).mean(0))
            self.trained.potential.head.atomic(self.features(inputs, sensitivities).detach())
            (gradient,) = torch.autograd.grad(u, vectors)
            push = -forces_from(graph, gradient)
            forces = forces + TAU * forces.norm() / push.norm() * push
        self.results = {"energy": float(energy.detach()), "forces": forces.detach().numpy()}


def seconds_per_step(trained: Trained, atoms: Atoms, biased: bool, steps: int) -> float:
    """Langevin dynamics in ASE, one thread."""
    torch.set_num_threads(1)
    atoms = atoms.copy()
    atoms.calc = EagerBiased(trained, biased)
    dynamics = Langevin(
        atoms,
        0.5 * units.fs,
        temperature_K=300.0,
        friction=0.01 / units.fs,
        rng=np.random.default_rng(1),
    )
    dynamics.run(3)
    start = time.perf_counter()
    dynamics.run(steps)
    return (time.perf_counter() - start) / steps
