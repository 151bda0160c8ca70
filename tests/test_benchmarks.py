"""The benchmarks of models, accuracy, labels and calibration run, on as little as they can."""

import json
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from campaigns import metrics
from outcomes import run

from pyubias import Model, read_frames
from pyubias.analysis.collective_variables import collective_variables
from pyubias.analysis.residuals import evaluate, residuals_of
from pyubias.campaign.label_store import LabelStore
from pyubias.campaign.run_folder import RunFolder
from pyubias.training.checkpoint import load_trained

TESTS = Path(__file__).parent
TESTSET = TESTS.parent / "inputs" / "ala2" / "testset.extxyz"


def records_of(script: str, folder: Path, *options: str | Path) -> list[dict[str, object]]:
    """What a benchmark writes."""
    command = [sys.executable, TESTS / "benchmarks" / script, *options, "--json", "records.json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "records.json").read_text())["records"]


@pytest.mark.slow
def test_accuracy_trains_and_tests(tmp_path: Path) -> None:
    frames, _ = read_frames(TESTSET, index=":20")
    ase.io.write(tmp_path / "few.extxyz", frames)
    options = ["few.extxyz", "few.extxyz", "--models", "default", "--epochs", "default=1"]
    (record,) = records_of("accuracy.py", tmp_path, *options)
    assert record["epochs"] == 1
    assert 0.0 < float(record["forces_rmse"]) < 5e3
    assert float(record["minutes"]) > 0.0


@pytest.mark.slow
def test_models_takes_the_time_of_every_mode(tmp_path: Path) -> None:
    options = ["--models", "ours", "--sizes", "32", "--rounds", "1", "--seconds", "0.01"]
    (record,) = records_of("models.py", tmp_path, *options)
    assert record["atoms"] == 32
    assert len(record["seconds"]) == 4
    assert all(seconds > 0.0 for (seconds,) in record["seconds"].values())


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose α is so large that its few scores have a quantile below the largest."""
    changes = {"uncertainty": {"alpha": 0.5}, "stop": {"labels": 22}}
    return run(tmp_path_factory.mktemp("campaign"), changes)


@pytest.mark.slow
def test_labels_are_those_of_the_run_and_errors_those_of_its_model(campaign: Path) -> None:
    (record,) = records_of("labels.py", campaign, campaign, "--parts", "1")
    folder = RunFolder(campaign)
    config = folder.read_config()
    labelled = [f.atoms for f in LabelStore(folder.labels).frames() if not f.failed]
    phi = [config.evaluation.collective_variables[0]]
    values = collective_variables(labelled, phi)[:, 0]
    forces = np.concatenate([atoms.arrays["REF_forces"] for atoms in labelled])
    assert record["labels"] == len(labelled) == 22
    assert record["variable"] == pytest.approx(np.quantile(values, [0.0, 0.25, 0.5, 0.75, 1.0]))
    assert record["forces"] == pytest.approx(1e3 * np.sqrt(np.mean(forces**2)))
    ((low, high, error),) = record["errors"]
    test, _ = read_frames(config.evaluation.test)
    tested = collective_variables(test, phi)[:, 0]
    assert [low, high] == [tested.min(), tested.max()]
    wanted = evaluate(Model(folder.path / "model.pt"), test)["forces_rmse"]
    assert error == pytest.approx(1e3 * wanted)


@pytest.fixture(scope="module")
def calibrations(campaign: Path) -> dict[str, list[dict[str, float]]]:
    """What `calibration.py` writes: the iterations of each way."""
    found: dict[str, list[dict[str, float]]] = {}
    for record in records_of("calibration.py", campaign, campaign, "--first", "1"):
        found.setdefault(str(record["way"]), []).append(record)
    return found


@pytest.mark.slow
def test_the_shipped_way_of_calibration_is_that_of_the_campaign(
    campaign: Path, calibrations: dict[str, list[dict[str, float]]]
) -> None:
    frames, _ = read_frames(RunFolder(campaign).read_config().evaluation.test)
    for k, record in enumerate(calibrations["as shipped"]):
        model, written = Model(RunFolder(campaign).iteration(k).model), metrics(campaign)[k]
        assert record["factor_total"] == pytest.approx(model.metadata.total_factor, rel=1e-4)
        assert record["factor_atomic"] == pytest.approx(model.metadata.atomic_factor, rel=1e-4)
        assert record["n_labels"] == written["n_labels"]
        assert record["structures"] == written["n_calibration"]
        assert record["batch_atomic"] == written["conformal_coverage"]
        assert record["batch_total"] == written["conformal_coverage_total"]
        assert record["test_atomic"] == written["test_conformal_coverage"]
        found = residuals_of(frames, model.predict(frames))
        width = found.total_uncertainty.mean() / np.abs(found.energy).mean()
        assert record["width_total"] == pytest.approx(width, rel=1e-4)
        pairs = {
            "total": (found.total_uncertainty, found.energy),
            "atomic": (found.atomic_uncertainty, found.atomic),
        }
        for kind, (u, errors) in pairs.items():
            places = [np.argsort(np.argsort(values)) for values in (u, np.abs(errors))]
            wanted = np.corrcoef(*places)[0, 1]
            assert record[f"rank_{kind}"] == pytest.approx(wanted, abs=1e-3)
    assert len(calibrations["as shipped"]) == len(metrics(campaign)) == 4


@pytest.mark.slow
def test_ways_of_calibration_take_the_structures_that_they_are_named_for(
    calibrations: dict[str, list[dict[str, float]]],
) -> None:
    """Two structures are held out, a batch has four, and α is one half."""
    structures = {way: [r["structures"] for r in rows] for way, rows in calibrations.items()}
    assert structures["split"] == [2, 2, 2, 2]
    assert structures["newest 1/α"] == structures["newest 2/α"] == [0, 4, 4, 4]
    assert structures["newest 4/α"] == [0, 4, 8, 8]
    assert structures["all batches"] == [0, 4, 8, 12]
    assert structures["shipped, γ = 0.05"] == structures["as shipped"] == [2, 6, 10, 14]
    first = calibrations["all batches"][0]
    assert first["factor_total"] is first["test_atomic"] is first["width_total"] is None


@pytest.mark.slow
@pytest.mark.parametrize("gamma", [0.02, 0.05])
def test_adaptive_levels_follow_what_was_missed_of_each_batch(
    calibrations: dict[str, list[dict[str, float]]], gamma: float
) -> None:
    for kind in ("total", "atomic"):
        level = 0.5
        for record in calibrations[f"shipped, γ = {gamma:.2f}"]:
            assert record[f"level_{kind}"] == pytest.approx(level)
            if record[f"batch_{kind}"] is not None:
                level += gamma * (0.5 - (1.0 - record[f"batch_{kind}"]))
        assert level != 0.5
        assert {r[f"level_{kind}"] for r in calibrations["as shipped"]} == {0.5}


@pytest.mark.slow
def test_heads_that_are_fitted_again_are_those_of_the_run_or_of_another_regularisation(
    campaign: Path, calibrations: dict[str, list[dict[str, float]]]
) -> None:
    options = [campaign, "--first", "1", "--regularisation", "0.1", "10"]
    found = records_of("calibration.py", campaign, *options)
    names = ("factor_total", "factor_atomic", "width_total", "test_atomic")

    def of(rows: list[dict[str, float]]) -> list[list[float]]:
        return [[row[name] for name in names] for row in rows]

    ours, same, other = (
        of(calibrations["as shipped"]),
        *(of([r for r in found if r["way"] == f"as shipped, λ = {k}"]) for k in ("0.1", "10")),
    )
    assert np.allclose(same, ours, rtol=1e-3)
    assert not np.allclose(other, ours, rtol=0.1)


@pytest.mark.slow
def test_a_regularisation_grows_with_the_training_structures(campaign: Path) -> None:
    checkpoint = load_trained(RunFolder(campaign).iteration(2).checkpoint)
    grown = 10.0 * checkpoint.n_train / 64.0
    options = [
        [campaign, "--first", "1", "--regularisation", *more]
        for more in (["10", "--growth", "1"], [repr(grown)], ["10"])
    ]
    rows = [records_of("calibration.py", campaign, *each)[2] for each in options]
    assert all(row["iteration"] == 2 and str(row["way"]).startswith("as shipped") for row in rows)
    # a factor is of scores of earlier models, whose λ differ
    widths = [row["width_total"] / row["factor_total"] for row in rows]
    assert widths[0] == pytest.approx(widths[1], rel=1e-3)
    assert widths[0] != pytest.approx(widths[2], rel=0.1)


@pytest.mark.slow
def test_a_run_without_enough_iterations_is_named_in_one_line(campaign: Path) -> None:
    command = [sys.executable, TESTS / "benchmarks" / "calibration.py", campaign, "--first", "9"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"'{campaign}' has no model from iteration 9 on: see --first\n"
