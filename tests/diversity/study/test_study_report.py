"""The sentences of a study."""

from dataclasses import replace
from pathlib import Path

import pytest
from study_results import Results, findings_of, results_of, sentence, study_of

from pyubias.diversity.study import findings as findings_module
from pyubias.diversity.study.comparisons import Comparisons, compare_halves
from pyubias.diversity.study.report import sentences_of


@pytest.fixture
def without_allocations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Findings without allocations, whose bootstrap takes seconds."""
    monkeypatch.setattr(findings_module, "_allocations", lambda results, config: {})


@pytest.mark.usefixtures("without_allocations")
def test_a_balance_is_stated_where_both_ends_are_worse(tmp_path: Path) -> None:
    results = results_of(lambda m, k: 100 / k**0.8, lambda m, k: 100 / m**0.2 + 300 / m**2)
    stated = sentence(findings_of(results, tmp_path), "Joint generalisation")
    assert stated.endswith("so a balance is needed, as the 2023 study found.")
    assert "; against it 1×16 is +" in stated
    assert "); 16×1 is +" in stated


@pytest.mark.usefixtures("without_allocations")
def test_no_balance_is_stated_where_molecules_alone_are_best(tmp_path: Path) -> None:
    results = results_of(lambda m, k: 100.0, lambda m, k: 100 / m)
    findings = findings_of(results, tmp_path)
    stated = sentence(findings, "Joint generalisation")
    assert "for unseen molecules): best with 16×1; against it 1×16 is +" in stated
    assert stated.endswith("is not shown here.")
    assert sentence(findings, "molecules that no arm has").endswith("; all others are worse.")


@pytest.mark.slow
def test_sentences_contain_the_numbers(tmp_path: Path) -> None:
    results = results_of(lambda m, k: 100 / k**0.5, lambda m, k: 100 / m**0.5)
    findings = findings_of(results, tmp_path)
    unseen = sentence(findings, "Fixed budget of 16 labels, molecules that no arm has")
    assert "best with 16×1, 25." in unseen or "best with 16×1, 24." in unseen
    assert "worst with 1×16" in unseen
    change = sentence(findings, "1 to 8 geometries each, new geometries of the arm's molecules")
    assert "change by -65% (" in change
    assert change.endswith("%).")
    assert "(1.0 to 1.0) holds the best arm of the other half (1)." in sentence(
        findings, "Allocation for molecules that no arm has, budget 16: 16 molecules with 1.0 "
    )
    assert sentence(findings, "allocations (tests and errors)").startswith("Of 21 allocations")
    assert sentence(findings, "Two-stage sampling formula").endswith(
        "only: 1.0, 2.0, 6.3, 20.0 geometries of each molecule where a molecule costs as much as "
        "0, 1, 10, 100 geometries."
    )
    assert not any("Arms of all repetitions" in s for s in findings["sentences"])
    assert not any("  " in s or " ." in s or " ;" in s for s in findings["sentences"])


def test_halves_agree_only_where_both_have_a_preference(tmp_path: Path) -> None:
    half = {"low": 1.0, "high": 16.0, "best": 4, "by_curve": False, "held": True, "excess": 0.1}
    curve = {"budget": 16.0, "molecules": 4.0, "conformers": 4.0, "low": 2.0, "high": 5.0}
    curve |= {"gain": 0.5}
    empty = Comparisons([], None, [], None, {}, 0, 0, 0)

    def stated(whole: bool, of_half: bool) -> list[str]:
        allocation = curve | {"preference": whole, "other_half": half | {"preference": of_half}}
        allocations = {"core": {"forces": allocation}}
        findings = {"allocations": allocations, "two_stage_conformers": {"1": None}}
        comparisons = replace(empty, halves=compare_halves(allocations))
        balance, *found, formula = sentences_of(findings, comparisons, study_of(tmp_path))
        assert balance == "Too few arms to say whether joint generalisation needs a balance."
        assert "only: as many as there are geometries" in formula
        return found

    (alone,) = stated(False, True)
    assert alone.endswith("no preference (curve within 50%; 2.0 to 5.0 geometries each).")
    of_core, counted = stated(True, False)
    assert of_core.endswith("(2.0 to 5.0); half of the repetitions has no preference.")
    assert "1 have a preference; half of the repetitions has one too in 0" in counted
    assert counted.endswith("holds the best of the other half in 0 of these.")
    of_core, counted = stated(True, True)
    assert of_core.endswith("(1.0 to 16.0) holds the best arm of the other half (4).")
    assert "holds the best of the other half in 1 of these; the arm nearest" in counted
    assert counted.endswith("errs 10% more there than the best arm in the mean, 10% at most.")


@pytest.mark.usefixtures("without_allocations")
def test_shared_molecules_are_stated(tmp_path: Path) -> None:
    findings = findings_of(results_of(lambda m, k: 100.0, lambda m, k: 100.0), tmp_path)
    assert sentence(findings, "two repetitions of an arm share").endswith(
        "share, mean: 1×16 0%, 2×8 0%, 4×4 0%, 8×2 25%, 16×1 58%."
    )


@pytest.mark.usefixtures("without_allocations")
def test_arms_that_are_not_as_planned_are_counted(tmp_path: Path) -> None:
    """The first arm is never trained, the second one only in the last repetition, the third one not
    in it; one arm has half of its labels."""
    left_out = {*((1, r) for r in range(4)), *((2, r) for r in range(3)), (16, 3)}
    results = results_of(lambda m, k: 100.0, lambda m, k: 100 / m)
    kept = [r for r in results if (r.molecules, r.repetition) not in left_out]
    short = [*kept[:-1], replace(kept[-1], labels=kept[-1].labels // 2)]

    def counted(results: Results) -> str:
        return sentence(findings_of(results, tmp_path), "Arms of all repetitions: 32, of which ")

    assert counted(short).endswith(
        "of which 1 with fewer labels than planned and 8 that could not be trained."
    )
    assert counted(kept).endswith("of which 8 that could not be trained.")
    few = [*results[:-1], replace(results[-1], labels=1)]
    assert counted(few).endswith("of which 1 with fewer labels than planned.")
    joint = sentence(findings_of(short, tmp_path), "Joint")
    assert "2×8 is not known (no repetition in common)" in joint
