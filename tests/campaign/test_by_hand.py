"""A campaign whose labels are made outside of it, and brought back in several files."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from campaigns import ALA2, Changes, metrics, shared_commands, tiny
from outcomes import labels

from pyubias.campaign.matching import Matcher
from pyubias.cli.label import label_file

REFERENCE = ALA2 / "quickstart.yaml"


def pyubias(folder: Path, *arguments: object, fails: bool = False) -> str:
    command = shared_commands().run(folder, *arguments)
    assert (command.wait() != 0) == fails, command.output
    return command.output


def shuffled(atoms: Atoms, seed: int) -> Atoms:
    """The same molecule with its atoms in another order, and at another place."""
    atoms = atoms[np.random.default_rng(seed).permutation(len(atoms))]
    atoms.positions += [3.0, -7.0, 1.0]
    return atoms


@pytest.mark.law("reference.files.kind", "reference.files.max_force")
def test_a_campaign_labelled_in_two_partial_imports_is_that_of_its_reference(
    tmp_path: Path, uninterrupted: Path
) -> None:
    changes: Changes = {"reference": {"kind": "files", "input": None}, "stop": {"labels": 14}}
    file = tiny(tmp_path, changes)
    run = tmp_path / "runs" / "tiny"
    for n_frames in (10, 4):
        output = pyubias(tmp_path, "run", file)
        assert f"{n_frames} frames wait for a label: label {run / 'to_label.extxyz'}" in output
        frames = ase.io.read(run / "to_label.extxyz", index=":")
        assert len(frames) == n_frames
        label_file(run / "to_label.extxyz", REFERENCE, tmp_path / "all.extxyz")
        known = ase.io.read(tmp_path / "all.extxyz", index=":")
        ase.io.write(tmp_path / "first.extxyz", [shuffled(a, k) for k, a in enumerate(known[:3])])
        ase.io.write(tmp_path / "rest.extxyz", known[3:])
        said = pyubias(tmp_path, "import", run, "first.extxyz")
        assert f"3 labels, 0 failed, 0 refused; {n_frames - 3} frames still wait" in said
        # what has its label waits no longer
        assert f"{n_frames - 3} frames wait for a label" in pyubias(tmp_path, "run", file)
        said = pyubias(tmp_path, "import", run, "rest.extxyz")
        assert "0 frames still wait\nrun the campaign again" in said
    pyubias(tmp_path, "run", file)
    assert [r["n_labels"] for r in metrics(run)] == [10, 14]
    assert not (run / "to_label.extxyz").exists()
    ours, theirs = labels(run), labels(uninterrupted)
    assert [f.split for f in ours] == [f.split for f in theirs[:14]]
    for a, b in zip(ours[:10], theirs[:10], strict=True):
        np.testing.assert_allclose(a.atoms.positions, b.atoms.positions, rtol=0, atol=1e-5)
        energies = [frame.atoms.info["REF_energy"] for frame in (a, b)]
        assert energies[0] == pytest.approx(energies[1], abs=1e-4)
        forces = [frame.atoms.arrays["REF_forces"] for frame in (a, b)]
        np.testing.assert_allclose(*forces, rtol=0, atol=1e-2)
    assert ours[10].uncertainty is not None


def test_what_is_no_frame_is_refused_and_the_rest_can_be_given_up(tmp_path: Path) -> None:
    changes: Changes = {
        "reference": {"kind": "files", "input": None, "max_force": 9.0},
        "stop": {"labels": 10},
    }
    file = tiny(tmp_path, changes)
    run = tmp_path / "runs" / "tiny"
    pyubias(tmp_path, "run", file)
    frames = ase.io.read(run / "to_label.extxyz", index=":")
    for k, atoms in enumerate(frames):
        atoms.info["REF_energy"] = -1.0 * k
        atoms.arrays["REF_forces"] = np.zeros((len(atoms), 3))
    frames[1].arrays["REF_forces"][0, 0] = 10.0
    moved = frames[2].copy()
    moved.positions[4, 0] += 0.05
    other = molecule("H2O")
    other.info["REF_energy"] = 1.0
    ase.io.write(tmp_path / "wrong.extxyz", [moved, other])
    bare = frames[3].copy()
    del bare.arrays["REF_forces"]
    ase.io.write(tmp_path / "bare.extxyz", bare)
    said = pyubias(tmp_path, "import", run, "bare.extxyz", fails=True)
    assert "refused: bare.extxyz, structure 0: it has no forces" in said
    said = pyubias(tmp_path, "import", run, "wrong.extxyz", fails=True)
    assert "wrong.extxyz, structure 0: the nearest structure has an atom 0.0" in said
    assert "wrong.extxyz, structure 1: no structure has H2O" in said
    assert "no structure of these files is a frame that waits for a label" in said
    ase.io.write(tmp_path / "right.extxyz", [frames[0], frames[1], frames[0]])
    said = pyubias(tmp_path, "import", run, "right.extxyz", "--give-up")
    assert "failed: right.extxyz, structure 1: |F| = 10 eV/Å is above the limit of 9" in said
    assert "refused: right.extxyz, structure 2: its frame has a label from these files" in said
    reasons = [f.reason for f in labels(run)]
    assert reasons[0] == ""
    assert reasons[1].startswith("|F| = 10")
    assert reasons[2:] == ["given up by the user"] * 8
    said = pyubias(tmp_path, "import", run, "right.extxyz", fails=True)
    assert "has a label: run the campaign again" in said


def test_frames_of_crystals_are_found_in_other_images_and_orders() -> None:
    generator = np.random.default_rng(1)
    frames = []
    for _ in range(50):
        atoms = bulk("Cu", cubic=True) * (2, 1, 1)
        atoms.set_chemical_symbols(generator.permutation(["Cu"] * 5 + ["Au"] * 3))
        atoms.set_cell(atoms.cell + generator.normal(0, 0.05, (3, 3)), scale_atoms=True)
        atoms.positions += generator.normal(0, 0.05, (8, 3))
        frames.append(atoms)
    matcher = Matcher(frames)
    for k in generator.permutation(50):
        order = generator.permutation(8)
        atoms = frames[k][order]
        atoms.positions += generator.integers(-2, 3, (8, 3)) @ atoms.cell.array
        atoms.positions += generator.normal(0, 1e-5, (8, 3))
        match = matcher.find(atoms)
        assert not isinstance(match, str)
        assert match.structure == k
        # equal atoms may be exchanged only where they are the same place, so never here
        np.testing.assert_array_equal(order[match.order], np.arange(8))
        assert np.abs(match.displacements).max() < 1e-4
        atoms.positions[3] += 0.01
        assert "the nearest structure has an atom 0.0" in matcher.find(atoms)


def test_slabs_and_clusters_are_found() -> None:
    slab = bulk("Cu", cubic=True) * (2, 2, 1)
    slab.pbc = (True, True, False)
    slab.positions += np.random.default_rng(0).normal(0, 0.1, (16, 3))
    cluster = Atoms("Cu4", np.random.default_rng(1).uniform(0, 4, (4, 3)))
    slab.positions[:4] = slab.cell[:2].sum(0) * 0.5 * np.arange(4)[:, None]  # some at the edges
    others = [slab.copy() for _ in range(40)]
    for k, atoms in enumerate(others):
        atoms.positions += np.random.default_rng(k + 2).normal(0, 0.1, (16, 3))
    matcher = Matcher([slab, cluster, *others])
    moved = slab[::-1]
    moved.positions += [slab.cell[0, 0] - 1e-5, -1e-5, 0.0]
    found = matcher.find(moved)
    assert not isinstance(found, str)
    assert found.structure == 0
    far = cluster.copy()
    far.positions += 50.0
    found = matcher.find(far)
    assert not isinstance(found, str)
    assert found.structure == 1


def test_crystals_whose_long_waves_are_alike_are_told_apart() -> None:
    """Two atoms half a cell apart, at four places: all waves that tell these apart vanish."""
    first = Atoms("Cu2Au", cell=[4.0, 5.0, 6.0], pbc=True)
    first.positions = [[0.0, 1.0, 2.0], [2.0, 1.0, 2.0], [0.3, 3.0, 4.0]]
    frames = [first.copy() for _ in range(4)]
    generator = np.random.default_rng(0)
    for k, atoms in enumerate(frames):
        atoms.positions[:2, 0] += 0.5 * k
    matcher = Matcher(frames)
    for k, atoms in enumerate(frames):
        atoms.positions += generator.normal(0.0, 1e-5, (3, 3))
        found = matcher.find(atoms)
        assert not isinstance(found, str)
        assert found.structure == k


def test_a_molecule_without_a_cell_is_not_found_in_one_of_a_program() -> None:
    alone, boxed = molecule("H2O"), molecule("H2O", cell=[8.0, 8.0, 8.0], pbc=True)
    assert "no structure has H2O with these periodic" in Matcher([alone]).find(boxed)
    kept = molecule("H2O", cell=[8.0, 8.0, 8.0])
    found = Matcher([alone, kept]).find(boxed)
    assert not isinstance(found, str)
    assert found.structure == 1


def test_a_thousand_frames_are_told_apart() -> None:
    generator = np.random.default_rng(2)
    start = molecule("CH3CH2OH")
    frames = [start.copy() for _ in range(1000)]
    for atoms in frames:
        atoms.positions += generator.normal(0, 0.1, atoms.positions.shape)
    matcher = Matcher(frames)
    assert [matcher.find(atoms).structure for atoms in frames] == list(range(1000))


def test_labels_of_another_kind_of_reference_are_not_imported(
    tmp_path: Path, uninterrupted: Path
) -> None:
    said = pyubias(tmp_path, "import", uninterrupted, "x.extxyz", fails=True)
    assert "come from reference.kind: lammps" in said
