"""What `pyubias train` is given: files, run folders, and both."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from pyubias.campaign.gather import gather
from pyubias.campaign.label_store import LabelStore
from pyubias.campaign.run_folder import RunFolder
from pyubias.errors import UserError
from pyubias.reference.label import Label
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


def test_the_newest_scores_of_all_runs_come_with_their_labels(tmp_path: Path) -> None:
    runs = [run_with_labels(tmp_path / f"s{k}", [0.0, 0.1, 0.2, 0.3]) for k in (1, 2)]
    for run, n_batches in zip(runs, (1, 3), strict=True):
        for k in range(n_batches):
            iteration = RunFolder(run).iteration(k)
            iteration.path.mkdir(parents=True)
            Scores(np.full(8, float(k)), np.full(16, 2.0), 8).write(iteration.scores)
    scores = gather(runs, alpha=0.2).scores  # of each run those of the newest ten structures
    assert sorted(scores.total) == [0.0] * 8 + [1.0] * 8 + [2.0] * 8
    assert scores.n_with_forces == 24


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
