"""One arm of a study: train on its frames, test on what it never saw."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from pyubias.diversity.domain.group_factors import GroupFactors, fit_factors
from pyubias.diversity.study.config import StudyConfig
from pyubias.diversity.study.plan import Arm, Frame, Roles, order_of, test_sets, training_set
from pyubias.diversity.study.scores import Outcomes, score
from pyubias.errors import UserError
from pyubias.files import read_json, write_json
from pyubias.model.prediction import Model
from pyubias.training.conformal import coverage
from pyubias.training.export import export
from pyubias.training.train import train

__all__ = ["ArmError", "run_arm"]


class ArmError(UserError):
    """An arm has no labels to be trained with; the study goes on without it."""


def run_arm(
    arm: Arm,
    repetition: int,
    roles: Roles,
    frames: Mapping[Frame, Atoms],
    config: StudyConfig,
    folder: Path,
) -> dict[str, Any]:
    """Train and test one arm, or read what was found before.

    All arms of a repetition share the frames for validation, which pick the checkpoint, and for
    calibration: of core molecules, and of molecules that no arm has.

    Returns:
        arm, repetition, ``labels`` trained on, ``taken``: labels of each of its molecules,
        ``seconds``, the ``scores`` of each test, ``coverage`` of its energy errors by the pooled
        and by the group's conformal factor, these ``factors``, and the number of frames that
        ``calibrated`` each.

    Raises:
        ArmError: no label is there to train on, or none to calibrate with.
    """
    path = folder / arm.name / f"seed{repetition}.json"
    if path.is_file():
        return dict(read_json(path))
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
    for molecule, _, _ in split["train"]:
        taken[molecule] += 1
    in_arm = {m for m, n in taken.items() if n > 0}
    calibration = _outcomes(loaded, split["calibration"], frames)
    seen = np.isin(calibration.molecules, sorted(in_arm))
    factors = fit_factors(
        calibration.residuals, calibration.uncertainties, seen, config.uncertainty.alpha
    )
    result: dict[str, Any] = {
        "molecules": arm.molecules,
        "conformers": arm.conformers,
        "repetition": repetition,
        "labels": len(split["train"]),
        "taken": sorted(taken.items()),
        "seconds": trained.history[-1]["seconds"] if trained.history else None,
        "factors": vars(factors),
        "calibrated": {"seen": int(seen.sum()), "unseen": int((~seen).sum()), "pooled": len(seen)},
        "scores": {},
        "coverage": {},
    }
    for name, chosen in test_sets(arm, repetition, roles, config, set(frames)).items():
        outcomes = _outcomes(loaded, chosen, frames)
        result["scores"][name] = score(outcomes)
        result["coverage"][name] = _coverage(outcomes, in_arm, factors) if chosen else None
    write_json(path, result)
    return result


def _outcomes(model: Model, chosen: list[Frame], frames: Mapping[Frame, Atoms]) -> Outcomes:
    structures = [frames[f] for f in chosen]
    predictions = model.predict(structures)
    errors = [
        float(np.square(p.forces - a.arrays["REF_forces"]).mean())
        for a, p in zip(structures, predictions, strict=True)
    ]
    return Outcomes(
        molecules=np.array([f[0] for f in chosen], dtype=np.int64),
        n_atoms=np.array([len(a) for a in structures], dtype=np.int64),
        energies=np.array([a.info["REF_energy"] for a in structures]),
        predicted=np.array([p.energy for p in predictions]),
        squared_force_errors=np.array(errors),
        uncertainties=np.array([p.total_uncertainty for p in predictions]),
    )


def _coverage(outcomes: Outcomes, in_arm: set[int], factors: GroupFactors) -> dict[str, float]:
    seen = np.isin(outcomes.molecules, sorted(in_arm))
    residuals, u = outcomes.residuals, outcomes.uncertainties
    return {
        "pooled": coverage(residuals, factors.pooled * u),
        "group": factors.coverage(residuals, u, seen),
    }
