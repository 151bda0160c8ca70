"""Numbers of a study."""

from pathlib import Path

import pytest
from study_results import VARIANCE, results_of, study_of

from pyubias.diversity.study import findings as findings_module
from pyubias.diversity.study.findings import draw_findings


def test_allocations_coverage_and_two_stage_sampling_follow_from_the_errors(tmp_path: Path) -> None:
    results = results_of(lambda m, k: 100 / k**0.5, lambda m, k: 100 / m**0.5)
    findings = draw_findings(results, VARIANCE, study_of(tmp_path))
    assert findings["tables"]["fixed_budget"]["molecules"] == [1, 2, 4, 8, 16]
    assert findings["tables"]["fixed_molecules"]["conformers"] == [1, 2, 8]
    assert findings["allocations"]["unseen"]["forces"]["conformers"] == pytest.approx(1.0)
    assert findings["allocations"]["core"]["forces"]["conformers"] == pytest.approx(16.0)
    # sqrt(cost of a molecule × 4 / 1)
    assert findings["two_stage_conformers"] == pytest.approx(
        {"0": 1.0, "1": 2.0, "10": 40.0**0.5, "100": 20.0}
    )
    assert findings["coverage"]["core"] == pytest.approx({"pooled": 0.9, "group": 0.95})


def test_calibration_groups_that_are_too_small_are_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings_module, "_allocations", lambda results, config: {})
    results = results_of(lambda m, k: 100.0, lambda m, k: 100.0)
    calibration = draw_findings(results, VARIANCE, study_of(tmp_path))["calibration"]
    # n of the arm that has fewest; n/(n + 1) at most
    assert calibration["seen"]["n"] == 18
    assert calibration["seen"]["attainable"] == pytest.approx(18 / 19)
    assert calibration["seen"]["factors"] == pytest.approx([1.0, 2.5, 4.0])
    assert calibration["seen"]["shortfall"].endswith("of 0.947 at most, wanted 0.950: it takes 19")
    assert calibration["unseen"]["attainable"] >= 0.95
    assert calibration["unseen"]["shortfall"] is None
