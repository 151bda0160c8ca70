"""Fitting the parameters of one potential to labelled structures.

The learning rates are those of Zaverkin et al., npj Comput. Mater. 10, 83 (2024), Methods;
`pyubias.training.loss` defines the loss.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from torch import Tensor

from pyubias.config.potential import FinishConfig, TrainingConfig
from pyubias.model.potential import Potential
from pyubias.parallel import Replicas
from pyubias.training.adam import Adam
from pyubias.training.batches import Batch, Sample, collate, to_device
from pyubias.training.element_energies import element_energies
from pyubias.training.labels import ENERGY, FORCES
from pyubias.training.learning_curve import pays
from pyubias.training.loss import batch_loss, loss_gradient, predict

__all__ = ["Progress", "fit", "score_on", "set_reference"]

# called with (epoch, number of epochs, forces MAE in eV/Å at the last validation or nan)
Progress = Callable[[int, int, float], None]

EVALUATION_BATCH = 32


class Validation(NamedTuple):
    """Errors on the validation set after an epoch: one entry of the history of a fit.

    Attributes:
        cycle: counted from 1.
        epoch: counted from 1, over all cycles.
        energy_mae: mean absolute error of energies, eV/atom.
        forces_mae: mean absolute error of force components, eV/Å; None without labels of forces.
        score: the checkpoint with the lowest score is kept.
        seconds: since the start of the fit.
    """

    cycle: int
    epoch: int
    energy_mae: float
    forces_mae: float | None
    score: float
    seconds: float


class BestParameters(NamedTuple):
    """The parameters with the lowest score so far; none before the first validation."""

    score: float = float("inf")
    state: dict[str, Any] | None = None


def set_reference(potential: Potential, frames: Sequence[Atoms]) -> None:
    """Set E⁰ and c of equation (8) from labelled structures.

    E⁰ comes from a regression of total energies on composition (`element_energies`). c is the
    standard deviation of the residual energies per square root of the number of atoms, but at least
    the energy of the root mean square force over 0.1 Å. Without this lower bound, nearly equal
    energies would give a scale near zero, on which the network could not express the forces.
    """
    elements = potential.elements
    counts = np.array([[a.get_chemical_symbols().count(e) for e in elements] for a in frames])
    energies = np.array([a.info[ENERGY] for a in frames])
    reference = element_energies(counts, energies)
    deviation = float(np.std((energies - counts @ reference) / np.sqrt(counts.sum(1))))
    forces = [a.arrays[FORCES] for a in frames if FORCES in a.arrays]
    known = np.concatenate(forces) if forces else np.zeros(0)
    known = known[np.isfinite(known)]
    rms_force = float(np.sqrt(np.mean(np.square(known)))) if known.size else 0.0
    potential.atomic_reference.copy_(torch.from_numpy(reference))
    potential.energy_scale.fill_(max(deviation, 0.1 * rms_force, 1e-3))


def fit(
    potential: Potential,
    training_set: Sequence[Sample],
    validation_set: Sequence[Sample],
    config: TrainingConfig,
    progress: Progress | None = None,
    replicas: Replicas | None = None,
    finish: FinishConfig | None = None,
) -> list[dict[str, float | None]]:
    """Fit with Adam, and keep the parameters with the lowest score on the validation set.

    A cycle is a training that is complete: learning rates fall linearly to zero, and the weight of
    energies grows by the factor `config.energy_ramp`, because energies gain most when forces are
    nearly right. With `finish`, another cycle of twice as many epochs follows from where the last
    one ended, as long as that pays: the errors on the validation set tell, so that no number of
    steps has to be known. Every batch holds the isolated atoms in addition.
    A cycle ends when its score has not fallen for `config.patience` epochs; the first steps of a
    cycle are large, and lead away from the best parameters before it.
    Without a validation set there is one cycle, and its last parameters are kept.

    Args:
        potential: trained in place.
        training_set: at least one structure.
        validation_set: may be empty.
        config: learning rates, weights and numbers of epochs of the first cycle.
        progress: called after each epoch.
        replicas: ranks that call this with the same arguments, share the structures of each batch
            and end with the same parameters. Default: this rank alone.
        finish: when to end; default: after one cycle.

    Returns:
        the fields of `Validation` at each validation.
    """
    with _on_device(potential, torch.device(config.device)):
        fitting = _Fitting(potential, training_set, validation_set, config, replicas, progress)
        score = fitting.cycle()
        while finish is not None and fitting.n_cycles < finish.cycles and fitting.fits_in(finish):
            before, score = score, fitting.cycle()
            if not pays(score, before, finish):
                break
        if fitting.best.state is not None:
            potential.load_state_dict(fitting.best.state)
        potential.zero_grad(set_to_none=True)
    return [validation._asdict() for validation in fitting.history]


class _Fitting:
    """A fit between two cycles. Arguments as in `fit`."""

    def __init__(
        self,
        potential: Potential,
        training_set: Sequence[Sample],
        validation_set: Sequence[Sample],
        config: TrainingConfig,
        replicas: Replicas | None,
        progress: Progress | None,
    ) -> None:
        self.potential = potential
        self.training_set = training_set
        self.validation_set = validation_set
        self.config = config
        self.replicas = replicas or Replicas()
        self.progress = progress
        alone = [k for k, sample in enumerate(training_set) if _is_alone(sample)]
        self.isolated = alone if len(alone) < len(training_set) else []
        self.regular = np.setdiff1d(np.arange(len(training_set)), self.isolated)
        self.n_batches = -(-len(self.regular) // config.batch_size)
        self.gradient = _gradient(potential)
        self.generator = np.random.default_rng(config.seed)
        self.start = time.perf_counter()
        self.history: list[Validation] = []
        self.best = BestParameters()
        self.n_cycles = 0
        self.n_epochs = 0  # of the cycles that are done
        self.length = min(config.epochs, max(1, config.max_steps // self.n_batches))

    def cycle(self) -> float:
        """Train for `length` epochs, and double it.

        Returns:
            the lowest score so far.
        """
        self.n_cycles += 1
        adam = _adam(self.potential, self.config, self.length * self.n_batches)
        lowest, found = math.inf, self.n_epochs
        for epoch in range(1, self.length + 1):
            weights = _ramped(self.config, epoch / self.length)
            batches = self._batches()
            self._train_epoch(batches, weights, adam)
            now = self.n_epochs + epoch
            is_last = epoch == self.length
            if self.validation_set and (is_last or epoch % self.config.validate_every == 0):
                score = self._validate(now)
                lowest, found = (score, now) if score < lowest else (lowest, found)
                is_last = is_last or now - found >= (self.config.patience or math.inf)
            if self.progress is not None:
                mae = self.history[-1].forces_mae if self.history else None
                total = self.n_epochs + self.length
                self.progress(now, total, float("nan") if mae is None else mae)
            if is_last:
                break
        self.n_epochs += epoch
        self.length *= 2
        return self.best.score

    def _train_epoch(
        self, batches: Sequence[NDArray[np.int64]], config: TrainingConfig, adam: Adam
    ) -> None:
        """Take one optimiser step for each batch, given as indices in the training set."""
        for batch in batches:
            share = [self.training_set[k] for k in self.replicas.part(batch.tolist())]
            set_gradient(self.potential, share, len(batch), config, self.gradient)
            self.replicas.add_up(self.gradient)
            adam.step()

    def fits_in(self, finish: FinishConfig) -> bool:
        """Whether another cycle would end in time, by the time that an epoch took so far."""
        if not self.validation_set:
            return False
        if finish.minutes is None:
            return True
        seconds = time.perf_counter() - self.start
        per_epoch = seconds / self.n_epochs
        late = seconds + per_epoch * self.length > 60.0 * finish.minutes
        # clocks of ranks differ
        votes = torch.tensor([float(late)], dtype=torch.float64, device=self.potential.shift.device)
        self.replicas.add_up(votes)
        return float(votes) == 0.0

    def _batches(self) -> list[NDArray[np.int64]]:
        """Indices of an epoch's batches in the training set."""
        order = self.regular[self.generator.permutation(len(self.regular))]
        # the energy without neighbors is far from all others, and one frame of it is little
        return [
            np.append(batch, self.isolated).astype(int)
            for batch in np.array_split(order, self.n_batches)
        ]

    def _validate(self, epoch: int) -> float:
        """Add to the history; keep the parameters if no earlier ones are better.

        Returns:
            the score.
        """
        errors = _errors(self.potential, self.validation_set, self.config, self.replicas)
        seconds = time.perf_counter() - self.start
        self.history.append(Validation(self.n_cycles, epoch, *errors, seconds))
        score = self.history[-1].score
        if score < self.best.score:
            self.best = BestParameters(score, copy.deepcopy(self.potential.state_dict()))
        return score


def _is_alone(sample: Sample) -> bool:
    return sample.graph.n_atoms == 1 and len(sample.graph.edge_vectors) == 0


@contextmanager
def _on_device(potential: Potential, device: torch.device) -> Iterator[None]:
    """Move a potential to a device and back; off the CPU its descriptor is not fused."""
    fused = potential.descriptor.fused
    potential.descriptor.fused = fused and device.type == "cpu"
    potential.to(device)
    try:
        yield
    finally:
        potential.to("cpu")
        potential.descriptor.fused = fused


def _adam(potential: Potential, config: TrainingConfig, n_steps: int) -> Adam:
    return Adam(
        [
            ([potential.descriptor.beta], config.embedding_rate),
            (list(potential.network.parameters()), config.weights_rate),
            ([potential.scale], config.scale_rate),
            ([potential.shift], config.shift_rate),
        ],
        n_steps,
    )


def _ramped(config: TrainingConfig, progress: float) -> TrainingConfig:
    """The settings with the weight of energies at a fraction `progress` of the training."""
    weight = config.energy_weight * config.energy_ramp**progress
    return config.model_copy(update={"energy_weight": weight})


def set_gradient(
    potential: Potential,
    samples: Sequence[Sample],
    n_structures: int,
    config: TrainingConfig,
    gradient: Tensor,
) -> None:
    """Set a tensor, and with it `.grad` of each parameter, to this rank's share of a gradient.

    Args:
        potential: on the device that computes.
        samples: this rank's share of the batch; may be empty.
        n_structures: number of structures in the whole batch.
        config: the weights of the loss.
        gradient: that of `_gradient`.
    """
    if not samples:
        gradient.zero_()
        return
    batch = to_device(collate(samples), gradient.device)
    if potential.descriptor.fused:
        loss_gradient(potential, batch, config, n_structures, out=gradient)
    else:
        gradient.zero_()  # autograd adds to `.grad`
        batch_loss(potential, batch, config, n_structures).backward()


def _gradient(potential: Potential) -> Tensor:
    """Numbers (n_parameters,), parts of which become `.grad` of each parameter."""
    parameters = list(potential.parameters())
    gradient = parameters[0].new_zeros(sum(p.numel() for p in parameters))
    parts = gradient.split([p.numel() for p in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = part.view_as(parameter)
    return gradient


def score_on(potential: Potential, samples: Sequence[Sample], config: TrainingConfig) -> float:
    """The score of the parameters on some structures, as `Validation.score`; nan without any."""
    return _errors(potential, samples, config, Replicas())[2] if samples else float("nan")


def _errors(
    potential: Potential, samples: Sequence[Sample], config: TrainingConfig, replicas: Replicas
) -> tuple[float, float | None, float]:
    """Errors on the validation set, which the ranks share.

    Returns:
        the mean absolute errors of energies (eV/atom) and of forces (eV/Å, None without labels),
        and the score: their
        sum, or the geometric mean over structures of the sum of both errors of a structure.
    """
    sums = torch.zeros(5, dtype=torch.float64, device=potential.shift.device)
    share = replicas.part(range(len(samples)))
    for first in range(0, len(share), EVALUATION_BATCH):
        chosen = [samples[k] for k in share[first : first + EVALUATION_BATCH]]
        sums += _error_sums(potential, to_device(collate(chosen), sums.device))
    replicas.add_up(sums)
    n_structures, energies, n_components, forces, logarithms = sums.tolist()
    energy_mae = energies / n_structures
    forces_mae = forces / n_components if n_components else None
    if config.checkpoint == "geometric":
        return energy_mae, forces_mae, math.exp(logarithms / n_structures)
    return energy_mae, forces_mae, energy_mae + (forces_mae or 0.0)


def _error_sums(potential: Potential, batch: Batch) -> Tensor:
    """Sums over the structures of a batch, (5,) f64.

    Returns:
        number of structures; absolute energy errors per atom; number of labelled force components;
        absolute errors of these; logarithm of energy error plus mean force error.
    """
    energies, forces, _ = predict(potential, batch, create_graph=False)
    n_atoms = batch.graph.atoms_per_structure
    structure = batch.graph.structure
    energy_errors = ((energies - batch.energies) / n_atoms).abs().detach()
    of_atoms = (forces - batch.forces).abs().nan_to_num(0.0).sum(1).detach()
    force_errors = torch.zeros_like(energy_errors).index_add(0, structure, of_atoms)
    labelled = (~batch.forces.isnan()).sum(1).to(of_atoms)
    n_components = torch.zeros_like(energy_errors).index_add(0, structure, labelled)
    together = energy_errors + force_errors / n_components.clamp(min=1.0)
    return torch.stack(
        [
            torch.full_like(energy_errors, 1.0).sum(),
            energy_errors.sum(),
            n_components.sum(),
            force_errors.sum(),
            # errors of zero would make the geometric mean zero
            together.clamp(min=1e-12).log().sum(),
        ]
    )
