"""What is said of the arms follows from their numbers."""

import math
from pathlib import Path

import pytest

from pyubias.diversity.measure.variance import VarianceSplit
from pyubias.diversity.study import findings as findings_module
from pyubias.diversity.study.config import (
    ArmsConfig,
    FixedBudget,
    FixedMolecules,
    PoolConfig,
    StudyConfig,
)
from pyubias.diversity.study.findings import draw_findings
from pyubias.diversity.study.intervals import geometric, interval, ratio
from pyubias.diversity.study.plan import TESTS, arms_of

ARMS = ArmsConfig(
    fixed_budget=FixedBudget(labels=16, molecules=[1, 2, 4, 8, 16]),
    fixed_molecules=FixedMolecules(molecules=4, conformers=[1, 2, 8]),
)
VARIANCE = VarianceSplit(5.0, 1.0, 4.0)


def found(tmp_path: Path, known, unseen, change=lambda results: results) -> dict:
    """Findings of errors that are given as functions of molecules and conformers."""
    path = tmp_path / "molecules.smi"
    path.touch()
    config = StudyConfig(name="s", seeds=4, pool=PoolConfig(molecules=path), arms=ARMS)
    results = []
    for arm in arms_of(ARMS):
        for r in range(4):
            noise = 1.0 + 0.01 * math.sin(7.0 * r + arm.molecules)
            scores = {}
            for test in TESTS:
                law = known if test in ("own", "core", "hot", "scan") else unseen
                error = noise * law(arm.molecules, arm.conformers)
                scores[test] = {
                    "forces": error,
                    "relative_energy": error,
                    "absolute_energy": error,
                    "rank": 0.5,
                }
            coverage = {test: {"pooled": 0.9, "group": 0.95} for test in TESTS}
            results.append(
                {
                    "molecules": arm.molecules,
                    "conformers": arm.conformers,
                    "repetition": r,
                    "labels": arm.molecules * arm.conformers,
                    "taken": [[k + 4 * r, arm.conformers] for k in range(arm.molecules)],
                    "factors": {"seen": 1.0 + r, "unseen": 3.0, "pooled": 2.0},
                    "calibrated": {"seen": 18 + r, "unseen": 64, "pooled": 82 + r},
                    "scores": scores,
                    "coverage": coverage,
                }
            )
    return draw_findings(change(results), VARIANCE, config)


def sentence(findings: dict, words: str) -> str:
    return next(s for s in findings["sentences"] if words in s)


def test_a_balance_is_stated_where_both_ends_are_worse(tmp_path: Path) -> None:
    findings = found(tmp_path, lambda m, k: 100 / k**0.8, lambda m, k: 100 / m**0.2 + 300 / m**2)
    said = sentence(findings, "Joint generalisation")
    assert said.endswith("so a balance is needed, as the 2023 study found.")
    assert "16×1 is +" in said
    assert "1×16 is +" in said


def test_no_balance_is_stated_where_molecules_alone_are_best(tmp_path: Path) -> None:
    findings = found(tmp_path, lambda m, k: 100.0, lambda m, k: 100 / m)
    said = sentence(findings, "Joint generalisation")
    assert "best with 16×1" in said
    assert said.endswith("is not shown here.")


def test_best_worst_and_change_are_those_of_the_numbers(tmp_path: Path) -> None:
    findings = found(tmp_path, lambda m, k: 100 / k**0.5, lambda m, k: 100 / m**0.5)
    unseen = sentence(findings, "Fixed budget of 16 labels, molecules that no arm has")
    assert "best with 16×1, 25." in unseen or "best with 16×1, 24." in unseen
    assert "worst with 1×16" in unseen
    change = sentence(findings, "1 to 8 geometries each, new geometries of the arm's molecules")
    assert "change by -65%" in change
    assert findings["allocations"]["unseen"]["forces"]["conformers"] == pytest.approx(1.0)
    assert findings["allocations"]["core"]["forces"]["conformers"] == pytest.approx(16.0)
    # halves are said to agree only where there is something to agree on
    assert "(1.0 to 1.0) holds the best arm of the other half (1)" in sentence(
        findings, "Allocation for molecules that no arm has"
    )
    assert sentence(findings, "allocations (tests and errors)").startswith("Of 21 allocations")
    # sqrt(cost of a molecule × 4 / 1)
    assert findings["two_stage_conformers"] == pytest.approx(
        {"0": 1.0, "1": 2.0, "10": 40.0**0.5, "100": 20.0}
    )
    assert "1.0, 2.0, 6.3, 20.0 geometries of each molecule where" in sentence(findings, "Two-sta")
    assert findings["coverage"]["core"] == pytest.approx({"pooled": 0.9, "group": 0.95})


def test_without_a_preference_halves_are_not_said_to_agree() -> None:
    half = {"low": 1.0, "high": 16.0, "best": 4, "by_curve": False, "held": True, "excess": 0.1}
    curve = {"budget": 16.0, "molecules": 4.0, "conformers": 4.0, "low": 2.0, "high": 5.0}
    curve |= {"gain": 0.5}

    def said(whole: bool, of_half: bool) -> list[str]:
        a = curve | {"preference": whole, "other_half": half | {"preference": of_half}}
        return findings_module._about_allocations({"core": {"forces": a}})

    (alone,) = said(False, True)
    assert alone.endswith("no preference (curve within 50%; 2.0 to 5.0 geometries each).")
    of_core, counted = said(True, False)
    assert of_core.endswith("(2.0 to 5.0); half of the repetitions has no preference.")
    assert "1 have a preference; half of the repetitions has one too in 0" in counted
    of_core, counted = said(True, True)
    assert of_core.endswith("(1.0 to 16.0) holds the best arm of the other half (4).")
    assert "holds the best of the other half in 1 of these; the arm nearest" in counted
    assert counted.endswith("errs 10% more there than the best arm in the mean, 10% at most.")


def test_arms_are_told_apart_by_ratios_in_the_same_repetition(tmp_path: Path) -> None:
    findings = found(tmp_path, lambda m, k: 100.0 if m < 4 else 90.0, lambda m, k: 100 / m)
    known = sentence(findings, "Fixed budget of 16 labels, new geometries of the arm's molecules")
    assert "1×16, 2×8" not in known.split(";")[1]
    assert "4×4" in known.split(";")[1] or "best with 4×4" in known
    assert sentence(findings, "molecules that no arm has").endswith("all others are worse.")


def test_calibration_groups_that_are_too_small_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings_module, "_allocations", lambda results, config: {})
    calibration = found(tmp_path, lambda m, k: 100.0, lambda m, k: 100.0)["calibration"]
    # n of the arm that has fewest; n/(n + 1) at most
    assert calibration["seen"]["n"] == 18
    assert calibration["seen"]["attainable"] == pytest.approx(18 / 19)
    assert calibration["seen"]["factors"] == pytest.approx([1.0, 2.5, 4.0])
    assert calibration["seen"]["shortfall"].endswith("of 0.947 at most, wanted 0.950: it takes 19")
    assert calibration["unseen"]["attainable"] >= 0.95
    assert calibration["unseen"]["shortfall"] is None


def test_what_repetitions_share_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings_module, "_allocations", lambda results, config: {})
    findings = found(tmp_path, lambda m, k: 100.0, lambda m, k: 100.0)
    # 8 molecules from 4 r on: 4 in neighbouring repetitions, 3 of 6 pairs; of 16: 12, 8 and 4
    assert sentence(findings, "two repetitions of an arm share").endswith(
        "1×16 0%, 2×8 0%, 4×4 0%, 8×2 25%, 16×1 58%."
    )


def test_arms_that_are_not_as_planned_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings_module, "_allocations", lambda results, config: {})

    def change(results: list[dict]) -> list[dict]:
        """The first arm is never trained, the second one only in the last repetition, the third
        one not in it; one has half of its labels."""
        kept = [r for r in results if (r["molecules"], r["repetition"]) not in LEFT_OUT]
        kept[-1]["labels"] //= 2
        return kept

    LEFT_OUT = {*((1, r) for r in range(4)), *((2, r) for r in range(3)), (16, 3)}
    findings = found(tmp_path, lambda m, k: 100.0, lambda m, k: 100 / m, change)
    said = sentence(findings, "Arms of all repetitions: 32, of which ")
    assert said.endswith("1 with fewer labels than planned and 8 that could not be trained.")
    assert "2×8 is not known (no repetition in common)" in sentence(findings, "Joint")
    everything = found(tmp_path, lambda m, k: 100.0, lambda m, k: 100 / m)
    assert not any("Arms of all repetitions" in s for s in everything["sentences"])


def test_intervals_are_those_of_students_t() -> None:
    # t(0.975, 2) = 4.3027
    half = 4.3027 / math.sqrt(3.0)
    assert interval([1.0, 2.0, 3.0]) == pytest.approx((2.0, 2.0 - half, 2.0 + half), rel=1e-4)
    assert interval([1.0]) == (1.0, None, None)
    logs = geometric([math.exp(1.0), math.exp(2.0), math.exp(3.0)])
    assert [math.log(x) for x in logs] == pytest.approx([2.0, 2.0 - half, 2.0 + half], rel=1e-4)
    assert interval([1.0, 2.0, 3.0]).state() == "2.0 (-0.5 to 4.5)"


def test_ratios_are_those_of_pairs() -> None:
    values, others = {0: 2.0, 1: 20.0, 2: 7.0}, {0: 1.0, 1: 10.0, 5: 1.0}
    assert ratio(values, others) == pytest.approx((2.0, 2.0, 2.0))
