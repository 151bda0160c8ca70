"""Comparisons of arms by the ratios of their errors in the same repetition."""

from pathlib import Path

import pytest
from study_results import Law, Results, results_of, study_of

from pyubias.diversity.study.comparisons import Comparisons, compare, compare_halves
from pyubias.diversity.study.plan import Arm


def compared(folder: Path, results: Results) -> Comparisons:
    return compare(results, {}, study_of(folder))


@pytest.mark.parametrize(
    ("known", "unseen", "best", "needed"),
    [
        # few molecules are worse for the unseen, few geometries for the known
        (lambda m, k: 100 / k**0.8, lambda m, k: 100 / m**0.2 + 300 / m**2, Arm(2, 8), True),
        (lambda m, k: 100.0, lambda m, k: 100 / m, Arm(16, 1), False),
    ],
)
def test_a_balance_is_needed_where_both_ends_are_worse(
    tmp_path: Path, known: Law, unseen: Law, best: Arm, needed: bool
) -> None:
    balance = compared(tmp_path, results_of(known, unseen)).balance
    assert balance.best == best
    assert balance.needed == needed
    assert [arm for arm, _ in balance.ends] == [a for a in (Arm(1, 16), Arm(16, 1)) if a != best]


def test_arms_that_differ_by_noise_are_like_the_best(tmp_path: Path) -> None:
    """Errors of known molecules do not depend on the arm up to 2 molecules, nor from 4 on."""
    results = results_of(lambda m, k: 100.0 if m < 4 else 90.0, lambda m, k: 100 / m)
    found = {b.test: b for b in compared(tmp_path, results).best_arms}
    assert found["own"].best.molecules >= 4
    assert not {Arm(1, 16), Arm(2, 8)} & set(found["own"].like)
    assert found["unseen"].best == Arm(16, 1)
    assert found["unseen"].like == []


def test_the_change_with_geometries_is_a_ratio_of_errors(tmp_path: Path) -> None:
    results = results_of(lambda m, k: 100 / k**0.5, lambda m, k: 100.0)
    change = next(c for c in compared(tmp_path, results).changes if c.test == "core")
    assert (change.few, change.many) == (Arm(4, 1), Arm(4, 8))
    # the noise is that of the same molecules and repetition
    assert change.ratio.mean == pytest.approx(8**-0.5)


def test_repetitions_share_molecules(tmp_path: Path) -> None:
    shared = compared(tmp_path, results_of(lambda m, k: 1.0, lambda m, k: 1.0)).shared
    # 8 molecules from 4 r on: 4 in neighboring repetitions, 3 of 6 pairs; of 16: 12, 8 and 4
    assert {str(arm): x for arm, x in shared.items()} == pytest.approx(
        {"1×16": 0.0, "2×8": 0.0, "4×4": 0.0, "8×2": 0.25, "16×1": (3 * 12 + 2 * 8 + 4) / 96}
    )


def test_only_halves_with_a_preference_are_compared() -> None:
    half = {"low": 1.0, "high": 16.0, "best": 4, "by_curve": False, "held": True, "excess": 0.1}

    def halves(whole: bool, of_half: bool):
        allocation = {"preference": whole, "other_half": half | {"preference": of_half}}
        return compare_halves({"core": {"forces": allocation}})

    assert halves(False, True) is None
    without, with_both = halves(True, False), halves(True, True)
    assert (without.allocations, without.preferred, without.agreed) == (1, 1, 0)
    assert without.mean_excess is None
    assert (with_both.agreed, with_both.held) == (1, 1)
    assert (with_both.mean_excess, with_both.max_excess) == pytest.approx((0.1, 0.1))
