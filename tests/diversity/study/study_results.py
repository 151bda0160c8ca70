"""Results of invented arms, and the findings of a study that has them."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyubias.diversity.domain.group_factors import GroupFactors
from pyubias.diversity.measure.variance import VarianceSplit
from pyubias.diversity.study.arms import ArmResult
from pyubias.diversity.study.comparisons import compare
from pyubias.diversity.study.config import (
    ArmsConfig,
    FixedBudget,
    FixedMolecules,
    PoolConfig,
    StudyConfig,
)
from pyubias.diversity.study.findings import draw_findings
from pyubias.diversity.study.plan import TESTS, Arm, arms_of
from pyubias.diversity.study.report import sentences_of

ARMS = ArmsConfig(
    fixed_budget=FixedBudget(labels=16, molecules=[1, 2, 4, 8, 16]),
    fixed_molecules=FixedMolecules(molecules=4, conformers=[1, 2, 8]),
)
VARIANCE = VarianceSplit(5.0, 1.0, 4.0)
REPETITIONS = 4

Law = Callable[[int, int], float]  # error of molecules and conformers
Results = list[ArmResult]


def study_of(folder: Path) -> StudyConfig:
    """Settings of a study with the arms of this module."""
    path = folder / "molecules.smi"
    path.touch()
    return StudyConfig(name="s", seeds=REPETITIONS, pool=PoolConfig(molecules=path), arms=ARMS)


def arm_result(arm: Arm, repetition: int, scores: dict[str, Any], **changes: Any) -> ArmResult:
    """A result with all labels; repetition r takes the molecules from 4 r on."""
    fields = {
        "labels": arm.molecules * arm.conformers,
        "taken": [(k + 4 * repetition, arm.conformers) for k in range(arm.molecules)],
        "seconds": 1.0,
        "factors": GroupFactors(1.0 + repetition, 3.0, 2.0),
        "calibrated": {"seen": 18 + repetition, "unseen": 64, "pooled": 82 + repetition},
        "coverage": {test: {"pooled": 0.9, "group": 0.95} for test in TESTS},
    }
    sizes = (arm.molecules, arm.conformers, repetition)
    return ArmResult(*sizes, scores=scores, **(fields | changes))


def results_of(known: Law, unseen: Law) -> Results:
    """Results of all arms, from the errors for known and for unseen molecules."""
    results = []
    for arm in arms_of(ARMS):
        for r in range(REPETITIONS):
            noise = 1.0 + 0.01 * math.sin(7.0 * r + arm.molecules)
            scores = {}
            for test in TESTS:
                law = known if test in ("own", "core", "hot", "scan") else unseen
                error = noise * law(arm.molecules, arm.conformers)
                errors = dict.fromkeys(("forces", "relative_energy", "absolute_energy"), error)
                scores[test] = errors | {"rank": 0.5}
            results.append(arm_result(arm, r, scores))
    return results


def findings_of(results: Results, folder: Path) -> dict[str, Any]:
    """The findings of a study, with their sentences."""
    config = study_of(folder)
    findings = draw_findings(results, VARIANCE, config)
    comparisons = compare(results, findings["allocations"], config)
    return findings | {"sentences": sentences_of(findings, comparisons, config)}


def sentence(findings: dict[str, Any], words: str) -> str:
    """The first sentence that contains the words."""
    return next(s for s in findings["sentences"] if words in s)


def quick_main() -> None:
    """The command line, with short dynamics and few bootstraps.

    Frames of dynamics are a few steps apart; walkers are as long as they are.
    """
    from unittest import mock

    from pyubias.cli import main

    with (
        mock.patch("pyubias.molecules.conformers.MD_STEPS", 5),
        mock.patch("pyubias.diversity.study.allocation.BOOTSTRAPS", 20),
    ):
        main()
