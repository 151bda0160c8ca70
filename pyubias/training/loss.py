"""The loss that potentials are trained on, and its gradient by their parameters.

Zaverkin et al., npj Comput. Mater. 10, 83 (2024), Methods::

    L = Σ ΔE² + 4 Σ |ΔF|² + 0.01 Σ |ΔW|²,   W = -V σ

divided by the number of structures; labels of nan do not count.

`batch_loss` is what autograd differentiates, on any device. `loss_gradient` is the same written
out, for the compiled descriptor: with λ_e = ∂L/∂g_e, the derivative of the loss by the edge
gradients g_e = ∂E/∂r_e, and α = ∂L/∂E,

    ∂L/∂θ = ∂/∂θ (α E + Ė),   Ė = Σ_e λ_e·g_e,

the derivative of an energy and of its tangent along λ, which takes one pass forward and one back.
"""

from typing import cast

import torch
from torch import Tensor

from pyubias.config.schema import TrainingConfig
from pyubias.model.graphs import forces_from, strain_gradient_from
from pyubias.model.ops import CompiledMoments
from pyubias.model.potential import Potential
from pyubias.training.batches import Batch
from pyubias.training.network_derivatives import NetworkPass

__all__ = ["batch_loss", "loss_gradient", "predict"]


def predict(
    potential: Potential, batch: Batch, create_graph: bool, with_stress: bool = False
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Energies (S,) f64, forces (n, 3), strain gradients (S, 3, 3) if wanted."""
    graph = batch.graph
    vectors = graph.edge_vectors.to(potential.shift.dtype).requires_grad_(True)
    atomic = potential(vectors, graph.edge_index, graph.types, graph.n_atoms)
    energies = graph.sum_over_atoms(atomic)
    (gradient,) = torch.autograd.grad(
        energies.sum(), vectors, create_graph=create_graph, materialize_grads=True
    )
    strain_gradients = strain_gradient_from(graph, gradient) if with_stress else None
    return energies, forces_from(graph, gradient), strain_gradients


def batch_loss(
    potential: Potential, batch: Batch, config: TrainingConfig, n_structures: int | None = None
) -> Tensor:
    """The loss of one batch (), to be differentiated; needs the descriptor that is not fused.

    Args:
        n_structures: what the sum is divided by; default: the structures of the batch.
    """
    with_stress = _has_stress(batch, config)
    energies, forces, strain_gradients = predict(potential, batch, True, with_stress)
    loss = config.energy_weight * (energies - batch.energies).square().sum()
    loss = loss + config.forces_weight * _known(forces, batch.forces).square().sum()
    if strain_gradients is not None:
        error = _known(strain_gradients, batch.strain_gradients)
        loss = loss + config.stress_weight * error.square().sum()
    return loss / (n_structures or len(batch.energies))


def loss_gradient(
    potential: Potential, batch: Batch, config: TrainingConfig, n_structures: int | None = None
) -> dict[str, Tensor]:
    """The gradient of `batch_loss` by each parameter, by its name in the potential."""
    graph, dtype = batch.graph, potential.shift.dtype
    vectors = graph.edge_vectors.to(dtype)
    with torch.no_grad():
        descriptor = CompiledMoments(
            vectors, graph.edge_index, graph.types, potential.descriptor.beta, potential.cutoff
        )
        network = NetworkPass(potential.network, descriptor.invariants)

        # energies and forces
        unit = cast(Tensor, potential.energy_scale).to(dtype)
        per_type = unit * potential.scale
        slope = per_type[graph.types][:, None]
        of_invariants = slope * network.input_gradient
        edge_gradient = descriptor.pull_back(of_invariants)
        energies = graph.sum_over_atoms(potential.atomic_energies(network.output, graph.types))

        # α of every atom, λ of every edge
        factor = 2.0 / (n_structures or len(batch.energies))
        errors = factor * config.energy_weight * (energies - batch.energies)
        alpha = errors.to(dtype)[graph.structure][:, None]
        tangents = factor * _edge_tangents(batch, edge_gradient, config)

        # the pass along λ, and back
        network.push_forward(descriptor.push_forward(tangents))
        gradients, of_output = network.gradients(alpha * slope, slope)
        scale_gradient = alpha[:, 0] * network.output + network.output_tangent
        zeros = torch.zeros_like(potential.shift)
        by_type = unit * torch.stack([scale_gradient, alpha[:, 0]])
        return {
            "descriptor.beta": descriptor.embedding_gradient(of_invariants, of_output),
            "scale": zeros.index_add(0, graph.types, by_type[0]),
            "shift": zeros.index_add(0, graph.types, by_type[1]),
            **{f"network.{name}": g for name, g in gradients.items()},
        }


def _has_stress(batch: Batch, config: TrainingConfig) -> bool:
    return config.stress_weight > 0 and not bool(batch.strain_gradients.isnan().all())


def _known(values: Tensor, labels: Tensor) -> Tensor:
    """values - labels, zero where there is no label."""
    return torch.where(labels.isnan(), 0.0, values - labels.nan_to_num())


def _edge_tangents(batch: Batch, edge_gradient: Tensor, config: TrainingConfig) -> Tensor:
    """∂/∂g_e of half the sum of squares of forces and strain gradients: (E, 3)."""
    graph, dtype = batch.graph, edge_gradient.dtype
    centres, neighbours = graph.edge_index
    error = config.forces_weight * _known(forces_from(graph, edge_gradient), batch.forces).to(dtype)
    tangents = error[centres] - error[neighbours]
    if _has_stress(batch, config):
        found = strain_gradient_from(graph, edge_gradient)
        error = config.stress_weight * _known(found, batch.strain_gradients).to(dtype)
        rows = graph.edge_vectors.to(dtype)[:, None, :]
        tangents += torch.bmm(rows, error[graph.structure[centres]])[:, 0]
    return tangents
