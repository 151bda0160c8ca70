"""`pyubias label` writes what trains: labels under the project's names, and nothing that failed."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from campaigns import shared_commands

from pyubias.campaign.label_store import LabelStore
from pyubias.cli.label import label_file
from pyubias.errors import UserError
from pyubias.training.reading import read_frames


@pytest.fixture
def emt(tmp_path: Path) -> Path:
    path = tmp_path / "emt.yaml"
    path.write_text("kind: ase\ncalculator: ase.calculators.emt.EMT\nmax_force: 30.0\n")
    return path


def rattled(n: int) -> list[Atoms]:
    frames = [molecule("H2O") for _ in range(n)]
    for k, atoms in enumerate(frames):
        atoms.rattle(0.02, seed=k)
    return frames


def test_labels_of_a_file_are_those_of_the_reference(tmp_path: Path, emt: Path) -> None:
    frames = [*rattled(2), bulk("Cu", cubic=True)]
    ase.io.write(tmp_path / "in.extxyz", frames)
    assert label_file(tmp_path / "in.extxyz", emt, tmp_path / "out.extxyz") == (3, [])
    labelled, sentence = read_frames(tmp_path / "out.extxyz")
    assert "REF_energy (3 of 3)" in sentence
    for atoms, frame in zip(labelled, frames, strict=True):
        frame.calc = EMT()
        assert atoms.info["REF_energy"] == pytest.approx(frame.get_potential_energy(), abs=1e-6)
        forces = frame.get_forces()
        np.testing.assert_allclose(atoms.arrays["REF_forces"], forces, rtol=0, atol=1e-6)
        assert ("REF_stress" in atoms.info) == frame.pbc.all()


def test_frames_that_fail_are_listed_and_left_out(tmp_path: Path, emt: Path) -> None:
    frames = rattled(3)
    frames[1].positions[1] = frames[1].positions[0] + [0, 0, 0.2]
    ase.io.write(tmp_path / "in.extxyz", frames)
    done, (reason,) = label_file(tmp_path / "in.extxyz", emt, tmp_path / "out.extxyz")
    assert done == 2
    assert reason.startswith("structure 1: |F| = ")
    assert len(ase.io.read(tmp_path / "out.extxyz", index=":")) == 2


def test_labels_that_the_file_had_are_replaced(tmp_path: Path, emt: Path) -> None:
    (atoms,) = rattled(1)
    atoms.info["REF_energy"] = 1e3
    atoms.arrays["momenta"] = np.ones((3, 3))
    ase.io.write(tmp_path / "in.extxyz", atoms)
    label_file(tmp_path / "in.extxyz", emt, tmp_path / "out.extxyz")
    read = ase.io.read(tmp_path / "out.extxyz")
    atoms.calc = EMT()
    assert read.info["REF_energy"] == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
    assert set(read.arrays) == {"numbers", "positions", "REF_forces"}


def test_a_lammps_dump_of_a_molecule_becomes_molecules_without_a_box(
    tmp_path: Path, emt: Path
) -> None:
    (atoms,) = rattled(1)
    rows = [
        f"{k + 1} {s} {x} {y} {z}"
        for k, (s, (x, y, z)) in enumerate(zip(atoms.symbols, atoms.positions, strict=True))
    ]
    header = "ITEM: TIMESTEP\n{}\nITEM: NUMBER OF ATOMS\n3\nITEM: BOX BOUNDS ss ss ss\n"
    text = "".join(
        header.format(t)
        + "-9 9\n-9 9\n-9 9\nITEM: ATOMS id element x y z\n"
        + "\n".join(rows)
        + "\n"
        for t in (0, 10)
    )
    (tmp_path / "walk.dump").write_text(text)
    assert label_file(tmp_path / "walk.dump", emt, tmp_path / "out.extxyz") == (2, [])
    for read in ase.io.read(tmp_path / "out.extxyz", index=":"):
        assert not read.pbc.any()
        assert read.cell.rank == 0
        np.testing.assert_allclose(read.positions, atoms.positions, rtol=0, atol=1e-7)


def test_structures_that_are_missing_or_unreadable_are_an_error(tmp_path: Path, emt: Path) -> None:
    with pytest.raises(UserError, match=r"structures '.*gone\.xyz' do not exist"):
        label_file(tmp_path / "gone.xyz", emt, tmp_path / "out.extxyz")
    (tmp_path / "bad.xyz").write_text("3\n\nH 0 0\n")
    with pytest.raises(UserError, match=r"structures '.*bad\.xyz' cannot be read"):
        label_file(tmp_path / "bad.xyz", emt, tmp_path / "out.extxyz")
    assert not (tmp_path / "out.extxyz").exists()


def test_charges_and_moments_of_atoms_reach_the_calculator(tmp_path: Path) -> None:
    (atoms,) = rattled(1)
    atoms.set_initial_charges([1.0, 0.0, 0.0])
    atoms.set_initial_magnetic_moments([0.0, 2.0, 0.0])
    ase.io.write(tmp_path / "in.extxyz", atoms)
    (tmp_path / "sees.py").write_text(
        "from ase.calculators.emt import EMT\n"
        "class Sees(EMT):\n"
        "    def calculate(self, *arguments):\n"
        "        super().calculate(*arguments)\n"
        "        charge = self.atoms.get_initial_charges()[0]\n"
        "        moment = self.atoms.get_initial_magnetic_moments()[1]\n"
        "        self.results.update(energy=10 * charge + moment, free_energy=None)\n"
    )
    settings = "kind: ase\ncalculator: Sees\nfile: sees.py\n"
    (tmp_path / "sees.yaml").write_text(settings)
    label_file(tmp_path / "in.extxyz", tmp_path / "sees.yaml", tmp_path / "out.extxyz")
    read = ase.io.read(tmp_path / "out.extxyz")
    assert read.info["REF_energy"] == 12.0
    assert read.get_initial_charges()[0] == 1.0


@pytest.mark.parametrize(("key", "value"), [("charge", 1), ("multiplicity", 3), ("spin", 1.0)])
def test_charges_and_spins_in_info_are_refused(tmp_path: Path, emt: Path, key: str, value) -> None:
    frames = rattled(2)
    frames[1].info[key] = value
    ase.io.write(tmp_path / "in.extxyz", frames)
    message = rf"structure 1 has {key} {value} in its info, which calculators do not read"
    with pytest.raises(UserError, match=message):
        label_file(tmp_path / "in.extxyz", emt, tmp_path / "out.extxyz")


def test_a_stress_that_the_file_had_is_not_kept_beside_new_labels(tmp_path: Path) -> None:
    atoms = bulk("Cu", cubic=True)
    atoms.info["REF_stress"] = np.ones(6)
    ase.io.write(tmp_path / "in.extxyz", atoms)
    (tmp_path / "none.py").write_text(
        "from ase.calculators.emt import EMT\n"
        "class NoStress(EMT):\n"
        "    def calculate(self, *arguments):\n"
        "        super().calculate(*arguments)\n"
        "        del self.results['stress']\n"
    )
    (tmp_path / "none.yaml").write_text("kind: ase\ncalculator: NoStress\nfile: none.py\n")
    label_file(tmp_path / "in.extxyz", tmp_path / "none.yaml", tmp_path / "out.extxyz")
    assert "REF_stress" not in ase.io.read(tmp_path / "out.extxyz").info


COUNTS = """
from pathlib import Path
from ase.calculators.emt import EMT

class Counts(EMT):
    def calculate(self, *arguments):
        super().calculate(*arguments)
        counter = Path(__file__).with_name("calls")
        n = counter.stat().st_size if counter.exists() else 0
        counter.write_text("." * (n + 1))
        if n + 1 == STOP:
            raise SystemExit
"""


def counting(folder: Path, fails_at: int) -> Path:
    """A reference that counts its calculations in a file; one of them fails."""
    (folder / "counts.py").write_text(COUNTS.replace("STOP", str(fails_at)))
    (folder / "counts.yaml").write_text("kind: ase\ncalculator: Counts\nfile: counts.py\n")
    return folder / "counts.yaml"


def test_the_same_command_labels_only_what_failed_before(tmp_path: Path) -> None:
    reference = counting(tmp_path, fails_at=2)
    ase.io.write(tmp_path / "in.extxyz", rattled(4))
    paths = (tmp_path / "in.extxyz", reference, tmp_path / "out.extxyz")
    done, (reason,) = label_file(*paths)
    assert done == 3
    assert reason.startswith("structure 1: ")
    assert (tmp_path / "out.unfinished.db").is_file()
    assert label_file(*paths) == (4, [])
    assert (tmp_path / "calls").stat().st_size == 5
    assert not (tmp_path / "out.unfinished.db").exists()


def test_labels_of_a_killed_command_are_kept_and_belong_to_their_structure(tmp_path: Path) -> None:
    reference = counting(tmp_path, fails_at=0)
    frames = rattled(30)
    ase.io.write(tmp_path / "in.extxyz", frames)
    command = shared_commands().start(tmp_path, "label", "in.extxyz", reference, "-o", "o.extxyz")
    calls = tmp_path / "calls"
    command.kill_when(lambda: calls.is_file() and calls.stat().st_size >= 5)
    before = len(LabelStore(tmp_path / "o.unfinished.db").keys())
    assert before >= 4
    ase.io.write(tmp_path / "in.extxyz", frames[::-1])
    made = calls.stat().st_size
    assert label_file(tmp_path / "in.extxyz", reference, tmp_path / "o.extxyz") == (30, [])
    assert calls.stat().st_size - made == 30 - before
    for read, frame in zip(
        ase.io.read(tmp_path / "o.extxyz", index=":"), frames[::-1], strict=True
    ):
        frame.calc = EMT()
        energy = frame.get_potential_energy()
        assert read.info["REF_energy"] == pytest.approx(energy, abs=1e-6)


def test_another_reference_makes_its_own_labels(tmp_path: Path, emt: Path) -> None:
    ase.io.write(tmp_path / "in.extxyz", rattled(2))
    paths = (tmp_path / "in.extxyz", counting(tmp_path, fails_at=1), tmp_path / "out.extxyz")
    assert label_file(*paths)[0] == 1
    text = (tmp_path / "counts.py").read_text()
    (tmp_path / "counts.py").write_text(text + "\n# edited\n")
    assert label_file(*paths) == (2, [])
    assert (tmp_path / "calls").stat().st_size == 4
