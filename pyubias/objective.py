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

from pyubias.config import TrainingConfig
from pyubias.datasets import Batch
from pyubias.graphs import forces_from, strain_gradient_from
from pyubias.kernels import CompiledMoments
from pyubias.potential import AtomicNetwork, DenseLayer, Potential

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
        edge_gradient = descriptor.vjp(of_invariants)
        energies = graph.sum_over_atoms(potential.atomic_energies(network.output, graph.types))

        # α of every atom, λ of every edge
        factor = 2.0 / (n_structures or len(batch.energies))
        errors = factor * config.energy_weight * (energies - batch.energies)
        alpha = errors.to(dtype)[graph.structure][:, None]
        tangents = factor * _edge_tangents(batch, edge_gradient, config)

        # the pass along λ, and back
        network.jvp(descriptor.jvp(tangents))
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


class NetworkPass:
    """An atomic network at x, along a tangent of x, and back.

    With s = gain·silu', c = gain·silu'' at z_l, and δ_l = ∂y/∂z_l for the output y::

        z_l = W_l x_l/√d_l + 0.1 b_l,   x_{l+1} = gain·silu(z_l)      ẋ_{l+1} = s_l ż_l
        t_l = δ_{l+1} W_{l+1}/√d_{l+1},  δ_l = t_l s_l

    Attributes:
        output: y (n,).
        input_gradient: ∂y/∂x (n, d_0).
        output_tangent: ẏ (n,), after `jvp`.
    """

    def __init__(self, network: AtomicNetwork, x: Tensor) -> None:
        self.layers = [cast(DenseLayer, layer) for layer in network.layers]
        self.inputs, self.slopes, self.curvatures = [x], [], []
        for k, layer in enumerate(self.layers):
            z = layer(self.inputs[k])
            if k == len(self.layers) - 1:
                break
            gate = torch.sigmoid(z)
            rest = torch.addcmul(gate, gate, gate, value=-1.0)
            self.slopes.append(torch.addcmul(gate, z, rest).mul_(network.gain))
            bend = torch.addcmul(z, z, gate, value=-2.0).add_(2.0)
            self.curvatures.append(bend.mul_(rest).mul_(network.gain))
            self.inputs.append(z.mul_(gate).mul_(network.gain))
        self.output = z[:, 0]

        self.sensitivities = [torch.ones_like(z)]
        self.before_slope: list[Tensor] = []
        for k in range(len(self.slopes) - 1, -1, -1):
            self.before_slope.insert(0, self._times_weight(self.sensitivities[0], k + 1))
            self.sensitivities.insert(0, self.before_slope[0] * self.slopes[k])
        self.input_gradient = self._times_weight(self.sensitivities[0], 0)

    def _times_weight(self, x: Tensor, layer: int) -> Tensor:
        return torch.mm(x, self.layers[layer].weight).mul_(self.layers[layer].scale)

    def jvp(self, x: Tensor) -> None:
        """Along the tangent ẋ (n, d_0)."""
        self.input_tangents, self.tangents = [x], []
        for k, layer in enumerate(self.layers):
            z = torch.mm(self.input_tangents[k], layer.weight.t()).mul_(layer.scale)
            self.tangents.append(z)
            if k < len(self.slopes):
                self.input_tangents.append(z * self.slopes[k])
        self.output_tangent = z[:, 0]

    def gradients(self, of_output: Tensor, of_tangent: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Of Σ_i p_i y_i + q_i ẏ_i, for p, q (n, 1): by the parameters, and by x (n, d_0)."""
        result = {}
        of_z = of_output
        for k in range(len(self.layers) - 1, -1, -1):
            layer, of_z_tangent = self.layers[k], of_tangent * self.sensitivities[k]
            weight = torch.mm(of_z.t(), self.inputs[k])
            weight.addmm_(of_z_tangent.t(), self.input_tangents[k])
            result[f"layers.{k}.weight"] = weight.mul_(layer.scale)
            result[f"layers.{k}.bias"] = of_z.sum(0).mul_(layer.bias_scale)
            of_x = self._times_weight(of_z, k)
            if k > 0:
                bent = self.before_slope[k - 1] * self.curvatures[k - 1] * self.tangents[k - 1]
                of_z = torch.addcmul(of_tangent * bent, of_x, self.slopes[k - 1])
        return result, of_x
