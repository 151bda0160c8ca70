"""Calibration of uncertainties on labelled structures outside the training set."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pyubias.model.uncertain_potential import UncertainPotential
from pyubias.training.batches import Sample, collate
from pyubias.training.conformal import attainable_coverage, conformal_factor
from pyubias.training.loss import predict

__all__ = ["calibrate"]


def calibrate(
    potential: UncertainPotential, samples: Sequence[Sample], alpha: float
) -> tuple[float, float]:
    """Set both conformal factors of the head, equation (17) of pyubias/README.md.

    The residual of the total uncertainty is |ΔE|/N of each structure. The residual of the atomic
    uncertainty is the root mean square of the three force errors of each atom.

    Args:
        potential: a potential with a fitted head, whose factors are 1.
        samples: the calibration split. The factors stay 1 if it is empty, that of the atomic
            uncertainty also without forces.
        alpha: α; the calibrated uncertainties cover a fraction 1 - α of the residuals.

    Returns:
        the coverages that this number of structures guarantees for the total and the atomic
        uncertainty; 0 for one that is not calibrated. Atoms of one structure are no independent
        scores, so that the structures count.
    """
    if not samples:
        return 0.0, 0.0
    exact = potential.to(torch.float64)
    head = exact.head
    assert head is not None
    residuals, uncertainties = [], []
    atomic: list[tuple[Tensor, Tensor]] = []
    for sample in samples:
        energy, forces = _mean_prediction(exact, sample)
        features = exact.features(sample.graph)
        residuals.append(abs(energy - sample.energy) / sample.graph.n_atoms)
        uncertainties.append(float(head.total(features.mean(0))))
        force_errors = (forces - sample.forces).square().mean(1).sqrt()
        # an atom without a label of its force has an error of nan
        known = ~sample.forces.isnan().any(1)
        if bool(known.any()):
            atomic.append((force_errors[known], head.atomic(features)[known]))
    head.total_factor.fill_(conformal_factor(residuals, uncertainties, alpha))
    if atomic:
        errors, of_atoms = (torch.cat(x).numpy() for x in zip(*atomic, strict=True))
        head.atomic_factor.fill_(conformal_factor(errors, of_atoms, alpha))
    return attainable_coverage(len(residuals), alpha), (
        attainable_coverage(len(atomic), alpha) if atomic else 0.0
    )


def _mean_prediction(potential: UncertainPotential, sample: Sample) -> tuple[float, Tensor]:
    """Mean over the members of the energy in eV and the forces (n, 3) f64 in eV/Å."""
    batch = collate([sample])
    predictions = [predict(m, batch, create_graph=False) for m in potential.members]
    energies = torch.stack([energies.detach() for energies, _, _ in predictions])
    forces = torch.stack([forces.detach() for _, forces, _ in predictions])
    return float(energies.mean(0)[0]), forces.mean(0).to(torch.float64)
