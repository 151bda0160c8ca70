"""A campaign that starts from labels that are there already."""

from collections import Counter
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from campaigns import ALA2, Changes, metrics, shared_commands, tiny
from outcomes import labels, walks_of

from pyubias.campaign.inputs import read_inputs
from pyubias.config.loading import load_campaign
from pyubias.errors import UserError
from pyubias.training.checkpoint import load_trained
from pyubias.training.reading import read_frames

law = pytest.mark.law


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Thirty structures with labels under names of another package; one is there twice."""
    frames, _ = read_frames(ALA2 / "testset.extxyz", index="3::19")
    frames = frames[:29]
    frames.append(frames[4].copy())
    for atoms in frames:
        atoms.info["dft_E"] = atoms.info.pop("REF_energy")
        atoms.arrays["dft_F"] = atoms.arrays.pop("REF_forces")
    ase.io.write(tmp_path / "foreign.extxyz", frames)
    return tmp_path / "foreign.extxyz"


def given(path: Path, **more: object) -> Changes:
    keys = {"energy": "dft_E", "forces": "dft_F"}
    start = {"labels": [str(path)], "keys": keys, "count": None, "perturb": None}
    return {"start": start | more}


def go(folder: Path, changes: Changes) -> tuple[Path, str]:
    command = shared_commands().run(folder, "run", tiny(folder, changes))
    assert command.wait() == 0, command.output
    return folder / "runs" / "tiny", command.output


@law("start.labels", "start.keys", "start.structures")
def test_a_campaign_from_labels_alone(tmp_path: Path, foreign: Path) -> None:
    changes = given(foreign, structures=None) | {"stop": {"labels": 6}}
    folder, output = go(tmp_path, changes)
    assert "energy from dft_E (30 of 30); forces from dft_F (30 of 30)" in output
    assert "start.labels: 1 structures are equal to others and left out" in output
    # the labels that it was given are no part of its budget
    assert [r["n_labels"] for r in metrics(folder)] == [29, 33, 35]
    frames = labels(folder)
    assert Counter(f.iteration for f in frames) == {0: 29, 1: 4, 2: 2}
    known = ase.io.read(foreign, index=":29")
    for frame, atoms in zip(frames[:29], known, strict=True):
        assert frame.atoms.info["REF_energy"] == pytest.approx(atoms.info["dft_E"])
        np.testing.assert_allclose(frame.atoms.arrays["REF_forces"], atoms.arrays["dft_F"])
    splits = Counter(f.split for f in frames[:29])
    assert min(splits["validation"], splits["calibration"]) > 0
    trained = load_trained(folder / "iterations" / "0000" / "potential.ckpt")
    assert trained.n_train == splits["train"]
    begins = [walk.positions[0] for walk in walks_of(folder, 0)]
    for positions in begins:
        assert any(same_molecule(positions, atoms) for atoms in known)


def same_molecule(positions: np.ndarray, atoms: Atoms) -> bool:
    distances = Atoms(atoms.numbers, positions).get_all_distances()
    return np.allclose(distances, atoms.get_all_distances(), rtol=0, atol=1e-5)


@pytest.mark.slow
@law("stop.given")
def test_given_labels_count_in_the_budget_on_demand(tmp_path: Path, foreign: Path) -> None:
    changes = {"stop": {"labels": 31, "given": True}}
    folder, _ = go(tmp_path, given(foreign, count=0) | changes)
    assert [r["n_labels"] for r in metrics(folder)] == [29, 31]
    # no more copies are labelled than the budget has left
    folder, _ = go(tmp_path, given(foreign, count=8) | changes | {"name": "copies"})
    assert [r["n_labels"] for r in metrics(folder.with_name("copies"))] == [31]


@law("start.labels")
def test_labels_beside_start_structures(tmp_path: Path, foreign: Path) -> None:
    """Copies are labelled as well; without copies walkers start from the structures."""
    start = tiny(tmp_path, given(foreign, count=2, perturb=0.05))
    config = load_campaign(start)
    assert (config.start.copies, len(read_inputs(config).given.frames)) == (2, 29)
    folder, _ = go(tmp_path, given(foreign, count=0) | {"stop": {"labels": 2}})
    assert [r["n_labels"] for r in metrics(folder)] == [29, 31]
    start = ase.io.read(ALA2 / "c7eq.xyz")
    assert all(same_molecule(w.positions[0], start) for w in walks_of(folder, 0))


@law("start.labels")
def test_labels_of_a_run_keep_their_splits_and_are_read_once(
    tmp_path: Path, uninterrupted: Path
) -> None:
    start = {"labels": [str(uninterrupted)], "structures": None, "count": None, "perturb": None}
    folder, _ = go(tmp_path, {"start": start, "stop": {"labels": 2}})
    ours, theirs = labels(folder)[:18], labels(uninterrupted)
    assert [f.split for f in ours] == [f.split for f in theirs]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.atoms.positions, b.atoms.positions)
    # the raised budget goes on from what the campaign began with
    again, output = go(tmp_path, {"start": start, "stop": {"labels": 4}})
    assert "start.labels:" not in output
    assert [r["n_labels"] for r in metrics(again)] == [18, 20, 22]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ["gone.extxyz"]}, "'start.labels': file '.*gone.extxyz' does not exist"),
        ({"structures": None}, "give structures, or labels to start from"),
        ({"keys": {"energy": "E"}}, "keys name what labels hold, and there are no labels"),
        ({"labels": ["bare.extxyz"]}, "'start.labels': structure 0 of 1 has no forces"),
        ({"labels": ["."]}, "is no run folder: it has no labels.db"),
    ],
)
def test_labels_that_cannot_be_used_are_one_line(
    tmp_path: Path, change: Changes, message: str
) -> None:
    atoms = ase.io.read(ALA2 / "c7eq.xyz")
    atoms.info["REF_energy"] = -1.0
    ase.io.write(tmp_path / "bare.extxyz", atoms)
    path = tiny(tmp_path, {"start": change})
    with pytest.raises(UserError, match=message):
        read_inputs(load_campaign(path))
