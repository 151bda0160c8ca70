"""The dry run finds what would stop a campaign, and keeps nothing."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from campaigns import ALA2

from pyubias.campaign import dry_run
from pyubias.campaign.dry_run import try_stages
from pyubias.config.loading import load_campaign
from pyubias.console import duration
from pyubias.errors import UserError
from pyubias.training.labels import Label


@pytest.fixture
def config():
    small = {"hidden": [8], "n_radial": 2, "n_basis": 4}
    config = load_campaign(ALA2 / "quickstart.yaml")
    model = config.model.model_copy(update=small)
    evaluation = config.evaluation.model_copy(update={"test": None})
    return config.model_copy(update={"model": model, "evaluation": evaluation})


def with_script(config, path: Path, text: str):
    path.write_text(text)
    exploration = config.exploration.model_copy(update={"input": path})
    return config.model_copy(update={"exploration": exploration, "control": None})


def test_both_arms_are_tried_and_nothing_is_kept(config, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try_stages(config, 1)
    printed = capsys.readouterr().out
    assert "explore, biased" in printed
    assert "explore, unbiased" in printed
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_walker_script_is_told(config, tmp_path):
    broken = with_script(config, tmp_path / "walk.in", "units metal\nfix me all nonsense\n")
    with pytest.raises(UserError, match=r"walker script '.*walk\.in'.*"):
        try_stages(broken, 1)


def test_a_script_that_dumps_other_elements_is_told(config, tmp_path):
    text = (
        (ALA2 / "explore.in")
        .read_text()
        .replace(
            "dump_modify trajectory element ${elements}", "dump_modify trajectory element H H H H"
        )
    )
    wrong = with_script(config, tmp_path / "walk.in", text)
    with pytest.raises(UserError, match="elements differ"):
        try_stages(wrong, 1)


class Clock:
    """A clock that stands still but while a stage works; it replaces the stages as well."""

    PER_LABEL, PER_SAMPLE, PER_STEP = 2.0, 0.5, 0.25
    LOADING = 7.0  # of each training and walk, which must not count

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(dry_run.time, "perf_counter", lambda: self.now)
        for name in ("label_frame", "train", "run_walker", "export"):
            monkeypatch.setattr(dry_run, name, getattr(self, name))

    def label_frame(self, _, atoms):
        self.now += self.PER_LABEL
        return Label(0.0, np.zeros((len(atoms), 3)), None)

    def train(self, frames, model, training, *_, splits, **options):
        self.now += self.LOADING + self.PER_SAMPLE * training.epochs * splits.count("train")

    def run_walker(self, exploration, *_):
        self.now += self.LOADING + self.PER_STEP * exploration.steps
        return SimpleNamespace(failure="")

    def export(self, *_):
        pass


@pytest.mark.parametrize("n_ranks", [1, 2])
def test_the_cost_is_that_of_all_labels_trainings_and_steps(config, monkeypatch, capsys, n_ranks):
    """16 labels, then batches of 8 up to 40: four trainings and three iterations of walkers."""
    sections = {
        "start": config.start.model_copy(update={"count": 16}),
        "selection": config.selection.model_copy(update={"batch_size": 8}),
        "stop": config.stop.model_copy(update={"labels": 40}),
        "exploration": config.exploration.model_copy(update={"walkers": 3, "steps": 1000}),
        "training": config.training.model_copy(
            update={"epochs": 10, "batch_size": 4, "max_steps": 50, "final_factor": 1.5}
        ),
        "control": None,
    }
    Clock(monkeypatch)
    try_stages(config.model_copy(update=sections), n_ranks)
    printed = capsys.readouterr().out
    for cell in ("2e+03 ms a frame", "500 ms a sample", "250 ms a step"):
        assert cell in printed
    # 10 epochs of 16, of at most 50 batches of 4 at 24 and 32, and of 75 batches at the end
    training = 0.5 * (160 + 200 + 200 + 300)
    rest = 2.0 * 40 + 0.25 * 3 * 3 * 1000
    seconds = training + rest / n_ranks
    assert f"at most about {duration(seconds)} on {n_ranks} rank" in printed
