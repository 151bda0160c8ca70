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
from pyubias.model.network import BIAS_SCALE
from pyubias.model.potential import Potential
from pyubias.training.batches import Batch

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
    with_stress = config.stress_weight > 0 and not bool(batch.strain_gradients.isnan().all())
    energies, forces, strain_gradients = predict(potential, batch, True, with_stress)
    n_atoms = batch.graph.atoms_per_structure.to(torch.float64)
    weights = config.energy_weight * (LARGE / n_atoms).clamp(max=1.0).square()
    loss = (weights * (energies - batch.energies).square()).sum()
    loss = loss + config.forces_weight * _known_errors(forces, batch.forces).square().sum()
    if strain_gradients is not None:
        error = _known_errors(strain_gradients, batch.strain_gradients)
        loss = loss + config.stress_weight * error.square().sum()
    return loss / (n_structures or len(batch.energies))


@torch.no_grad()
def loss_gradient(
    potential: Potential,
    batch: Batch,
    config: TrainingConfig,
    n_structures: int | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """The gradient of `batch_loss` by all parameters, equation (10), by one compiled operator.

    Args:
        potential, batch, config, n_structures: as in `batch_loss`, on the CPU.
        out: takes the result; default: a new tensor.

    Returns:
        numbers in the order of `potential.parameters()`, (n_parameters,).
    """
    graph, parameters = batch.graph, list(potential.parameters())
    if out is None:
        out = parameters[0].new_empty(sum(p.numel() for p in parameters))
    torch.ops.pyubias.loss_gradient.default(
        graph.edge_vectors,
        graph.edge_index,
        graph.types,
        graph.structure,
        potential.cutoff,
        [batch.energies, batch.forces, batch.strain_gradients],
        [config.energy_weight, config.forces_weight, config.stress_weight],
        LARGE,
        n_structures or len(batch.energies),
        parameters,
        potential.atomic_reference,
        float(cast(Tensor, potential.energy_scale)),
        potential.network.gain,
        BIAS_SCALE,
        out,
    )
    return out


def _known_errors(values: Tensor, labels: Tensor) -> Tensor:
    """values - labels, zero where there is no label."""
    return torch.where(labels.isnan(), 0.0, values - labels.nan_to_num())
