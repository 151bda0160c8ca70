"""Learning curves of a campaign, and what its folder says about them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import benchmark, result

from pyubias.benchmark.results import read_result
from pyubias.campaign.record import Record
from pyubias.campaign.run_folder import RunFolder
from pyubias.config.benchmark import BenchmarkCampaign
from pyubias.files import write_json

LABELS = np.array([10.0, 20.0, 80.0])


@pytest.fixture
def campaign(tmp_path: Path) -> BenchmarkCampaign:
    return benchmark(tmp_path).campaigns[0]


def test_curves_are_linear_in_the_logarithm(campaign: BenchmarkCampaign) -> None:
    curve = result(campaign, 9.0 - 2.0 * np.log1p(LABELS), LABELS, LABELS - 10.0)
    for n in (10.0, 13.0, 20.0, 42.0, 80.0):
        assert curve.at("labels", n, "forces_rmse") == pytest.approx(9.0 - 2.0 * np.log1p(n))
    assert curve.at("steps", 10.0, "forces_rmse") == pytest.approx(9.0 - 2.0 * np.log1p(20.0))


@pytest.mark.parametrize("cost", ["labels", "steps"])
@pytest.mark.parametrize("n", [17.0, 20.0, 55.0])
def test_the_cost_of_an_error_is_where_the_curve_has_it(
    campaign: BenchmarkCampaign, cost: str, n: float
) -> None:
    curve = result(campaign, [0.9, 0.5, 0.1], LABELS, LABELS)
    error = curve.at(cost, n, "forces_rmse")
    assert curve.cost_of(cost, "forces_rmse", error) == pytest.approx(n)


def test_the_first_model_with_an_error_counts(campaign: BenchmarkCampaign) -> None:
    curve = result(campaign, [0.9, 0.3, 0.5], LABELS)
    assert curve.cost_of("labels", "forces_rmse", 0.3) == pytest.approx(20.0)
    assert curve.cost_of("labels", "forces_rmse", 0.95) == 10.0


def record(k: int, **changes: object) -> Record:
    given = Record(
        iteration=k,
        n_labels=10 + k,
        coverage=0.1 * k,
        conformal_coverage=0.5 + 0.1 * k,
        conformal_coverage_total=0.1 * k,
        md_steps=100 * (k + 1),
        wall_s=60.0 * (k + 1),
    )
    return replace(given, **changes)


def made_folder(path: Path, n: int, finished_labels: int) -> RunFolder:
    """A run folder of n iterations, from 10 labels on."""
    folder = RunFolder(path)
    for k in range(n):
        folder.iteration(k).path.mkdir(parents=True)
        write_json(folder.iteration(k).evaluation, {"forces_rmse": 1.0 / (k + 1)})
    folder.write_records([record(k) for k in range(n)])
    folder.final.path.mkdir()
    write_json(folder.final.evaluation, {"forces_rmse": 0.01, "total_coverage": 0.75})
    write_json(folder.final.made_of, {"labels": ["key"] * finished_labels})
    write_json(folder.final.seconds, {"finish": 30.0})
    return folder


def test_a_model_costs_the_steps_before_it(campaign: BenchmarkCampaign, tmp_path: Path) -> None:
    read = read_result(campaign, made_folder(tmp_path / "run", 5, 14))
    assert read.costs["labels"].tolist() == [10, 11, 12, 13, 14]
    assert read.costs["steps"].tolist() == [0, 100, 200, 300, 400]
    assert read.curves["forces_rmse"].tolist() == [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]
    assert np.isnan(read.curves["stress_rmse"]).all()
    assert read.finished["forces_rmse"] == 0.01
    assert read.minutes == pytest.approx(5.5)
    assert read.visited == pytest.approx(0.4)


def test_next_batches_count_after_the_third(campaign: BenchmarkCampaign, tmp_path: Path) -> None:
    read = read_result(campaign, made_folder(tmp_path / "run", 5, 14))
    assert read.next_batch == (pytest.approx(0.35), pytest.approx(0.85))


def test_what_lies_beyond_the_budget_is_left_out(
    campaign: BenchmarkCampaign, tmp_path: Path
) -> None:
    read = read_result(campaign, made_folder(tmp_path / "run", 7, 16))
    assert read.costs["labels"].tolist() == [10, 11, 12, 13, 14]
    assert read.finished == {}  # it had 16 labels
    assert read.minutes == pytest.approx(5.0)
