"""With `start.count: 0` walkers run with a foundation model before anything is labelled."""

import contextlib
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import tiny_mace
from campaigns import ALA2, metrics, tiny
from outcomes import labels

from pyubias.campaign.dry_run import try_stages
from pyubias.campaign.loop import run_campaign
from pyubias.campaign.run_folder import RunFolder
from pyubias.config.loading import load_campaign
from pyubias.config.yaml_settings import ConfigError
from pyubias.errors import UserError
from pyubias.model.archive import load

FRACTIONS = {"epochs": None, "validation": 0.25, "calibration": 0.25}
ELSEWHERE = {"model": None, "training": FRACTIONS, "uncertainty": None}
START = {"count": 0, "perturb": None}


@pytest.fixture
def changes(tmp_path: Path, environment: Path) -> dict[str, Any]:
    """Settings of a campaign whose walkers come first, with a foundation model of the peptide."""
    folder = tmp_path / "pretraining"
    folder.mkdir()
    ase.io.write(folder / "train.extxyz", ase.io.read(ALA2 / "testset.extxyz", "::20"))
    with contextlib.chdir(folder):
        tiny_mace.train(Path("foundation.model"), 0)
    foundation = str(folder / "foundation.model")
    trainer = {"kind": "mace", "python": str(environment), "foundation": foundation}
    return {**ELSEWHERE, "start": START, "trainer": trainer, "stop": {"labels": 6}}


def test_walkers_come_before_the_first_label(tmp_path: Path, changes: dict[str, Any]) -> None:
    unbiased = {**changes, "control": {"exploration": {"tau": 0.0}}}
    folder = run_campaign(load_campaign(tiny(tmp_path, unbiased)), tmp_path / "runs")
    run = RunFolder(folder)
    assert all(frame.iteration > 0 and frame.walker >= 0 for frame in labels(folder))
    assert {frame.split for frame in labels(folder)} == {"train", "validation", "calibration"}
    first, second = run.records()[:2]
    assert (first.n_labels, first.md_steps > 0) == (0, True)
    assert second.n_labels > 0
    # on a zero of its own, and without calibration, only some numbers mean anything
    assert first.forces_rmse > 0.0
    assert [first.energy_rmse, first.conformal_coverage, first.test_conformal_coverage] == [
        None
    ] * 3
    assert second.energy_rmse > 0.0
    _, metadata = load(run.iteration(0).model)
    assert metadata.source["kind"] == "mace"
    assert metadata.source["shifts"] == [[0.0] * 4]
    assert (metadata.total_attainable, metadata.atomic_attainable) == (0.0, 0.0)
    assert "(not calibrated)" in (run.iteration(0).walker(0) / "log.lammps").read_text()
    log = run.log.read_text()
    assert "no labels yet: " in log
    assert "stops walkers by an uncertainty that is not calibrated" in log
    # the same walkers without a bias go elsewhere
    control = RunFolder(folder / "control").iteration(0).walks()
    for mine, other in zip(run.iteration(0).walks(), control, strict=True):
        n = min(len(mine.positions), len(other.positions))
        np.testing.assert_array_equal(mine.positions[0], other.positions[0])
        assert np.abs(mine.positions[n - 1] - other.positions[n - 1]).max() > 1e-4


@pytest.mark.slow
def test_a_campaign_that_began_without_labels_resumes(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    path = tiny(tmp_path, {**changes, "stop": {"labels": 4}})
    folder = run_campaign(load_campaign(path), tmp_path / "runs")
    once = metrics(folder)
    assert metrics(run_campaign(load_campaign(path), tmp_path / "runs")) == once
    (folder / "labels.db").unlink()
    with pytest.raises(UserError, match=r"holds no label, but '.*0001/model\.pt' was trained"):
        run_campaign(load_campaign(path), tmp_path / "runs")


def test_labels_that_all_fail_are_one_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tiny(tmp_path, {**changes, "reference": {"max_force": 1e-3}})
    message = r"the reference labelled none of the frames that walkers found: \|F\| = .*limit"
    with pytest.raises(UserError, match=message):
        run_campaign(load_campaign(path), tmp_path / "runs")


@pytest.mark.slow
def test_the_dry_run_labels_the_start_structures(
    tmp_path: Path, changes: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    try_stages(load_campaign(tiny(tmp_path, changes)), 1)
    assert "foundation model: shifts" in capsys.readouterr().out


def test_what_cannot_act_without_start_labels_is_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    foundation = changes["trainer"]
    for other, message in (
        ({"trainer": None}, r"start\.count is 0, .*: give trainer\.foundation, or raise"),
        ({"trainer": {**foundation, "foundation": None}}, r"start\.count is 0, .*foundation"),
        ({"start": {**START, "perturb": 0.1}}, r"start\.perturb is of the copies"),
        ({"start": {**START, "strain": 0.1}}, r"start\.strain is of the copies"),
        ({"control": {"trainer": {"kind": "gmnn"}}}, r"start\.count is 0"),
    ):
        with pytest.raises(ConfigError, match=message) as caught:
            load_campaign(tiny(tmp_path, {**changes, **other}))
        assert "\n" not in str(caught.value)


def test_a_first_batch_that_cannot_be_trained_on_is_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    few = {**changes, "selection": {"batch_size": 2}}
    with pytest.raises(UserError, match=r"'selection\.batch_size': none of the first 2 labels"):
        run_campaign(load_campaign(tiny(tmp_path, few)), tmp_path / "runs")
    assert not (tmp_path / "runs" / "tiny").exists()
