"""A batch of labels calibrates the next model with the errors of the one that had not seen it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from campaigns import metrics
from outcomes import labels, run

from pyubias.campaign.next_batch import scores_before
from pyubias.campaign.run_folder import RunFolder
from pyubias.files import read_json
from pyubias.model.prediction import Model
from pyubias.training.scores import Scores


def scores_by_hand(folder: Path, iteration: int, split: str | None = None) -> Scores:
    """Of a model on the next batch, or on a split of its own labels."""
    model = Model(RunFolder(folder).iteration(iteration).model)
    total, atomic, n = [], [], 0
    for frame in labels(folder):
        wanted = frame.iteration == iteration + 1
        if split is not None:
            wanted = frame.iteration <= iteration and frame.split == split
        if wanted and not frame.failed:
            atoms, (predicted,) = frame.atoms, model.predict([frame.atoms])
            error = predicted.energy - atoms.info["REF_energy"]
            total.append(abs(error) / len(atoms) / predicted.total_uncertainty)
            squares = np.square(predicted.forces - atoms.arrays["REF_forces"])
            atomic.append(np.sqrt(squares.mean(1)) / predicted.atomic_uncertainty)
            n += 1
    factors = model.metadata.total_factor, model.metadata.atomic_factor
    return Scores(factors[0] * np.array(total), factors[1] * np.concatenate(atomic), n)


@pytest.mark.parametrize("iteration", [0, 1])
def test_scores_are_errors_on_the_next_batch_over_uncalibrated_uncertainties(
    uninterrupted: Path, iteration: int
) -> None:
    written = Scores.read(RunFolder(uninterrupted).iteration(iteration).scores)
    expected = scores_by_hand(uninterrupted, iteration)
    np.testing.assert_allclose(written.total, expected.total, rtol=1e-6)
    np.testing.assert_allclose(written.atomic, expected.atomic, rtol=1e-6)
    assert written.n_with_forces == expected.n_with_forces == 4


def test_a_model_is_calibrated_by_its_split_and_by_the_batches_before(uninterrupted: Path) -> None:
    """With so few scores, the largest one is the factor."""
    folder = RunFolder(uninterrupted)
    earlier = [Scores.read(folder.iteration(k).scores) for k in (0, 1)]
    for iteration, batches in ((0, []), (1, earlier[:1]), (2, earlier)):
        own = scores_by_hand(uninterrupted, iteration, "calibration")
        metadata = Model(folder.iteration(iteration).model).metadata
        largest = max(scores.total.max() for scores in [own, *batches])
        assert metadata.total_factor == pytest.approx(largest, rel=1e-5)
        n = len(own.total) + 4 * len(batches)
        assert metadata.total_attainable == metadata.atomic_attainable == n / (n + 1)
        assert metrics(uninterrupted)[iteration]["n_calibration"] == n


def test_only_the_first_labels_are_held_out_for_calibration(uninterrupted: Path) -> None:
    held_out = [f.iteration for f in labels(uninterrupted) if f.split == "calibration"]
    assert held_out == [0, 0]


@pytest.mark.parametrize(
    ("section", "changes", "n", "n_with_forces"),
    [
        ("uncertainty", {}, 8, 8),
        ("uncertainty", {"alpha": 0.4}, 8, 8),
        ("uncertainty", {"alpha": 0.5}, 8, 4),
        ("uncertainty", {"kind": "ensemble"}, 0, 0),
        ("uncertainty", {"regularisation": 0.3}, 0, 0),
        ("trainer", {"kind": "mace"}, 0, 0),
    ],
)
def test_models_with_another_kind_of_uncertainty_do_not_calibrate(
    uninterrupted: Path, section: str, changes: dict[str, Any], n: int, n_with_forces: int
) -> None:
    settings = read_json(uninterrupted / "config.json")
    settings[section] |= changes
    found = scores_before(RunFolder(uninterrupted), None, labels(uninterrupted), settings)
    assert (len(found.total), found.n_with_forces) == (n, n_with_forces)


def test_scores_that_are_gone_are_made_again(uninterrupted: Path, tmp_path: Path) -> None:
    folder = RunFolder(run(tmp_path, {"stop": {"labels": 14}, "finish": {"cycles": 1}}))
    folder.iteration(0).scores.unlink()
    run(tmp_path)
    assert (metrics(folder.path)[-1]["n_calibration"]) == 2 + 4 + 4
    assert np.allclose(
        Scores.read(folder.iteration(0).scores).total,
        Scores.read(RunFolder(uninterrupted).iteration(0).scores).total,
        rtol=1e-5,
    )


def test_with_folds_every_label_that_is_trained_on_calibrates(tmp_path: Path) -> None:
    folder = run(tmp_path, {"training": {"folds": 2}, "finish": None, "stop": {"labels": 14}})
    for iteration, record in enumerate(metrics(folder)):
        used = [f for f in labels(folder) if f.iteration <= iteration]
        n_folds = sum(f.split != "validation" for f in used)
        assert record["n_calibration"] == n_folds + 4 * iteration
        metadata = Model(RunFolder(folder).iteration(iteration).model).metadata
        n = record["n_calibration"]
        assert metadata.atomic_attainable == pytest.approx(min(0.95, n / (n + 1)))
