"""A train stage depends on its attributes alone, so that it may run far from its campaign."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from campaigns import tiny
from outcomes import labels

from pyubias.campaign import train_stage
from pyubias.campaign.progress import Progress
from pyubias.campaign.run_folder import IterationFolder, RunFolder
from pyubias.campaign.train_stage import TrainStage, TrainTask
from pyubias.config.loading import load_campaign
from pyubias.errors import UserError
from pyubias.model.archive import load
from pyubias.model.prediction import Model
from pyubias.parallel import Ranks
from pyubias.trainers.external import Job


def test_a_stage_that_was_sent_elsewhere_trains_the_model_of_its_campaign(
    tmp_path: Path, uninterrupted: Path
) -> None:
    theirs = RunFolder(uninterrupted).iteration(0).model
    frames = [f for f in labels(uninterrupted) if f.iteration == 0]
    config = load_campaign(tiny(tmp_path))
    elements = load(theirs)[1].elements
    here = IterationFolder(tmp_path / "0000")
    sent = pickle.dumps(TrainStage(config, elements, frames, here, tmp_path / "foundation.pt"))

    here.path.mkdir()
    stage: TrainStage = pickle.loads(sent)
    assert not stage.is_trained
    stage.train(Ranks(), Progress("far", RunFolder(tmp_path), tmp_path / "log.txt", True, False))
    assert stage.is_trained
    stage.export()

    atoms = [frames[0].atoms]
    ours, expected = Model(here.model).predict(atoms)[0], Model(theirs).predict(atoms)[0]
    assert np.array_equal(ours.forces, expected.forces)
    assert ours.total_uncertainty == expected.total_uncertainty


@pytest.mark.parametrize(
    ("changes", "own", "of_job", "before_the_last"),
    [
        ({}, 2, 1, 1),
        ({"training": {"ranks": 5}}, 2, 5, 5),
        ({"training": {"ranks": 5}, "finish": {"members": 1}}, 5, 5, 5),
        ({"uncertainty": {"features": "last_layer"}}, 1, 1, 1),
        ({"uncertainty": {"kind": "ensemble", "members": 4}}, 4, 4, 4),
    ],
)
def test_potentials_of_a_mean_share_the_ranks_of_a_campaign_and_ask_jobs_for_none(
    tmp_path: Path, changes: dict[str, Any], own: int, of_job: int, before_the_last: int
) -> None:
    """A job may have no room for a rank of each."""
    config = load_campaign(tiny(tmp_path, changes))
    folder = RunFolder(tmp_path)
    last = TrainStage(config, [], [], folder.final, tmp_path, finish=config.finish)
    assert last.n_ranks == own
    progress = Progress("far", folder, tmp_path / "log.txt", True, False)
    assert TrainTask(last, progress, tmp_path).ranks == of_job
    assert TrainStage(config, [], [], folder.final, tmp_path).n_ranks == before_the_last


@pytest.mark.law("finish.factor")
def test_another_package_trains_more_epochs_in_the_end(
    tmp_path: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factors = []

    def spy(job: Job, *rest: object) -> None:
        factors.append(job.factor)
        raise UserError("seen")

    monkeypatch.setattr(train_stage, "train_elsewhere", spy)
    changes = {"trainer": {"kind": "mace", "python": "env"}, "finish": {"factor": 3.0}}
    changes |= {"model": None, "uncertainty": None, "training": None}
    config = load_campaign(tiny(tmp_path, changes))
    frames = labels(uninterrupted)
    folder = IterationFolder(tmp_path / "final")
    progress = Progress("here", RunFolder(tmp_path), tmp_path / "log.txt", True, False)
    for finish in (None, config.finish):
        stage = TrainStage(config, ["C"], frames, folder, tmp_path / "f.pt", finish=finish)
        with pytest.raises(UserError, match="seen"):
            stage.train(Ranks(), progress)
    assert factors == [1.0, 3.0]
