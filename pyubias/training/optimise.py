"""Fitting the parameters of one potential to labelled structures.

Learning rates as in Zaverkin et al., npj Comput. Mater. 10, 83 (2024), Methods; the loss is in
`objective`.
"""

import copy
import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from ase import Atoms

from pyubias.config.schema import TrainingConfig
from pyubias.model.potential import Potential
from pyubias.parallel import Replicas
from pyubias.training.batches import Batch, Sample, collate
from pyubias.training.loss import batch_loss, loss_gradient, predict

__all__ = ["Progress", "fit", "set_reference"]

Progress = Callable[[int, int, float], None]

EVALUATION_BATCH = 32


def set_reference(potential: Potential, frames: Sequence[Atoms]) -> None:
    """E⁰ from ridge regression of total energies on composition; c from what is left.

    c is the spread of the residual energies per square root of the number of atoms, and at
    least what the forces do over 0.1 Å, so that a set of nearly equal energies does not
    make the network start from nothing.
    """
    elements = potential.elements
    counts = np.array([[a.get_chemical_symbols().count(e) for e in elements] for a in frames])
    energies = np.array([a.info["REF_energy"] for a in frames])
    ridge = 1e-8 * np.eye(len(elements)) * max(1.0, float(np.square(counts).mean()))
    reference = np.linalg.solve(counts.T @ counts + ridge, counts.T @ energies)
    spread = float(np.std((energies - counts @ reference) / np.sqrt(counts.sum(1))))
    forces = [a.arrays["REF_forces"] for a in frames if "REF_forces" in a.arrays]
    rms_force = float(np.sqrt(np.mean(np.square(np.concatenate(forces))))) if forces else 0.0
    potential.atomic_reference.copy_(torch.from_numpy(reference))
    potential.energy_scale.fill_(max(spread, 0.1 * rms_force, 1e-3))


def fit(
    potential: Potential,
    training_set: Sequence[Sample],
    validation_set: Sequence[Sample],
    config: TrainingConfig,
    progress: Progress | None = None,
    replicas: Replicas | None = None,
) -> list[dict[str, float]]:
    """Adam with learning rates that fall linearly to zero; keeps the best checkpoint.

    Best is the smallest sum of energy MAE (eV/atom) and forces MAE (eV/Å) on the validation set;
    without one, the last parameters are kept. The weight of energies grows by `energy_ramp`: they
    gain most when the forces are nearly right. `config.patience` epochs without a better one end
    the training early.

    Args:
        replicas: ranks with the same arguments, which share the structures of each batch and end
            with the same parameters.

    Returns:
        for each look at the validation set: epoch, energy_mae, forces_mae, seconds, and
            the score whose lowest value picks the checkpoint.
    """
    replicas = replicas or Replicas()
    device = torch.device(config.device)
    fused = potential.descriptor.fused
    potential.descriptor.fused = fused and device.type == "cpu"
    potential.to(device)
    optimiser = torch.optim.Adam(
        [
            {"params": [potential.descriptor.beta], "lr": config.embedding_rate},
            {"params": list(potential.network.parameters()), "lr": config.weights_rate},
            {"params": [potential.scale], "lr": config.scale_rate},
            {"params": [potential.shift], "lr": config.shift_rate},
        ],
        fused=True,
    )
    n_batches = -(-len(training_set) // config.batch_size)
    n_epochs = min(config.epochs, max(1, config.max_steps // n_batches))
    n_steps = n_epochs * n_batches
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1.0 - step / n_steps)
    order = np.random.default_rng(config.seed)
    start = time.perf_counter()
    history: list[dict[str, float]] = []
    best, best_state, best_epoch = float("inf"), None, 0

    for epoch in range(1, n_epochs + 1):
        shuffled = order.permutation(len(training_set))
        weight = config.energy_weight * config.energy_ramp ** (epoch / n_epochs)
        stage = config.model_copy(update={"energy_weight": weight})
        for chosen in np.array_split(shuffled, n_batches):
            mine = [training_set[k] for k in replicas.part(chosen.tolist())]
            set_gradient(potential, mine, len(chosen), stage, device)
            replicas.add_up([p.grad for p in potential.parameters()])
            optimiser.step()
            schedule.step()
        last = epoch == n_epochs
        if validation_set and (last or epoch % config.validate_every == 0):
            energy_mae, forces_mae, geometric = _validate(
                potential, validation_set, device, replicas
            )
            score = geometric if config.checkpoint == "geometric" else energy_mae + forces_mae
            seconds = time.perf_counter() - start
            history.append(
                {
                    "epoch": epoch,
                    "energy_mae": energy_mae,
                    "forces_mae": forces_mae,
                    "score": score,
                    "seconds": seconds,
                }
            )
            if score < best:
                best, best_state = score, copy.deepcopy(potential.state_dict())
                best_epoch = epoch
            last = last or bool(config.patience and epoch - best_epoch >= config.patience)
        if progress is not None:
            progress(epoch, n_epochs, history[-1]["forces_mae"] if history else float("nan"))
        if last:
            break

    if best_state is not None:
        potential.load_state_dict(best_state)
    potential.to("cpu")
    potential.descriptor.fused = fused
    return history


def set_gradient(
    potential: Potential,
    samples: Sequence[Sample],
    n_structures: int,
    config: TrainingConfig,
    device: torch.device,
) -> None:
    """Into the ``grad`` of each parameter: what some of the structures of a batch add to it."""
    if not samples:
        for parameter in potential.parameters():
            parameter.grad = torch.zeros_like(parameter)
        return
    batch = to_device(collate(samples), device)
    if potential.descriptor.fused:
        gradients = loss_gradient(potential, batch, config, n_structures)
        for name, parameter in potential.named_parameters():
            parameter.grad = gradients[name]
    else:
        potential.zero_grad(set_to_none=True)
        batch_loss(potential, batch, config, n_structures).backward()


def to_device(batch: Batch, device: torch.device) -> Batch:
    if device.type == "cpu":
        return batch
    move = {name: getattr(batch.graph, name).to(device) for name in vars(batch.graph)}
    return Batch(
        graph=type(batch.graph)(**move),
        energies=batch.energies.to(device),
        forces=batch.forces.to(device),
        strain_gradients=batch.strain_gradients.to(device),
    )


def _validate(
    potential: Potential, samples: Sequence[Sample], device: torch.device, replicas: Replicas
) -> tuple[float, float, float]:
    """Mean absolute errors of energies (eV/atom) and forces (eV/Å), and the geometric mean over
    structures of the sum of both."""
    sums = torch.zeros(5, dtype=torch.float64, device=device)
    mine = replicas.part(range(len(samples)))
    for first in range(0, len(mine), EVALUATION_BATCH):
        chosen = [samples[k] for k in mine[first : first + EVALUATION_BATCH]]
        batch = to_device(collate(chosen), device)
        energies, forces, _ = predict(potential, batch, create_graph=False)
        n_atoms = batch.graph.atoms_per_structure
        owner = torch.repeat_interleave(torch.arange(len(chosen), device=device), n_atoms)
        known = ~batch.forces.isnan()
        of_atoms = (forces - batch.forces).abs().nan_to_num(0.0).sum(1).detach()
        of_energies = ((energies - batch.energies) / n_atoms).abs().detach()
        of_forces = torch.zeros_like(of_energies).index_add(0, owner, of_atoms)
        n_known = torch.zeros_like(of_energies).index_add(0, owner, known.sum(1).to(of_atoms))
        together = of_energies + of_forces / n_known.clamp(min=1.0)
        sums[0] += of_energies.sum()
        sums[1] += len(chosen)
        sums[2] += of_forces.sum()
        sums[3] += n_known.sum()
        sums[4] += together.clamp(min=1e-12).log().sum()
    replicas.add_up([sums])
    energy, n_energies, force, n_forces, logs = sums.tolist()
    return (
        energy / n_energies,
        force / n_forces if n_forces else 0.0,
        math.exp(logs / n_energies),
    )
