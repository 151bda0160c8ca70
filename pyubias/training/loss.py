"""The loss of a batch of structures, and its gradient with respect to the parameters.

Equation (9) of pyubias/README.md, a sum over S structures of N atoms each, with ΔW = V Δσ::

    L = (1/S) Σ (w_E min(1, 20/N)² ΔE² + w_F |ΔF|² + w_σ |ΔW|²)

The weights are `energy_weight`, `forces_weight` and `stress_weight` of `TrainingConfig`. Labels of
nan do not count. For up to 20 atoms the loss is that of Zaverkin et al., npj Comput. Mater. 10, 83
(2024), Methods. In larger structures, errors of energies are errors per atom: their squares would
otherwise outweigh those of the forces.

There are two ways to its gradient. `batch_loss` is a tensor for autograd, on any device.
`loss_gradient` uses the compiled descriptor, which has first derivatives only, and equation (10),
with g_e = ∂E/∂r_e, α = ∂L/∂E and λ_e = ∂L/∂g_e::

    ∂L/∂θ = ∂/∂θ (α E + Ė),   Ė = Σ_e λ_e·g_e

This is the gradient of an energy and of its tangent along λ: one jvp followed by one vjp.
"""

from typing import cast

import torch
from torch import Tensor

from pyubias.config.potential import TrainingConfig
from pyubias.model.graphs import forces_from, strain_gradient_from
from pyubias.model.ops import CompiledMoments
from pyubias.model.potential import Potential
from pyubias.training.batches import Batch
from pyubias.training.network_derivatives import NetworkDerivatives

__all__ = ["batch_loss", "loss_gradient", "predict"]

# atoms of a structure from which on its energy counts per atom
LARGE = 20.0


def predict(
    potential: Potential, batch: Batch, create_graph: bool, with_stress: bool = False
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Energies, forces and strain gradients of a batch.

    Args:
        potential: evaluated in the precision of its parameters.
        batch: S structures with n atoms in all.
        create_graph: whether forces and strain gradients can be differentiated.
        with_stress: whether strain gradients are computed.

    Returns:
        energies (S,) f64, eV; forces (n, 3), eV/Å; strain gradients (S, 3, 3), eV, or None.
    """
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
    """The loss () of one batch, equation (9), for autograd.

    Args:
        potential: its descriptor must not be fused; the compiled one has no second derivatives.
        batch: a batch, or this rank's share of it.
        config: the weights.
        n_structures: S of the whole batch; default: the number of structures in `batch`.
    """
    with_stress = _has_stress(batch, config)
    energies, forces, strain_gradients = predict(potential, batch, True, with_stress)
    errors = energies - batch.energies
    loss = (energy_weights(batch, config) * errors.square()).sum()
    loss = loss + config.forces_weight * _known_errors(forces, batch.forces).square().sum()
    if strain_gradients is not None:
        error = _known_errors(strain_gradients, batch.strain_gradients)
        loss = loss + config.stress_weight * error.square().sum()
    return loss / (n_structures or len(batch.energies))


def loss_gradient(
    potential: Potential, batch: Batch, config: TrainingConfig, n_structures: int | None = None
) -> dict[str, Tensor]:
    """The gradient of `batch_loss`, equation (10): parameter names of the potential to gradients.

    Args:
        potential, batch, config, n_structures: as in `batch_loss`; calls the compiled operators.
    """
    graph, dtype = batch.graph, potential.shift.dtype
    vectors = graph.edge_vectors.to(dtype)
    with torch.no_grad():
        descriptor = CompiledMoments(
            vectors, graph.edge_index, graph.types, potential.descriptor.beta, potential.cutoff
        )
        network = NetworkDerivatives(potential.network, descriptor.invariants)

        # ∂E_i/∂y_i = c σ_Z for the output y of the network, equation (8)
        unit = cast(Tensor, potential.energy_scale).to(dtype)
        per_type = unit * potential.scale
        of_output = per_type[graph.types][:, None]
        energy_gradient = of_output * network.input_gradient
        edge_gradient = descriptor.vjp(energy_gradient)
        energies = graph.sum_over_atoms(potential.atomic_energies(network.output, graph.types))

        # α of every atom, λ of every edge
        factor = 2.0 / (n_structures or len(batch.energies))
        errors = factor * energy_weights(batch, config) * (energies - batch.energies)
        alpha = errors.to(dtype)[graph.structure][:, None]
        tangents = factor * _edge_tangents(batch, edge_gradient, config)

        # Ė along λ, and the gradient of α E + Ė
        network.jvp(descriptor.jvp(tangents))
        gradients, of_invariants = network.vjp(alpha * of_output, of_output)
        scale_gradient = alpha[:, 0] * network.output + network.output_tangent
        zeros = torch.zeros_like(potential.shift)
        by_type = unit * torch.stack([scale_gradient, alpha[:, 0]])
        return {
            "descriptor.beta": descriptor.embedding_gradient(energy_gradient, of_invariants),
            "scale": zeros.index_add(0, graph.types, by_type[0]),
            "shift": zeros.index_add(0, graph.types, by_type[1]),
            **{f"network.{name}": g for name, g in gradients.items()},
        }


def energy_weights(batch: Batch, config: TrainingConfig) -> Tensor:
    """The weight of ΔE² of each structure, (S,) f64."""
    n_atoms = batch.graph.atoms_per_structure.to(torch.float64)
    return config.energy_weight * (LARGE / n_atoms).clamp(max=1.0).square()


def _has_stress(batch: Batch, config: TrainingConfig) -> bool:
    return config.stress_weight > 0 and not bool(batch.strain_gradients.isnan().all())


def _known_errors(values: Tensor, labels: Tensor) -> Tensor:
    """values - labels, zero where there is no label."""
    return torch.where(labels.isnan(), 0.0, values - labels.nan_to_num())


def _edge_tangents(batch: Batch, edge_gradient: Tensor, config: TrainingConfig) -> Tensor:
    """λ_e S/2 (E, 3), the derivative of half the weighted sum of |ΔF|² and |ΔW|² by g_e."""
    graph, dtype = batch.graph, edge_gradient.dtype
    centres, neighbors = graph.edge_index
    error = config.forces_weight * _known_errors(
        forces_from(graph, edge_gradient), batch.forces
    ).to(dtype)
    tangents = error[centres] - error[neighbors]
    if _has_stress(batch, config):
        found = strain_gradient_from(graph, edge_gradient)
        error = config.stress_weight * _known_errors(found, batch.strain_gradients).to(dtype)
        rows = graph.edge_vectors.to(dtype)[:, None, :]
        tangents += torch.bmm(rows, error[graph.structure[centres]])[:, 0]
    return tangents
