"""Numbers of a study: means with intervals, allocations, coverage of error bars."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pyubias.analysis.intervals import Interval, geometric, interval
from pyubias.diversity.measure.variance import VarianceSplit
from pyubias.diversity.study.allocation import (
    check_on_other_half,
    recommend,
    two_stage_conformers,
)
from pyubias.diversity.study.arms import METRICS, ArmResult
from pyubias.diversity.study.config import StudyConfig
from pyubias.diversity.study.learning_curve import Observation
from pyubias.diversity.study.plan import TESTS
from pyubias.training.conformal import attainable_coverage, shortfall

__all__ = ["by_repetition", "draw_findings", "fixed_budget", "fixed_molecules", "mean_of"]

Results = Sequence[ArmResult]

COMPARED_COSTS = (1.0, 10.0, 100.0)  # costs of a molecule, in geometries

ERRORS = ("forces", "relative_energy", "absolute_energy")  # metrics that a learning curve describes


def draw_findings(results: Results, variance: VarianceSplit, config: StudyConfig) -> dict[str, Any]:
    """Compute all numbers of the report, as values that JSON can hold.

    Args:
        results: results of all arms and repetitions.
        variance: components between and within molecules, of the energies of the pool per atom and
            without composition.
        config: settings of the study.
    """
    costs, parts = config.costs, (variance.between, variance.within)
    # cost of a molecule in units of a geometry's: that of the study, and others to compare with
    ratios = sorted({costs.molecule / costs.conformer, *COMPARED_COSTS})
    formula = {f"{x:g}": _finite(two_stage_conformers(*parts, x, 1.0)) for x in ratios}
    return {
        "tables": {
            "fixed_budget": _table(fixed_budget(results, config), "molecules"),
            "fixed_molecules": _table(fixed_molecules(results, config), "conformers"),
        },
        "allocations": _allocations(results, config),
        "two_stage_conformers": formula,
        "variance": vars(variance),
        "coverage": _coverage(results),
        "calibration": _calibration(results, config.uncertainty.alpha),
    }


def fixed_budget(results: Results, config: StudyConfig) -> list[ArmResult]:
    """Results of the arms that have the labels of the fixed budget."""
    labels = config.arms.fixed_budget.labels
    return [r for r in results if r.molecules * r.conformers == labels]


def fixed_molecules(results: Results, config: StudyConfig) -> list[ArmResult]:
    """Results of the arms that have the molecules of the fixed set."""
    fixed = config.arms.fixed_molecules
    chosen = (r for r in results if r.molecules == fixed.molecules)
    return [r for r in chosen if r.conformers in fixed.conformers]


def by_repetition(results: Results, test: str, metric: str) -> dict[int, float]:
    """The score of one arm by repetition, where it is known."""
    found = {r.repetition: r.scores[test][metric] for r in results if r.scores.get(test)}
    return {k: x for k, x in found.items() if x is not None}


def mean_of(values: Mapping[int, float], metric: str) -> Interval:
    """Geometric mean of positive errors, arithmetic mean of other scores."""
    positive = metric in ERRORS and all(x > 0.0 for x in values.values())
    return (geometric if positive else interval)(list(values.values()))


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None


def _table(results: Results, along: str) -> dict[str, Any]:
    """Mean, low and high of each arm, for each test and metric; arms are sorted by `along`."""
    sizes = sorted({getattr(r, along) for r in results})
    table: dict[str, Any] = {along: sizes}
    for test in TESTS:
        table[test] = {}
        for metric in METRICS:
            columns = [
                by_repetition([r for r in results if getattr(r, along) == n], test, metric)
                for n in sizes
            ]
            if all(columns):
                table[test][metric] = [list(mean_of(c, metric)) for c in columns]
    return table


def _observations(results: Results, test: str, metric: str) -> list[Observation]:
    found = []
    for r in results:
        error = r.scores[test][metric] if r.scores.get(test) else None
        if error:
            found.append(Observation(r.molecules, r.conformers, r.repetition, error))
    return found


def _allocations(results: Results, config: StudyConfig) -> dict[str, Any]:
    costs = config.costs
    budget = costs.budget or (
        config.arms.fixed_budget.labels * costs.conformer
        + float(np.median(config.arms.fixed_budget.molecules)) * costs.molecule
    )
    found: dict[str, Any] = {}
    for test in TESTS:
        for metric in ERRORS:
            observed = _observations(results, test, metric)
            if len({(o.molecules, o.conformers) for o in observed}) < 3:
                continue
            arguments = (budget, costs.molecule, costs.conformer)
            try:
                allocation = recommend(observed, *arguments)
                other_half = check_on_other_half(observed, *arguments)
            except ValueError as error:  # the budget buys nothing in the range of the arms
                print(f"no allocation for {TESTS[test]}: {error}")
                continue
            found.setdefault(test, {})[metric] = {
                "budget": budget,
                **vars(allocation),
                "other_half": None if other_half is None else vars(other_half),
            }
    return found


def _coverage(results: Results) -> dict[str, dict[str, float | None]]:
    """Mean coverage of energy errors on each test, by the pooled factor and by the group's."""
    found: dict[str, dict[str, float | None]] = {}
    for test in TESTS:
        known = [c for r in results if (c := r.coverage.get(test))]
        found[test] = {
            kind: float(np.mean([c[kind] for c in known])) if known else None
            for kind in ("pooled", "group")
        }
    return found


def _calibration(results: Results, alpha: float) -> dict[str, dict[str, Any]]:
    """Calibration frames and conformal factors of each group.

    ``n`` is the number of frames of the arm that has fewest, and ``attainable`` the coverage that
    they can guarantee; ``factors`` are the least, median and largest of the arms.
    """
    found: dict[str, dict[str, Any]] = {}
    for group in ("seen", "unseen", "pooled"):
        n = min((r.calibrated[group] for r in results), default=0)
        factors = [f for r in results if (f := getattr(r.factors, group)) is not None]
        found[group] = {
            "n": n,
            "attainable": attainable_coverage(n, alpha),
            "factors": np.percentile(factors, [0, 50, 100]).tolist() if factors else None,
            "shortfall": shortfall("all" if group == "pooled" else group, n, alpha),
        }
    return found
