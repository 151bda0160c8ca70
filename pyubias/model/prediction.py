"""Energies, forces, stresses and uncertainties of structures from a model file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

from pyubias.model.archive import load
from pyubias.model.graphs import Graph, build_graph, concatenate, forces_from, strain_gradient_from

__all__ = ["Model", "Prediction"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """The predictions of a model for one structure.

    Attributes:
        energy: eV.
        energies: atomic energies (n,), eV.
        forces: (n, 3), eV/Å.
        stress: (6,), eV/Å³, ASE's sign and Voigt order; None unless periodic in all directions.
        total_uncertainty: eV/atom.
        atomic_uncertainty: (n,), eV/Å.
        features: mean features Φ (p,), equation (13) of pyubias/README.md.
    """

    energy: float
    energies: Array
    forces: Array
    stress: Array | None
    total_uncertainty: float
    atomic_uncertainty: Array
    features: Array


class Model:
    """A model file in memory, which predicts for batches of structures.

    Args:
        path: a file that meets the contract.
        device: ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ContractError: the file is missing or unreadable, its metadata are invalid, or there is no
            such device.
    """

    def __init__(self, path: str | Path, device: str = "cpu") -> None:
        self.module, self.metadata = load(path, device)
        self.device = torch.device(device)

    def graph(self, atoms: Atoms) -> Graph:
        """The graph of one structure, with the cutoff and elements of the model."""
        return build_graph(atoms, self.metadata.cutoff, self.metadata.elements)

    def predict(self, frames: Sequence[Atoms], batch_size: int = 16) -> list[Prediction]:
        """Predictions for structures, `batch_size` of them at a time.

        Raises:
            UserError: an element of a structure is not an element of the model.
        """
        predictions: list[Prediction] = []
        for first in range(0, len(frames), batch_size):
            graphs = [self.graph(a) for a in frames[first : first + batch_size]]
            predictions.extend(self._predict_batch(concatenate(graphs)))
        return predictions

    def mean_features(self, frames: Sequence[Atoms], batch_size: int = 16) -> Array:
        """Mean features Φ (structures, p), equation (13) of pyubias/README.md.

        Total uncertainty and selection are functions of them.
        """
        rows = [features.mean(0).numpy() for features in self.atomic_features(frames, batch_size)]
        return np.stack(rows) if rows else np.zeros((0, self.metadata.n_features))

    def atomic_features(self, frames: Sequence[Atoms], batch_size: int = 16) -> list[torch.Tensor]:
        """Features φ_i (n, p) f64 of the atoms of each structure."""
        found: list[torch.Tensor] = []
        with torch.no_grad():
            for first in range(0, len(frames), batch_size):
                graph = concatenate([self.graph(a) for a in frames[first : first + batch_size]])
                features = self._forward(graph, graph.edge_vectors)["features"].cpu()
                found += features.split(graph.atoms_per_structure.tolist())
        return found

    def _forward(self, graph: Graph, edge_vectors: torch.Tensor) -> dict[str, torch.Tensor]:
        # the profiling executor would compile anew for every new number of edges
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            result: dict[str, torch.Tensor] = self.module(
                edge_vectors.to(self.device),
                graph.edge_index.to(self.device),
                graph.types.to(self.device),
                graph.n_atoms,
            )
        return result

    def _predict_batch(self, graph: Graph) -> Iterator[Prediction]:
        vectors = graph.edge_vectors.clone().requires_grad_(True)
        result = self._forward(graph, vectors)
        (gradient,) = torch.autograd.grad(result["energies"].sum(), vectors, materialize_grads=True)
        features = result["features"].detach()
        with torch.no_grad():
            atomic = self.module.atomic_uncertainty(features).cpu().numpy()
        feature_sums = graph.sum_over_atoms(features.cpu())
        energies = result["energies"].detach().cpu().numpy()
        forces = forces_from(graph, gradient).numpy()
        strain_gradients = strain_gradient_from(graph, gradient).detach().numpy()
        counts = graph.atoms_per_structure.numpy()
        ends = np.cumsum(counts)
        for k, (end, n) in enumerate(zip(ends, counts, strict=True)):
            rows = slice(end - n, end)
            volume = float(graph.volumes[k])
            total = self.module.total_uncertainty(feature_sums[k].to(self.device), int(n))
            yield Prediction(
                energy=float(energies[rows].sum()),
                energies=energies[rows],
                forces=forces[rows],
                stress=None
                if np.isnan(volume)
                else full_3x3_to_voigt_6_stress(strain_gradients[k]) / volume,
                total_uncertainty=float(total.detach()),
                atomic_uncertainty=atomic[rows],
                features=(feature_sums[k] / int(n)).numpy(),
            )

    def uncertainty_gradient(self, atoms: Atoms) -> tuple[float, Array, Array]:
        """Total uncertainty u (eV/atom), and its gradients ∂u/∂x (n, 3) and ∂u/∂ε (3, 3)."""
        graph = self.graph(atoms)
        vectors = graph.edge_vectors.clone().requires_grad_(True)
        feature_sum = self._forward(graph, vectors)["features"].sum(0)
        total = self.module.total_uncertainty(feature_sum, graph.n_atoms)
        (gradient,) = torch.autograd.grad(total, vectors, materialize_grads=True)
        return (
            float(total.detach()),
            -forces_from(graph, gradient).numpy(),
            strain_gradient_from(graph, gradient)[0].numpy(),
        )
