"""What the three-dimensional view gets is what is in the label database."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from pyubias.campaign.label_store import LabelledFrame
from pyubias.report import structures
from pyubias.report.structures import structures_to_show
from pyubias.training.labels import Label


def frame(atoms: Atoms, key: str = "0003-05", **changes) -> LabelledFrame:
    values = {"iteration": 3, "split": "train", "walker": 2, "reason": "", "step": 800}
    return LabelledFrame(key, atoms=atoms, **(values | changes))


def labelled(atoms: Atoms) -> Atoms:
    forces = np.zeros((len(atoms), 3))
    forces[0] = [3.0, 4.0, 0.0]
    Label(-1.0, forces, None).attach_to(atoms)
    return atoms


def test_a_frame_is_its_atoms_and_what_is_known_of_it() -> None:
    water = labelled(molecule("H2O"))
    data = structures_to_show([("biased", frame(water, uncertainty=0.0123))], 0.0005)
    (shown,) = data["frames"]
    assert shown["numbers"] == [8, 1, 1]
    np.testing.assert_allclose(np.reshape(shown["positions"], (3, 3)), water.positions, atol=0.005)
    assert shown["cell"] is None
    assert shown["group"] == "iteration 3"
    assert shown["name"] == "0003-05, uncertainty 12.30 meV/atom"
    assert shown["about"] == (
        "H2O, 3 atoms. From walker 2 of iteration 2 at step 800 (0.4 ps). Uncertainty when it was "
        "selected: 12.30 meV/atom. Largest force: 5.00 eV/Å."
    )
    assert data["elements"][8]["symbol"] == "O"
    assert data["elements"][8]["radius"] == pytest.approx(0.66)
    assert data["elements"][8]["color"] == "#ff0d0d"  # Jmol's


def test_a_failed_label_tells_why_and_a_start_structure_has_no_walker() -> None:
    failed = frame(molecule("H2O"), "0000-01", iteration=0, walker=-1, step=None, reason="no force")
    (shown,) = structures_to_show([("biased", failed)], None)["frames"]
    assert shown["name"] == "0000-01, label failed"
    assert shown["about"] == "H2O, 3 atoms. The label failed: no force."


def test_a_late_label_comes_from_the_walkers_of_its_key() -> None:
    late = frame(labelled(molecule("H2O")), "0003-05", iteration=4)
    (shown,) = structures_to_show([("biased", late)], None)["frames"]
    assert "From walker 2 of iteration 2 at step 800. " in shown["about"]
    assert shown["group"] == "iteration 4"


def test_arms_are_told_apart_if_there_are_several() -> None:
    frames = [(arm, frame(labelled(molecule("H2O")))) for arm in ("biased", "unbiased")]
    groups = [f["group"] for f in structures_to_show(frames, None)["frames"]]
    assert groups == ["biased, iteration 3", "unbiased, iteration 3"]


def test_a_crystal_is_moved_into_its_cell_by_cell_vectors() -> None:
    crystal = labelled(Atoms("Cu2", [[0, 0, 0], [2, 2, 2]], cell=[4, 5, 6], pbc=True))
    crystal.positions += [8.0, -5.0, 0.0]
    (shown,) = structures_to_show([("biased", frame(crystal))], None)["frames"]
    np.testing.assert_allclose(shown["positions"], [0, 0, 0, 2, 2, 2], atol=0.01)
    assert shown["cell"] == [[4, 0, 0], [0, 5, 0], [0, 0, 6]]
    assert "60.00 Å³ per atom" in shown["about"]


def test_many_or_large_structures_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [("a", frame(labelled(molecule("H2O")), f"{k:04d}-00")) for k in range(101)]
    monkeypatch.setattr(structures, "MAX_FRAMES", 11)
    data = structures_to_show(frames, None)
    keys = [f["name"] for f in data["frames"]]
    assert keys == [f"{k:04d}-00" for k in range(0, 101, 10)]
    assert data["n_frames"] == 101
    monkeypatch.setattr(structures, "MAX_ATOMS", 9)
    assert len(structures_to_show(frames, None)["frames"]) == 3
    assert structures_to_show([], None) is None
