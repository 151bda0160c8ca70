"""What the arms of a study say: means, intervals over repetitions, allocations, sentences."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import t as student

from pyubias.diversity.allocation import (
    Observation,
    check_on_other_half,
    recommend,
    two_stage_conformers,
)
from pyubias.diversity.config import StudyConfig
from pyubias.diversity.measures import VarianceSplit
from pyubias.diversity.plan import TESTS
from pyubias.diversity.scores import METRICS

__all__ = ["draw_findings", "mean_and_interval"]

Results = Sequence[Mapping[str, Any]]
CONFIDENCE = 0.95
ALLOCATED = ("forces", "relative_energy", "absolute_energy")  # errors, which a curve can describe


def mean_and_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval by Student's t; nan for a single value."""
    n = len(values)
    if n < 2:
        return float(np.mean(values)), math.nan
    spread = float(np.std(values, ddof=1)) / math.sqrt(n)
    return float(np.mean(values)), float(student.ppf(0.5 + CONFIDENCE / 2.0, n - 1)) * spread


def draw_findings(results: Results, variance: VarianceSplit, config: StudyConfig) -> dict[str, Any]:
    """All numbers and sentences of the report, JSON-like.

    Args:
        results: of `run_arm`.
        variance: its components between and within molecules, of the energies of the pool per
            atom and without composition.
        config: of the study.
    """
    budget, fixed = config.arms.fixed_budget, config.arms.fixed_molecules
    traded = [r for r in results if r["molecules"] * r["conformers"] == budget.labels]
    deepened = [
        r
        for r in results
        if r["molecules"] == fixed.molecules and r["conformers"] in fixed.conformers
    ]
    tables = {
        "fixed_budget": _table(traded, "molecules"),
        "fixed_molecules": _table(deepened, "conformers"),
    }
    allocations = _allocations(results, config)
    costs = config.costs
    formula = two_stage_conformers(
        variance.between, variance.within, costs.molecule, costs.conformer
    )
    return {
        "tables": tables,
        "allocations": allocations,
        "two_stage_conformers": formula if math.isfinite(formula) else None,
        "variance": vars(variance),
        "coverage": _coverage(results),
        "sentences": [
            *_about_budget(traded, budget.labels),
            _about_balance(traded),
            *_about_conformers(deepened, fixed.molecules),
            *_about_allocations(allocations),
        ],
    }


def _values(results: Results, test: str, metric: str) -> list[float]:
    found = [r["scores"][test][metric] for r in results if r["scores"].get(test)]
    return [x for x in found if x is not None]


def _table(results: Results, along: str) -> dict[str, Any]:
    """For each test and metric: mean and interval of each arm, by `along`."""
    sizes = sorted({r[along] for r in results})
    table: dict[str, Any] = {along: sizes}
    for test in TESTS:
        table[test] = {}
        for metric in METRICS:
            columns = [_values([r for r in results if r[along] == n], test, metric) for n in sizes]
            if all(columns):
                pairs = [mean_and_interval(c) for c in columns]
                table[test][metric] = [[m, None if math.isnan(i) else i] for m, i in pairs]
    return table


def _observations(results: Results, test: str, metric: str) -> list[Observation]:
    return [
        Observation(r["molecules"], r["conformers"], r["repetition"], r["scores"][test][metric])
        for r in results
        if r["scores"].get(test) and r["scores"][test][metric]
    ]


def _allocations(results: Results, config: StudyConfig) -> dict[str, Any]:
    costs = config.costs
    budget = costs.budget or (
        config.arms.fixed_budget.labels * costs.conformer
        + float(np.median(config.arms.fixed_budget.molecules)) * costs.molecule
    )
    found: dict[str, Any] = {}
    for test in TESTS:
        for metric in ALLOCATED:
            observed = _observations(results, test, metric)
            if len({(o.molecules, o.conformers) for o in observed}) < 3:
                continue
            arguments = (budget, costs.molecule, costs.conformer)
            try:
                allocation = recommend(observed, *arguments)
                other_half = check_on_other_half(observed, *arguments)
            except ValueError as error:  # the budget buys nothing that the arms had
                print(f"no allocation for {TESTS[test]}: {error}")
                continue
            found.setdefault(test, {})[metric] = {
                "budget": budget,
                **vars(allocation),
                "other_half": other_half,
            }
    return found


def _coverage(results: Results) -> dict[str, dict[str, float | None]]:
    """Mean coverage of energy errors on each test, by the pooled and by the group's factor."""
    found: dict[str, dict[str, float | None]] = {}
    for test in TESTS:
        known = [r["coverage"][test] for r in results if r["coverage"].get(test)]
        found[test] = {
            kind: float(np.mean([c[kind] for c in known])) if known else None
            for kind in ("pooled", "group")
        }
    return found


# --- sentences ---------------------------------------------------------------------------


def _about_budget(results: Results, labels: int) -> list[str]:
    """Which arms are best on each test, and which are not worse beyond their intervals."""
    sentences = []
    for test, meaning in TESTS.items():
        by_arm = _by_arm(results, test, "forces")
        if len(by_arm) < 2:
            continue
        stated = {arm: mean_and_interval(x) for arm, x in by_arm.items()}
        best = min(stated, key=lambda arm: stated[arm][0])
        worst = max(stated, key=lambda arm: stated[arm][0])
        limit = stated[best][0] + _or_zero(stated[best][1])
        like = [_sizes(a) for a, (m, i) in stated.items() if a != best and m - _or_zero(i) <= limit]
        sentences.append(
            f"Fixed budget of {labels} labels, {meaning}: forces are best with {_sizes(best)} "
            f"({_stated(stated[best])} meV/Å) and worst with {_sizes(worst)} "
            f"({_stated(stated[worst])}); "
            + (f"intervals overlap for {', '.join(like)}." if like else "no interval overlaps.")
        )
    return sentences


def _about_balance(results: Results) -> str:
    """Known molecules and new ones together: the geometric mean of both errors."""
    arms = sorted({(r["molecules"], r["conformers"]) for r in results})
    joint: dict[tuple[int, int], dict[int, float]] = {arm: {} for arm in arms}
    for r in results:
        both = [r["scores"][test]["forces"] for test in ("core", "unseen")]
        if None not in both:
            arm = (r["molecules"], r["conformers"])
            joint[arm][r["repetition"]] = 0.5 * sum(map(math.log, both))
    joint = {arm: of_arm for arm, of_arm in joint.items() if of_arm}
    if len(joint) < 3:
        return "Too few arms to say whether joint generalisation needs a balance."
    best = min(joint, key=lambda arm: float(np.mean(list(joint[arm].values()))))
    excess = {arm: _excess(joint[arm], joint[best]) for arm in joint if arm != best}
    like = [_sizes(arm) for arm, (_, low, _) in excess.items() if low <= 0.0]
    edges = [arm for arm in (min(joint), max(joint)) if arm != best]
    words = "; ".join(
        f"{_sizes(arm)} is {mean:+.0%} ({low:+.0%} to {high:+.0%})"
        for arm, (mean, low, high) in ((arm, excess[arm]) for arm in edges)
    )
    balanced = len(edges) == 2 and all(excess[arm][1] > 0.0 for arm in edges)
    return (
        "Joint generalisation (geometric mean of the force errors for new geometries of known "
        f"molecules and for unseen molecules): best with {_sizes(best)}; against it {words}; "
        + (f"not told apart from it: {', '.join(like)}; " if like else "")
        + "so "
        + ("a balance is needed, as" if balanced else "a balance that beats both ends, as")
        + " the 2023 study found"
        + ("." if balanced else ", is not shown here.")
    )


def _excess(logs: Mapping[int, float], best: Mapping[int, float]) -> tuple[float, float, float]:
    """How much larger an error is, as a fraction: mean and interval of pairs of a repetition."""
    shared = sorted(set(logs) & set(best))
    mean, half = mean_and_interval([logs[k] - best[k] for k in shared])
    low, high = mean - _or_zero(half), mean + _or_zero(half)
    return math.expm1(mean), math.expm1(low), math.expm1(high)


def _about_conformers(results: Results, molecules: int) -> list[str]:
    """From the fewest to the most geometries of the same molecules."""
    sentences = []
    fewest = min((r["conformers"] for r in results), default=0)
    most = max((r["conformers"] for r in results), default=0)
    for test, meaning in TESTS.items():
        pairs: dict[int, dict[int, float]] = {}
        for r in results:
            if r["scores"].get(test) and r["scores"][test]["forces"]:
                of_repetition = pairs.setdefault(r["repetition"], {})
                of_repetition[r["conformers"]] = r["scores"][test]["forces"]
        logs = [math.log(p[most] / p[fewest]) for p in pairs.values() if {fewest, most} <= set(p)]
        if not logs or fewest == most:
            continue
        mean, half = mean_and_interval(logs)
        low, high = math.expm1(mean - _or_zero(half)), math.expm1(mean + _or_zero(half))
        sentences.append(
            f"The same {molecules} molecules, {fewest} to {most} geometries each, {meaning}: "
            f"force errors change by {math.expm1(mean):+.0%} ({low:+.0%} to {high:+.0%})."
        )
    return sentences


def _about_allocations(allocations: Mapping[str, Any]) -> list[str]:
    sentences = []
    for test, of_test in allocations.items():
        a = of_test.get("forces")
        if a is None:
            continue
        interval = f"{a['low']:.1f} to {a['high']:.1f}"
        if a["preference"]:
            advice = (
                f"{a['molecules']:.0f} molecules with {a['conformers']:.1f} geometries each "
                f"({interval})"
            )
        else:
            advice = f"no preference (curve within {a['gain']:.0%}; {interval} geometries each)"
        half = a["other_half"]
        checked = ""
        if half is not None:
            verb = "holds" if half["held"] else "does not hold"
            checked = (
                f"; the interval of half of the repetitions ({half['low']:.1f} to "
                f"{half['high']:.1f}) {verb} the best arm of the other half ({half['best']})"
            )
        sentences.append(
            f"Allocation for {TESTS[test]}, budget {a['budget']:g}: {advice}{checked}."
        )
    return sentences


def _by_arm(results: Results, test: str, metric: str) -> dict[tuple[int, int], list[float]]:
    arms = sorted({(r["molecules"], r["conformers"]) for r in results})
    values = {
        arm: _values([r for r in results if (r["molecules"], r["conformers"]) == arm], test, metric)
        for arm in arms
    }
    return {arm: x for arm, x in values.items() if x}


def _sizes(arm: tuple[int, int]) -> str:
    return f"{arm[0]}×{arm[1]}"


def _stated(pair: tuple[float, float]) -> str:
    mean, half = pair
    return f"{mean:.1f}" if math.isnan(half) else f"{mean:.1f} ± {half:.1f}"


def _or_zero(x: float) -> float:
    return 0.0 if math.isnan(x) else x
