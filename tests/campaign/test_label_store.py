"""Labels exist for others the moment they are made."""

import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from campaigns import shared_commands

from pyubias.campaign.label_store import LabelStore
from pyubias.training.labels import Label


def frame(k: int, periodic: bool = False) -> Atoms:
    atoms = Atoms("HO", positions=[[0, 0, 0], [0, 0, 1 + 0.01 * k]], pbc=periodic)
    if periodic:
        atoms.set_cell([4, 5, 6])
    atoms.info = {"iteration": k // 10, "split": "train", "walker": k % 10}
    return atoms


def label(k: int, periodic: bool = False) -> Label:
    forces = np.array([[0.0, 0.0, k], [0.0, 0.0, -k]])
    return Label(-1.0 - k, forces, np.arange(6.0) + k if periodic else None)


@pytest.mark.parametrize("periodic", [False, True])
def test_a_label_comes_back_as_it_was_stored(tmp_path: Path, periodic: bool) -> None:
    store = LabelStore(tmp_path / "labels.db")
    store.add("0001-02", frame(12, periodic), label(12, periodic))
    (found,) = store.frames()
    assert (found.key, found.iteration, found.split, found.walker) == ("0001-02", 1, "train", 2)
    assert not found.failed
    assert found.atoms.info["REF_energy"] == -13.0
    np.testing.assert_array_equal(found.atoms.arrays["REF_forces"], label(12).forces)
    np.testing.assert_array_equal(found.atoms.positions, frame(12).positions)
    assert ("REF_stress" in found.atoms.info) == periodic
    if periodic:
        np.testing.assert_array_equal(found.atoms.info["REF_stress"], np.arange(6.0) + 12)
        np.testing.assert_array_equal(found.atoms.cell.array, np.diag([4.0, 5.0, 6.0]))


def test_a_label_remembers_its_molecule_where_that_is_known(tmp_path: Path) -> None:
    store = LabelStore(tmp_path / "labels.db")
    named = frame(1)
    named.info["molecule"] = "[H][O]"
    store.add("0000-00", frame(0), label(0))
    store.add("0000-01", named, label(1))
    assert [f.molecule for f in store.frames()] == ["", "[H][O]"]


def test_a_failed_label_keeps_its_reason_and_has_no_numbers(tmp_path: Path) -> None:
    store = LabelStore(tmp_path / "labels.db")
    store.add("0000-00", frame(0), None, reason="SCF: not converged, ΔE = 3")
    (found,) = store.frames()
    assert found.failed
    assert found.reason == "SCF: not converged, ΔE = 3"
    assert "REF_energy" not in found.atoms.info
    assert "REF_forces" not in found.atoms.arrays


def test_labels_are_there_for_everybody_the_moment_they_exist(tmp_path: Path) -> None:
    writer, reader = (LabelStore(tmp_path / "labels.db") for _ in range(2))
    for k in range(3):
        writer.add(f"0000-0{k}", frame(k), label(k))
        assert reader.keys() == {f"0000-0{i}" for i in range(k + 1)}


def test_frames_come_in_the_order_of_their_keys_up_to_an_iteration(tmp_path: Path) -> None:
    store = LabelStore(tmp_path / "labels.db")
    for k in (25, 3, 14, 1):
        store.add(f"{k // 10:04d}-{k % 10:02d}", frame(k), label(k))
    assert [f.key for f in store.frames()] == ["0000-01", "0000-03", "0001-04", "0002-05"]
    assert [f.key for f in store.frames(1)] == ["0000-01", "0000-03", "0001-04"]


def write_labels() -> None:
    """What each of the processes of the next test does."""
    path, writer = sys.argv[1:]
    store = LabelStore(Path(path))
    for k in range(20):
        store.add(f"{writer}-{k:02d}", frame(k), label(k))


def test_processes_may_write_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "labels.db"
    LabelStore(path)
    start, function = shared_commands().start, "test_label_store:write_labels"
    writers = [start(tmp_path, path, w, function=function) for w in range(2)]
    assert [w.wait() for w in writers] == [0, 0], [w.output for w in writers]
    assert LabelStore(path).keys() == {f"{w}-{k:02d}" for w in range(2) for k in range(20)}


def test_a_database_has_all_its_tables_or_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while ASE made its tables one by one, a campaign could never be resumed."""

    def killed(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        LabelStore(tmp_path / "labels.db")
    assert not (tmp_path / "labels.db").exists()
