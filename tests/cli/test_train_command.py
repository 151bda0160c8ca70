"""What `pyubias train` is given: files, run folders, and both; and what it prints."""

import re
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import molecule
from structures import copper
from typer.testing import CliRunner

from pyubias.campaign.gather import gather
from pyubias.campaign.label_store import LabelStore
from pyubias.campaign.run_folder import RunFolder
from pyubias.cli.app import app
from pyubias.config.loading import TrainingFile
from pyubias.config.potential import UncertaintyConfig
from pyubias.errors import UserError
from pyubias.files import write_json
from pyubias.reference.label import Label
from pyubias.training import optimise
from pyubias.training.checkpoint import load_trained
from pyubias.training.scores import Scores

SPLITS = ("train", "validation", "train", "calibration")


def labelled(energy: float) -> tuple[Atoms, Label]:
    atoms = molecule("H2O", cell=[6.0, 6.0, 6.0], pbc=True)
    return atoms, Label(energy, atoms.positions + energy, None)


def run_with_labels(folder: Path, energies: list[float]) -> Path:
    """A run of four labels and one that failed."""
    folder.mkdir()
    store = LabelStore(folder / "labels.db")
    for k, (energy, split) in enumerate(zip(energies, SPLITS, strict=True)):
        atoms, label = labelled(energy)
        atoms.info.update(iteration=0, split=split, walker=0)
        store.add(f"0000-{k:02d}", atoms, label)
    atoms.info["split"] = "train"
    store.add("0001-00", atoms, None, "the SCF did not converge")
    return folder


def test_runs_are_joined_with_what_each_label_is_for(tmp_path: Path) -> None:
    runs = [run_with_labels(tmp_path / f"s{k}", [k + 0.1 * i for i in range(4)]) for k in (1, 2)]
    frames, splits, sentence, _ = gather(runs)
    energies = [a.info["REF_energy"] for a in frames]
    assert energies == pytest.approx([1.0, 1.1, 1.2, 1.3, 2.0, 2.1, 2.2, 2.3])
    assert frames[5].arrays["REF_forces"] == pytest.approx(frames[5].positions + 2.1)
    assert splits == [*SPLITS, *SPLITS]
    assert sentence.count("4 labels of a run, 1 failed") == 2


def test_scores_of_all_runs_come_with_their_labels(tmp_path: Path) -> None:
    runs = [run_with_labels(tmp_path / f"s{k}", [0.0, 0.1, 0.2, 0.3]) for k in (1, 2)]
    for run, n_batches in zip(runs, (1, 3), strict=True):
        for k in range(n_batches):
            iteration = RunFolder(run).iteration(k)
            iteration.path.mkdir(parents=True)
            Scores(np.full(8, float(k)), np.full(16, 2.0), 8).write(iteration.scores)
    settings = TrainingFile(uncertainty=UncertaintyConfig(alpha=0.2))
    scores = gather(runs, settings=settings).scores
    assert sorted(scores.total) == [0.0] * 16 + [1.0] * 8 + [2.0] * 8
    assert scores.n_with_forces == 24  # of each run of the newest ten structures


def test_scores_of_another_kind_of_uncertainty_do_not_calibrate(tmp_path: Path) -> None:
    run = run_with_labels(tmp_path / "run", [0.0, 0.1, 0.2, 0.3])
    for k, (kind, alpha) in enumerate((("ensemble", 0.05), ("posterior", 0.3))):
        iteration = RunFolder(run).iteration(k)
        iteration.path.mkdir(parents=True)
        Scores(np.full(8, float(k)), np.full(16, 2.0), 8).write(iteration.scores)
        uncertainty = UncertaintyConfig(kind=kind, alpha=alpha)
        settings = TrainingFile(uncertainty=uncertainty).model_dump(mode="json")
        write_json(iteration.settings, settings)
    gathered = gather([run])
    assert gathered.scores.total.tolist() == [1.0] * 8
    assert "; 1 of its models have another kind of uncertainty" in gathered.sentence


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Labels of twelve cells of copper."""
    ase.io.write(tmp_path / "data.extxyz", copper(12))
    return tmp_path / "data.extxyz"


def printed_by_train(data: Path, settings: dict[str, Any]) -> list[str]:
    """The lines of `pyubias train` with a small potential."""
    model = {"cutoff": 4.0, "n_radial": 2, "n_basis": 4, "hidden": [8]}
    file = data.with_name("settings.yaml")
    file.write_text(yaml.safe_dump({"model": model, "uncertainty": {"projections": 8}} | settings))
    output = data.with_name("potential.ckpt")
    arguments = ["train", data, "--config", file, "-o", output]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


TRAINING = {"epochs": 2, "validate_every": 100, "validation": 0.25, "calibration": 0.25}


def test_train_prints_a_line_for_each_cycle_and_what_would_help(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([(0.004, 0.3, 0.4), (0.003, 0.2, 0.3), (0.003, 0.2, 0.294)])
    monkeypatch.setattr(optimise, "_errors", lambda *_: next(found, (0.0, 0.0, 0.1)))
    lines = printed_by_train(data, {"training": TRAINING, "finish": {"gain": 0.03, "members": 1}})
    begin = next(k for k, line in enumerate(lines) if line.startswith("2 epochs, "))
    expected = [
        "2 epochs, {}: validation MAE: energy 4.00 meV/atom, forces 300.0 meV/Å",
        "6 epochs, {}: validation MAE: energy 3.00 meV/atom, forces 200.0 meV/Å",
        "14 epochs, {}: validation MAE: energy 3.00 meV/atom, forces 200.0 meV/Å",
    ]
    for line, wanted in zip(lines[begin:], expected, strict=False):
        assert re.fullmatch(re.escape(wanted).replace(r"\{\}", r"\d+ s"), line)
    assert lines[begin + 3] == (
        "the last cycle lowered the validation error by 2%, and it is 2.9 times that on the "
        "training set: more labels would help, more steps would not"
    )
    assert "potential.ckpt: trained on 6 structures, 3 for validation, 3 for calibr" in lines[-4]


def test_train_says_of_how_many_potentials_a_model_is_the_mean(data: Path) -> None:
    lines = printed_by_train(data, {"training": TRAINING, "finish": {"cycles": 1, "members": 3}})
    (line,) = (line for line in lines if "potential.ckpt: " in line)
    assert "potential.ckpt: the mean of 3 potentials, trained on 6 structures, " in line


def test_train_says_that_nothing_tells_when_to_end_without_a_validation_set(data: Path) -> None:
    lines = printed_by_train(data, {"training": TRAINING | {"validation": 0.0}})
    (line,) = (line for line in lines if "more steps" in line)
    assert line.startswith("nothing tells whether more steps would help: there is no validation")
    assert not any("epochs, " in line for line in lines)


def test_without_a_last_training_train_gives_no_advice(data: Path) -> None:
    lines = printed_by_train(data, {"training": TRAINING, "finish": None})
    assert not any("more steps" in line or "epochs, " in line for line in lines)
    assert any(line.startswith("validation MAE: energy ") for line in lines)


def test_train_on_a_run_calibrates_with_its_scores(tmp_path: Path) -> None:
    run = run_with_labels(tmp_path / "run", [0.0, 0.1, 0.2, 0.3])
    iteration = RunFolder(run).iteration(0)
    iteration.path.mkdir(parents=True)
    Scores(np.full(40, 1234.5), np.full(40, 567.8), 40).write(iteration.scores)
    lines = printed_by_train(run, {"training": {"epochs": 2}, "finish": None})
    assert any("1 for validation, 41 for calibration" in line for line in lines)
    head = load_trained(run.with_name("potential.ckpt")).potential.head
    assert head is not None
    assert float(head.total_factor) == pytest.approx(1234.5)
    assert float(head.atomic_factor) == pytest.approx(567.8)


def test_files_leave_the_splits_to_be_drawn(tmp_path: Path) -> None:
    run = run_with_labels(tmp_path / "run", [0.0, 0.1, 0.2, 0.3])
    atoms, label = labelled(7.0)
    atoms.info["REF_energy"] = label.energy
    ase.io.write(tmp_path / "more.extxyz", atoms)
    frames, splits, sentence, _ = gather([tmp_path / "more.extxyz", run])
    assert [a.info["REF_energy"] for a in frames] == pytest.approx([7.0, 0.0, 0.1, 0.2, 0.3])
    assert splits is None
    assert "energy from REF_energy (1 of 1)" in sentence


def test_a_damaged_database_is_one_line(tmp_path: Path) -> None:
    run = run_with_labels(tmp_path / "run", [0.0, 0.1, 0.2, 0.3])
    whole = (run / "labels.db").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"not a database"):
        (run / "labels.db").write_bytes(damaged)
        with pytest.raises(UserError, match=r"label database '.*labels\.db' cannot be read: "):
            gather([run])


def test_a_run_without_a_label_is_told(tmp_path: Path) -> None:
    LabelStore(tmp_path / "labels.db")
    with pytest.raises(UserError, match=r"run '.*' has no label: 0 failed"):
        gather([tmp_path])
