"""Calibration of uncertainties on labelled structures that were not trained on."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pyubias.model.uncertain_potential import UncertainPotential
from pyubias.training.batches import Sample, collate
from pyubias.training.loss import predict
from pyubias.training.scores import Factors, Scores, factors_of, join, scores_of

__all__ = ["calibrate", "scores_on"]


def calibrate(
    potential: UncertainPotential,
    samples: Sequence[Sample],
    alpha: float,
    earlier: Scores = Scores(),  # noqa: B008  # immutable
) -> Factors:
    """Set both conformal factors of the head, equation (17) of pyubias/README.md.

    The residual of the total uncertainty is |ΔE|/N of each structure. The residual of the atomic
    uncertainty is the root mean square of the three force errors of each atom.

    Args:
        potential: a potential with a fitted head, whose factors are 1.
        samples: the calibration split. Without scores the factors stay 1, that of the atomic
            uncertainty also without forces.
        alpha: α; the calibrated uncertainties cover a fraction 1 - α of the residuals.
        earlier: scores of earlier potentials of a campaign on labels that were new to them.
    """
    factors = factors_of(join([earlier, scores_on(potential, samples)]), alpha)
    head = potential.head
    assert head is not None
    head.total_factor.fill_(factors.total)
    head.atomic_factor.fill_(factors.atomic)
    return factors


def scores_on(potential: UncertainPotential, samples: Sequence[Sample]) -> Scores:
    """The scores of a potential, whose factors are 1, on samples that it was not trained on."""
    potential = potential.to(torch.float64)
    head = potential.head
    assert head is not None
    residuals, uncertainties = [], []
    atomic = []
    for sample in samples:
        energy, forces = _mean_prediction(potential, sample)
        features = potential.features(sample.graph)
        residuals.append(abs(energy - sample.energy) / sample.graph.n_atoms)
        uncertainties.append(float(head.total(features.mean(0))))
        force_errors = (forces - sample.forces).square().mean(1).sqrt()
        # an atom without a label of its force has an error of nan
        known = ~sample.forces.isnan().any(1)
        if bool(known.any()):
            u = head.atomic(features)[known]
            atomic.append(scores_of(force_errors[known].numpy(), u.numpy()))
    return Scores(
        scores_of(np.array(residuals), np.array(uncertainties)),
        np.concatenate(atomic) if atomic else np.zeros(0),
        len(atomic),
    )


def _mean_prediction(potential: UncertainPotential, sample: Sample) -> tuple[float, Tensor]:
    """Mean over the members of the energy in eV and the forces (n, 3) f64 in eV/Å."""
    batch = collate([sample])
    predictions = [predict(m, batch, create_graph=False) for m in potential.members]
    energies = torch.stack([energies.detach() for energies, _, _ in predictions])
    forces = torch.stack([forces.detach() for _, forces, _ in predictions])
    return float(energies.mean(0)[0]), forces.mean(0).to(torch.float64)
