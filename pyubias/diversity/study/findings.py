"""What the arms of a study say: means, intervals over repetitions, allocations, sentences."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from pyubias.diversity.measure.variance import VarianceSplit
from pyubias.diversity.study.allocation import (
    Observation,
    check_on_other_half,
    recommend,
    two_stage_conformers,
)
from pyubias.diversity.study.config import StudyConfig
from pyubias.diversity.study.intervals import Interval, geometric, interval, ratio
from pyubias.diversity.study.plan import TESTS
from pyubias.diversity.study.scores import METRICS
from pyubias.training.conformal import attainable_coverage, shortfall

__all__ = ["draw_findings"]

Results = Sequence[Mapping[str, Any]]

COSTS = (1.0, 10.0, 100.0)  # of a molecule, in geometries

ALLOCATED = ("forces", "relative_energy", "absolute_energy")  # errors, which a curve can describe


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
    costs, parts = config.costs, (variance.between, variance.within)
    # a molecule's cost in units of a geometry's: the one that is set, and others to compare with
    ratios = sorted({costs.molecule / costs.conformer, *COSTS})
    formula = {f"{x:g}": _finite(two_stage_conformers(*parts, x, 1.0)) for x in ratios}
    return {
        "tables": tables,
        "allocations": allocations,
        "two_stage_conformers": formula,
        "variance": vars(variance),
        "coverage": _coverage(results),
        "calibration": _calibration(results, config.uncertainty.alpha),
        "sentences": [
            *_about_budget(traded, budget.labels),
            _about_balance(traded),
            *_about_conformers(deepened, fixed.molecules),
            *_about_allocations(allocations),
            _about_formula(formula),
            *_about_repetitions(traded),
            *_about_unequal(results, config),
        ],
    }


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None


def _values(results: Results, test: str, metric: str) -> dict[int, float]:
    """By repetition."""
    found = {r["repetition"]: r["scores"][test][metric] for r in results if r["scores"].get(test)}
    return {k: x for k, x in found.items() if x is not None}


def _mean(values: Mapping[int, float], metric: str) -> Interval:
    positive = metric in ALLOCATED and all(x > 0.0 for x in values.values())
    return (geometric if positive else interval)(list(values.values()))


def _table(results: Results, along: str) -> dict[str, Any]:
    """For each test and metric: mean, low and high of each arm, by `along`."""
    sizes = sorted({r[along] for r in results})
    table: dict[str, Any] = {along: sizes}
    for test in TESTS:
        table[test] = {}
        for metric in METRICS:
            columns = [_values([r for r in results if r[along] == n], test, metric) for n in sizes]
            if all(columns):
                table[test][metric] = [list(_mean(c, metric)) for c in columns]
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


def _calibration(results: Results, alpha: float) -> dict[str, dict[str, Any]]:
    """Of each conformal factor: frames of the arm that has fewest, what they promise, and the
    least, median and largest factor of the arms; None where no arm has one."""
    found: dict[str, dict[str, Any]] = {}
    for group in ("seen", "unseen", "pooled"):
        n = min((r["calibrated"][group] for r in results), default=0)
        factors = [r["factors"][group] for r in results if r["factors"][group] is not None]
        found[group] = {
            "n": n,
            "attainable": attainable_coverage(n, alpha),
            "factors": np.percentile(factors, [0, 50, 100]).tolist() if factors else None,
            "shortfall": shortfall("all" if group == "pooled" else group, n, alpha),
        }
    return found


def _about_budget(results: Results, labels: int) -> list[str]:
    """Which arms are best on each test, and which repetitions do not tell from them."""
    sentences = []
    for test, meaning in TESTS.items():
        by_arm = _by_arm(results, test, "forces")
        if len(by_arm) < 2:
            continue
        stated = {arm: _mean(x, "forces") for arm, x in by_arm.items()}
        best = min(stated, key=lambda arm: stated[arm].mean)
        worst = max(stated, key=lambda arm: stated[arm].mean)
        excess = {arm: _ratio(x, by_arm[best]) for arm, x in by_arm.items() if arm != best}
        like = [_sizes(arm) for arm, x in excess.items() if not _is_worse(x)]
        sentences.append(
            f"Fixed budget of {labels} labels, {meaning}: forces are best with {_sizes(best)}, "
            f"{stated[best].state()} meV/Å, and worst with {_sizes(worst)}, "
            f"{stated[worst].state()}; {_not_told_apart(like)}."
        )
    return sentences


def _about_balance(results: Results) -> str:
    """Known molecules and new ones together: the geometric mean of both errors."""
    known, new = _by_arm(results, "core", "forces"), _by_arm(results, "unseen", "forces")
    joint = {
        arm: {k: math.sqrt(known[arm][k] * new[arm][k]) for k in set(known[arm]) & set(new[arm])}
        for arm in sorted(set(known) & set(new))
        if set(known[arm]) & set(new[arm])
    }
    if len(joint) < 3:
        return "Too few arms to say whether joint generalisation needs a balance."
    best = min(joint, key=lambda arm: _mean(joint[arm], "forces").mean)
    excess = {arm: _ratio(joint[arm], joint[best]) for arm in joint if arm != best}
    edges = [arm for arm in (min(joint), max(joint)) if arm != best]
    words = "; ".join(f"{_sizes(arm)} is {_change(excess[arm])}" for arm in edges)
    like = [_sizes(arm) for arm, x in excess.items() if not _is_worse(x)]
    balanced = len(edges) == 2 and all(_is_worse(excess[arm]) for arm in edges)
    return (
        "Joint generalisation (geometric mean of the force errors for new geometries of known "
        f"molecules and for unseen molecules): best with {_sizes(best)}; against it {words}; "
        f"{_not_told_apart(like)}; so "
        + ("a balance is needed, as" if balanced else "a balance that beats both ends, as")
        + " the 2023 study found"
        + ("." if balanced else ", is not shown here.")
    )


def _about_conformers(results: Results, molecules: int) -> list[str]:
    """From the fewest to the most geometries of the same molecules."""
    sentences = []
    for test, meaning in TESTS.items():
        by_arm = _by_arm(results, test, "forces")
        if len(by_arm) < 2:
            continue
        few, many = min(by_arm), max(by_arm)
        sentences.append(
            f"The same {molecules} molecules, {few[1]} to {many[1]} geometries each, {meaning}: "
            f"force errors change by {_change(_ratio(by_arm[many], by_arm[few]))}."
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
        checked = f"; {_check(a['other_half'])}" if a["preference"] and a["other_half"] else ""
        sentences.append(
            f"Allocation for {TESTS[test]}, budget {a['budget']:g}: {advice}{checked}."
        )
    everything = [a for of_test in allocations.values() for a in of_test.values()]
    preferred = [a["other_half"] for a in everything if a["preference"] and a["other_half"]]
    told = [half for half in preferred if half["preference"]]
    if preferred:
        sentences.append(
            f"Of {len(everything)} allocations (tests and errors) {len(preferred)} have a "
            f"preference; half of the repetitions has one too in {len(told)}, and its interval "
            f"holds the best of the other half in {sum(half['held'] for half in told)} of these"
            f"{_price(told)}."
        )
    return sentences


def _price(halves: Sequence[Mapping[str, Any]]) -> str:
    """What the advice of one half costs in the other half."""
    known = [half["excess"] for half in halves if half["excess"] is not None]
    if not known:
        return ""
    return (
        f"; the arm nearest to its advice errs {np.mean(known):.0%} more there than the best arm "
        f"in the mean, {max(known):.0%} at most"
    )


def _check(half: Mapping[str, Any]) -> str:
    """What half of the repetitions says of the other half."""
    if not half["preference"]:
        return "half of the repetitions has no preference"
    verb = "holds" if half["held"] else "does not hold"
    best = (
        "what the other half recommends" if half["by_curve"] else "the best arm of the other half"
    )
    return (
        f"the interval of half of the repetitions ({half['low']:.1f} to {half['high']:.1f}) "
        f"{verb} {best} ({half['best']:.3g})"
    )


def _about_formula(formula: Mapping[str, float | None]) -> str:
    """Geometries of each molecule by variances alone, for several costs of a molecule."""
    said = ["as many as there are" if k is None else f"{k:.1f}" for k in formula.values()]
    return (
        f"Two-stage sampling formula, which knows variances only: {', '.join(said)} geometries of "
        f"each molecule where a molecule costs as much as {', '.join(formula)} geometries."
    )


def _about_repetitions(results: Results) -> list[str]:
    """Molecules that an arm has in two repetitions, mean over their pairs."""
    shared = {}
    for arm in sorted({(r["molecules"], r["conformers"]) for r in results}):
        taken = [
            {molecule for molecule, _ in r["taken"]}
            for r in results
            if (r["molecules"], r["conformers"]) == arm
        ]
        overlaps = [len(a & b) / arm[0] for a, b in combinations(taken, 2)]
        if overlaps:
            shared[arm] = float(np.mean(overlaps))
    words = ", ".join(f"{_sizes(arm)} {x:.0%}" for arm, x in shared.items())
    return [f"Molecules that two repetitions of an arm share, mean: {words}."] if shared else []


def _about_unequal(results: Results, config: StudyConfig) -> list[str]:
    """Arms that are not what their names say."""
    short = sum(r["labels"] < r["molecules"] * r["conformers"] for r in results)
    arms = len(config.arms.grid) * config.seeds
    parts = [f"{short} with fewer labels than planned"] if short else []
    parts += [f"{arms - len(results)} that could not be trained"] if len(results) < arms else []
    return [f"Arms of all repetitions: {arms}, of which {' and '.join(parts)}."] if parts else []


def _by_arm(results: Results, test: str, metric: str) -> dict[tuple[int, int], dict[int, float]]:
    """Values by repetition of each arm that has any."""
    arms = sorted({(r["molecules"], r["conformers"]) for r in results})
    values = {
        arm: _values([r for r in results if (r["molecules"], r["conformers"]) == arm], test, metric)
        for arm in arms
    }
    return {arm: x for arm, x in values.items() if x}


def _ratio(values: Mapping[int, float], others: Mapping[int, float]) -> Interval:
    """As `ratio`; nan without a repetition that both have."""
    return ratio(values, others) if set(values) & set(others) else Interval(math.nan, None, None)


def _is_worse(excess: Interval) -> bool:
    """Whether a ratio of errors is above one; without an interval, by its mean."""
    return (excess.mean if excess.low is None else excess.low) > 1.0


def _not_told_apart(like: Sequence[str]) -> str:
    return f"not told apart from the best: {', '.join(like)}" if like else "all others are worse"


def _change(excess: Interval) -> str:
    """A ratio as a change in per cent."""
    if math.isnan(excess.mean):
        return "not known (no repetition in common)"
    if excess.low is None or excess.high is None:
        return f"{excess.mean - 1.0:+.0%}"
    return f"{excess.mean - 1.0:+.0%} ({excess.low - 1.0:+.0%} to {excess.high - 1.0:+.0%})"


def _sizes(arm: tuple[int, int]) -> str:
    return f"{arm[0]}×{arm[1]}"
