"""One arm of a study: it is trained on its frames, and tested on frames that no arm has."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.stats import spearmanr

from pyubias.diversity.domain.group_factors import GroupFactors, fit_factors
from pyubias.diversity.study.config import StudyConfig
from pyubias.diversity.study.plan import Arm, Frame, order_of, test_sets, training_set
from pyubias.diversity.study.roles import Roles
from pyubias.errors import UserError
from pyubias.files import read_json, write_json
from pyubias.model.prediction import Model
from pyubias.training.conformal import coverage
from pyubias.training.export import export
from pyubias.training.labels import ENERGY, FORCES
from pyubias.training.train import train

__all__ = ["METRICS", "ArmError", "ArmResult", "Outcomes", "Scores", "run_arm", "score"]

Array = NDArray[np.float64]

Scores = Mapping[str, float | None]  # by metric

METRICS = {
    "forces": "forces RMSE, meV/Å",
    "relative_energy": "energy RMSE relative within each molecule, meV",
    "absolute_energy": "energy MAE, meV/atom",
    "rank": "rank correlation of energies within a molecule",
}

MIN_ENERGY_RANGE = 1e-6  # eV, of a molecule whose energies have ranks


class ArmError(UserError):
    """An arm has no labels to be trained with; the study goes on without it."""


@dataclass(frozen=True)
class ArmResult:
    """The result of one arm in one repetition, as its JSON file contains it.

    Attributes:
        molecules: number of molecules of the arm.
        conformers: planned geometries of each.
        repetition: number of the repetition.
        labels: number of labels that the arm is trained on.
        taken: (molecule, number of its labels) for each molecule.
        seconds: time of the training.
        factors: conformal factors of energies.
        calibrated: number of calibration frames for each of the factors.
        scores: scores on each test.
        coverage: for each test, fraction of energy errors that the ``pooled`` factor and the factor
            of the ``group`` cover; None for a test without frames.
    """

    molecules: int
    conformers: int
    repetition: int
    labels: int
    taken: Sequence[tuple[int, int]]
    seconds: float | None
    factors: GroupFactors
    calibrated: Mapping[str, int]
    scores: Mapping[str, Scores]
    coverage: Mapping[str, Mapping[str, float] | None]

    @property
    def arm(self) -> Arm:
        """The sizes of the arm."""
        return Arm(self.molecules, self.conformers)

    @classmethod
    def read(cls, path: Path) -> "ArmResult":
        """Read the JSON file of a result."""
        fields: dict[str, Any] = read_json(path)
        fields["taken"] = [(molecule, n) for molecule, n in fields["taken"]]
        fields["factors"] = GroupFactors(**fields["factors"])
        return cls(**fields)


@dataclass(frozen=True)
class Outcomes:
    """Labels and predictions of structures, one row each.

    Attributes:
        molecules: number of the molecule.
        n_atoms: number of atoms.
        energies: true energies, eV.
        predicted: predicted energies, eV.
        squared_force_errors: mean over the components, (eV/Å)².
        uncertainties: calibrated total uncertainty, eV/atom.
    """

    molecules: NDArray[np.int64]
    n_atoms: NDArray[np.int64]
    energies: Array
    predicted: Array
    squared_force_errors: Array
    uncertainties: Array

    @property
    def residuals(self) -> Array:
        """Energy errors, eV/atom."""
        return (self.predicted - self.energies) / self.n_atoms


def run_arm(
    arm: Arm,
    repetition: int,
    roles: Roles,
    frames: Mapping[Frame, Atoms],
    config: StudyConfig,
    folder: Path,
) -> ArmResult:
    """Train and test one arm, or read its result if its file exists.

    All arms of a repetition share the frames for validation, which pick the checkpoint, and for
    calibration. They are of core molecules, and of molecules that no arm has.

    Args:
        arm: sizes of the arm.
        repetition: number of the repetition, which draws the molecules.
        roles: roles of the molecules.
        frames: all labelled frames.
        config: settings of the study.
        folder: folder of all arms.

    Raises:
        ArmError: there is no label to train on, or none to calibrate with.
    """
    path = folder / arm.name / f"seed{repetition}.json"
    if path.is_file():
        return ArmResult.read(path)
    split = training_set(arm, repetition, roles, config, set(frames))
    for kind, words in (("train", "train on"), ("calibration", "calibrate with")):
        if not split[kind]:
            raise ArmError(f"no label to {words}: all failed")
    path.parent.mkdir(parents=True, exist_ok=True)
    model = path.with_suffix(".pt")
    trained = train(
        [frames[f] for part in split.values() for f in part],
        config.model,
        config.training.model_copy(update={"seed": config.seed + repetition}),
        config.uncertainty,
        elements=config.pool.elements,
        splits=[name for name, part in split.items() for _ in part],
    )
    export(trained, model, "float64")
    loaded = Model(model)
    taken = dict.fromkeys(order_of(repetition, roles, config, set(frames))[: arm.molecules], 0)
    for frame in split["train"]:
        taken[frame.molecule] += 1
    in_arm = {m for m, n in taken.items() if n > 0}
    calibration = _outcomes(loaded, split["calibration"], frames)
    seen = _seen(calibration, in_arm)
    factors = fit_factors(
        calibration.residuals, calibration.uncertainties, seen, config.uncertainty.alpha
    )
    tests = {
        name: _outcomes(loaded, chosen, frames)
        for name, chosen in test_sets(arm, repetition, roles, config, set(frames)).items()
    }
    result = ArmResult(
        molecules=arm.molecules,
        conformers=arm.conformers,
        repetition=repetition,
        labels=len(split["train"]),
        taken=sorted(taken.items()),
        seconds=trained.history[-1]["seconds"] if trained.history else None,
        factors=factors,
        calibrated={"seen": int(seen.sum()), "unseen": int((~seen).sum()), "pooled": len(seen)},
        scores={name: score(outcomes) for name, outcomes in tests.items()},
        coverage={name: _coverage(outcomes, in_arm, factors) for name, outcomes in tests.items()},
    )
    write_json(path, asdict(result))
    return result


def score(outcomes: Outcomes) -> Scores:
    """The numbers of `METRICS`; None where the structures cannot give one.

    Relative energies need molecules with at least two structures, and rank correlations at least
    three. The rank correlation is the mean over the molecules.
    """
    if len(outcomes.molecules) == 0:
        return dict.fromkeys(METRICS)
    groups = [outcomes.molecules == m for m in np.unique(outcomes.molecules)]
    error = outcomes.predicted - outcomes.energies
    relative = [error[g] - error[g].mean() for g in groups if g.sum() > 1]
    ranks = [_rank(outcomes.energies[g], outcomes.predicted[g]) for g in groups if g.sum() > 2]
    known = [r for r in ranks if r is not None]
    weighted = np.average(outcomes.squared_force_errors, weights=outcomes.n_atoms)
    return {
        "forces": 1e3 * float(np.sqrt(weighted)),
        "relative_energy": 1e3 * _rms(np.concatenate(relative)) if relative else None,
        "absolute_energy": 1e3 * float(np.abs(outcomes.residuals).mean()),
        "rank": float(np.mean(known)) if known else None,
    }


def _rms(x: Array) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


def _rank(true: Array, predicted: Array) -> float | None:
    if np.ptp(true) < MIN_ENERGY_RANGE or np.ptp(predicted) < MIN_ENERGY_RANGE:
        return None
    return float(spearmanr(true, predicted).statistic)


def _outcomes(model: Model, chosen: Sequence[Frame], frames: Mapping[Frame, Atoms]) -> Outcomes:
    structures = [frames[f] for f in chosen]
    predictions = model.predict(structures)
    errors = [
        float(np.square(p.forces - a.arrays[FORCES]).mean())
        for a, p in zip(structures, predictions, strict=True)
    ]
    return Outcomes(
        molecules=np.array([f.molecule for f in chosen], dtype=np.int64),
        n_atoms=np.array([len(a) for a in structures], dtype=np.int64),
        energies=np.array([a.info[ENERGY] for a in structures]),
        predicted=np.array([p.energy for p in predictions]),
        squared_force_errors=np.array(errors),
        uncertainties=np.array([p.total_uncertainty for p in predictions]),
    )


def _seen(outcomes: Outcomes, in_arm: Collection[int]) -> NDArray[np.bool_]:
    return np.isin(outcomes.molecules, sorted(in_arm))


def _coverage(
    outcomes: Outcomes, in_arm: Collection[int], factors: GroupFactors
) -> dict[str, float] | None:
    if len(outcomes.molecules) == 0:
        return None
    residuals, u = outcomes.residuals, outcomes.uncertainties
    return {
        "pooled": coverage(residuals, factors.pooled * u),
        "group": factors.coverage(residuals, u, _seen(outcomes, in_arm)),
    }
