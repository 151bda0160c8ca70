"""Ratios of costs, paired by seed, and what they say about a bias."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from made_up import benchmark, result
from scipy import stats

from pyubias.benchmark.comparison import Comparison
from pyubias.config.benchmark import Benchmark

LABELS = (8, 16, 32, 64)
# of the force error, per number of labels; the baseline ends with 0.1 at 64
BASELINE = (0.8, 0.4, 0.2, 0.1)


@pytest.fixture
def campaigns(tmp_path: Path) -> Benchmark:
    return benchmark(tmp_path, seeds=[1, 2, 3])


def compared(
    campaigns: Benchmark,
    biased: Mapping[int, Sequence[float]],
    unbiased: Mapping[int, Sequence[float]] | None = None,
) -> Comparison:
    """Curves of the seeds of both arms; those of the baseline are `BASELINE` unless given."""
    curves = {"biased": biased, "unbiased": unbiased or dict.fromkeys((1, 2, 3), BASELINE)}
    results = [
        result(c, curves[c.arm][c.seed], LABELS, [100 * (n - 8) for n in LABELS])
        for c in campaigns.campaigns
        if c.seed in curves[c.arm]
    ]
    return Comparison(results, "unbiased")


def test_the_ratio_is_that_of_labels_at_the_last_error_of_the_baseline(
    campaigns: Benchmark,
) -> None:
    twice_as_good = (0.4, 0.2, 0.1, 0.05)
    ratio = compared(campaigns, dict.fromkeys((1, 2, 3), twice_as_good)).ratio(
        "biased", "labels", "forces_rmse"
    )
    assert ratio.text == "0.50 [0.50, 0.50]"
    assert ratio.verdict == "less"


def test_the_interval_is_that_of_a_t_test_of_logarithms(campaigns: Benchmark) -> None:
    curves = {1: (0.4, 0.2, 0.1, 0.05), 2: (0.8, 0.1, 0.1, 0.1), 3: BASELINE}
    ratio = compared(campaigns, curves).ratio("biased", "labels", "forces_rmse")
    logs = np.log([0.5, 0.25, 1.0])
    low, high = stats.ttest_1samp(logs, 0.0).confidence_interval(0.95)
    assert ratio.mean.mean == pytest.approx(0.5)
    assert (ratio.mean.low, ratio.mean.high) == pytest.approx((np.exp(low), np.exp(high)))
    assert ratio.verdict == "undecided"


def test_ratios_of_steps_and_of_labels_differ(campaigns: Benchmark) -> None:
    system = compared(campaigns, dict.fromkeys((1, 2, 3), (0.4, 0.2, 0.1, 0.05)))
    steps = system.ratio("biased", "steps", "forces_rmse")
    assert steps.mean.mean == pytest.approx(24 / 56)


def test_seeds_are_paired(campaigns: Benchmark) -> None:
    """Errors of seeds that differ tenfold do not widen the interval of their ratio."""
    scales = {1: 1.0, 2: 10.0, 3: 0.1}
    biased = {s: tuple(scale * x / 2 for x in BASELINE) for s, scale in scales.items()}
    unbiased = {s: tuple(scale * x for x in BASELINE) for s, scale in scales.items()}
    ratio = compared(campaigns, biased, unbiased).ratio("biased", "labels", "forces_rmse")
    assert ratio.text == "0.50 [0.50, 0.50]"


def test_seeds_of_one_arm_only_are_no_pair(campaigns: Benchmark) -> None:
    system = compared(campaigns, {1: (0.4, 0.2, 0.1, 0.05)})
    ratio = system.ratio("biased", "labels", "forces_rmse")
    assert ratio.text == "0.50"
    assert ratio.verdict == "undecided"  # one seed has no interval


WORSE = (0.9, 0.8, 0.4, 0.2)
BETTER = (0.4, 0.2, 0.1, 0.05)


@pytest.mark.parametrize(
    ("curves", "text", "verdict"),
    [
        # the baseline has the last error of the arm, 0.2, with half of its labels
        ((WORSE, WORSE, WORSE), "2.00 [2.00, 2.00]", "more"),
        ((BETTER, BETTER, BETTER), "0.50 [0.50, 0.50]", "less"),
        ((BASELINE, BASELINE, BASELINE), "1.00 [1.00, 1.00]", "undecided"),
    ],
)
def test_costs_are_compared_at_an_error_that_both_arms_reach(
    campaigns: Benchmark, curves: Sequence[Sequence[float]], text: str, verdict: str
) -> None:
    system = compared(campaigns, dict(zip((1, 2, 3), curves, strict=True)))
    ratio = system.ratio("biased", "labels", "forces_rmse")
    assert (ratio.text, ratio.verdict) == (text, verdict)


@pytest.mark.parametrize("cost", ["labels", "steps"])
def test_an_error_that_a_first_model_has_costs_nothing(campaigns: Benchmark, cost: str) -> None:
    """The baseline never gets better than its first model, whose labels all arms have."""
    worse = dict.fromkeys((1, 2, 3), (0.8, 0.9, 1.0, 1.1))
    system = compared(campaigns, dict.fromkeys((1, 2, 3), BASELINE), worse)
    ratio = system.ratio("biased", cost, "forces_rmse")
    assert (ratio.text, ratio.verdict) == ("–", "undecided")
    errors = system.error_ratio("biased", lambda r: r.at("labels", 64, "forces_rmse"))
    assert (errors.text, errors.verdict) == ("0.09 [0.09, 0.09]", "less")


def test_an_error_without_labels_has_no_ratio(campaigns: Benchmark) -> None:
    system = compared(campaigns, dict.fromkeys((1, 2, 3), BETTER))
    assert system.ratio("biased", "labels", "stress_rmse") is None


def test_arms_are_compared_at_what_all_reached(campaigns: Benchmark) -> None:
    biased, unbiased = campaigns.campaigns[:2]
    short = result(biased, (0.8, 0.4), (8, 16), (0, 70))
    system = Comparison([short, result(unbiased, BASELINE, LABELS, (0, 10, 20, 30))], "unbiased")
    assert (system.labels, system.steps) == (16, 30)
    # the baseline ends at 16 labels as well
    assert system.ratio("biased", "labels", "forces_rmse").text == "1.00"
