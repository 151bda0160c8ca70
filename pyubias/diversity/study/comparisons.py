"""Comparisons of arms: the numbers that the sentences of a study state.

Two arms are compared by the ratios of their errors in the same repetition. An arm is worse than
another if the interval of the mean ratio is above one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from pyubias.analysis.intervals import Interval, ratio
from pyubias.diversity.study.arms import ArmResult
from pyubias.diversity.study.config import StudyConfig
from pyubias.diversity.study.findings import by_repetition, fixed_budget, fixed_molecules, mean_of
from pyubias.diversity.study.plan import TESTS, Arm

__all__ = [
    "Balance",
    "BestArm",
    "Change",
    "Comparisons",
    "Halves",
    "compare",
    "compare_halves",
]

Results = Sequence[ArmResult]

Errors = Mapping[int, float]  # by repetition


@dataclass(frozen=True)
class BestArm:
    """The best and the worst arm of the fixed budget on one test, by their force errors in meV/Å.

    Attributes:
        test: name of the test.
        best: the arm with the lowest mean error.
        best_error: its error.
        worst: the arm with the highest mean error.
        worst_error: its error.
        like: other arms that are not worse than the best one.
    """

    test: str
    best: Arm
    best_error: Interval
    worst: Arm
    worst_error: Interval
    like: list[Arm]


@dataclass(frozen=True)
class Balance:
    """Joint generalisation, by the geometric mean of the errors for known and unseen molecules.

    Attributes:
        best: the arm of the fixed budget with the lowest mean error.
        ends: arms with the fewest and the most molecules, unless they are the best, with the ratio
            of their errors to those of the best arm.
        like: other arms that are not worse than the best one.
        needed: whether both ends are worse than the best arm.
    """

    best: Arm
    ends: list[tuple[Arm, Interval | None]]
    like: list[Arm]
    needed: bool


@dataclass(frozen=True)
class Change:
    """Ratio of the force errors with the most geometries of the same molecules to the fewest.

    Attributes:
        test: name of the test.
        few: the arm with the fewest geometries.
        many: the arm with the most geometries.
        ratio: None if no repetition has both arms.
    """

    test: str
    few: Arm
    many: Arm
    ratio: Interval | None


@dataclass(frozen=True)
class Halves:
    """Allocations from one half of the repetitions, compared with the other half.

    Attributes:
        allocations: number of allocations.
        preferred: those with a preference.
        agreed: preferred allocations whose first half has a preference, too.
        held: those of `agreed` whose interval holds the best arm of the other half.
        mean_excess: relative excess of the error of the arm nearest to the first half's allocation
            over the best arm, mean over `agreed`; None if none of them has it.
        max_excess: the largest excess.
    """

    allocations: int
    preferred: int
    agreed: int
    held: int
    mean_excess: float | None
    max_excess: float | None


@dataclass(frozen=True)
class Comparisons:
    """All numbers of the sentences that are not in the tables.

    Attributes:
        best_arms: best arm of each test.
        balance: None with fewer than three arms.
        changes: change of each test.
        halves: None without a preference that can be checked.
        shared: fraction of its molecules that two repetitions of an arm share, mean over pairs.
        planned: number of arms times repetitions.
        trained: number of these that were trained.
        short: number of these that have fewer labels than planned.
    """

    best_arms: list[BestArm]
    balance: Balance | None
    changes: list[Change]
    halves: Halves | None
    shared: dict[Arm, float]
    planned: int
    trained: int
    short: int


def compare(
    results: Results, allocations: Mapping[str, Mapping[str, Any]], config: StudyConfig
) -> Comparisons:
    """Compare the arms of a study.

    Args:
        results: results of all arms and repetitions.
        allocations: allocations of `draw_findings`, by test and metric.
        config: settings of the study.
    """
    traded, deepened = fixed_budget(results, config), fixed_molecules(results, config)
    return Comparisons(
        best_arms=_best_arms(traded),
        balance=_balance(traded),
        changes=_changes(deepened),
        halves=compare_halves(allocations),
        shared=_shared(traded),
        planned=len(config.arms.grid) * config.seeds,
        trained=len(results),
        short=sum(r.labels < r.molecules * r.conformers for r in results),
    )


def _force_errors(results: Results, test: str) -> dict[Arm, dict[int, float]]:
    """Force errors by repetition, of each arm that has any, in the order of arms."""
    arms = sorted({r.arm for r in results})
    found = {a: by_repetition([r for r in results if r.arm == a], test, "forces") for a in arms}
    return {arm: errors for arm, errors in found.items() if errors}


def _best_arms(results: Results) -> list[BestArm]:
    found = []
    for test in TESTS:
        errors = _force_errors(results, test)
        if len(errors) < 2:
            continue
        means = {arm: mean_of(x, "forces") for arm, x in errors.items()}
        best = min(means, key=lambda arm: means[arm].mean)
        worst = max(means, key=lambda arm: means[arm].mean)
        like = _like(errors, best)
        found.append(BestArm(test, best, means[best], worst, means[worst], like))
    return found


def _balance(results: Results) -> Balance | None:
    known, new = _force_errors(results, "core"), _force_errors(results, "unseen")
    joint = {
        arm: {k: math.sqrt(x * new[arm][k]) for k, x in known[arm].items() if k in new[arm]}
        for arm in sorted(set(known) & set(new))
        if set(known[arm]) & set(new[arm])
    }
    if len(joint) < 3:
        return None
    best = min(joint, key=lambda arm: mean_of(joint[arm], "forces").mean)
    ends = [(arm, ratio(joint[arm], joint[best])) for arm in (min(joint), max(joint))]
    ends = [(arm, excess) for arm, excess in ends if arm != best]
    needed = len(ends) == 2 and all(_is_worse(excess) for _, excess in ends)
    return Balance(best, ends, _like(joint, best), needed)


def _changes(results: Results) -> list[Change]:
    found = []
    for test in TESTS:
        errors = _force_errors(results, test)
        if len(errors) < 2:
            continue
        few, many = min(errors), max(errors)
        found.append(Change(test, few, many, ratio(errors[many], errors[few])))
    return found


def _like(errors: Mapping[Arm, Errors], best: Arm) -> list[Arm]:
    """Arms other than the best one that are not worse."""
    others = [arm for arm in errors if arm != best]
    return [arm for arm in others if not _is_worse(ratio(errors[arm], errors[best]))]


def _is_worse(excess: Interval | None) -> bool:
    """Whether a ratio of errors is above one, by its interval or else by its mean."""
    if excess is None:
        return False
    return (excess.mean if excess.low is None else excess.low) > 1.0


def compare_halves(allocations: Mapping[str, Mapping[str, Any]]) -> Halves | None:
    """Count the allocations from one half of the repetitions that the other half confirms."""
    everything = [a for of_test in allocations.values() for a in of_test.values()]
    preferred = [a["other_half"] for a in everything if a["preference"] and a["other_half"]]
    if not preferred:
        return None
    agreed = [half for half in preferred if half["preference"]]
    excess = [half["excess"] for half in agreed if half["excess"] is not None]
    return Halves(
        allocations=len(everything),
        preferred=len(preferred),
        agreed=len(agreed),
        held=sum(half["held"] for half in agreed),
        mean_excess=float(np.mean(excess)) if excess else None,
        max_excess=max(excess) if excess else None,
    )


def _shared(results: Results) -> dict[Arm, float]:
    found = {}
    for arm in sorted({r.arm for r in results}):
        taken = [{molecule for molecule, _ in r.taken} for r in results if r.arm == arm]
        overlaps = [len(a & b) / arm.molecules for a, b in combinations(taken, 2)]
        if overlaps:
            found[arm] = float(np.mean(overlaps))
    return found
