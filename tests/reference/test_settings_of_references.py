"""Each setting of a reference makes its difference in a label."""

import os
import signal
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.io.lammpsdata import write_lammps_data
from structures import copper

from pyubias.config.schema import AseReference, LammpsReference
from pyubias.reference.label import LabelError, label_frame
from pyubias.reference.open import open_reference
from pyubias.training.labels import Label

law = pytest.mark.law
SCRIPT = """
variable cutoff index 4.0
units metal
atom_style atomic
atom_modify map array
read_data ${{here}}/argon.data
pair_style lj/cut ${{cutoff}}
pair_coeff * * {epsilon} 3.4
neighbor 1.0 bin
run 0
"""


def label_of(config: AseReference | LammpsReference, atoms: Atoms) -> Label:
    with open_reference(config) as reference:
        return label_frame(reference, atoms)


def ase_reference(calculator: str = "ase.calculators.emt.EMT", **changes: Any) -> AseReference:
    return AseReference(kind="ase", calculator=calculator, **changes)


def argon(length: float = 10.0, n: int = 1) -> Atoms:
    """Two atoms in a periodic cell, or n cells of them along its third vector."""
    atoms = Atoms("Ar2", positions=[[0, 0, 0], [3.6, 0, 0]], cell=[length] * 3, pbc=True)
    return atoms * (1, 1, n)


@pytest.fixture
def lammps(tmp_path: Path):
    """A reference of argon by LAMMPS, for one cell or several, with other settings."""

    def make(n: int = 1, epsilon: float = 0.01, **changes: Any) -> LammpsReference:
        data, script = tmp_path / "argon.data", tmp_path / f"argon-{epsilon}.in"
        options = {"masses": True, "units": "metal", "atom_style": "atomic"}
        write_lammps_data(str(data), argon(n=n), **options)
        script.write_text(SCRIPT.format(epsilon=epsilon))
        return LammpsReference(kind="lammps", input=script, **changes)

    return make


def pair_energy(epsilon: float, distance: float = 3.6) -> float:
    x = (3.4 / distance) ** 6
    return 4 * epsilon * (x * x - x)


@law("reference.lammps.kind", "reference.lammps.input")
def test_a_lammps_reference_is_the_force_field_of_its_script(lammps) -> None:
    for epsilon in (0.01, 0.02):
        label = label_of(lammps(epsilon=epsilon), argon())
        assert label.energy == pytest.approx(pair_energy(epsilon), rel=1e-9)


@law("reference.lammps.variables")
def test_a_script_gets_its_variables(lammps) -> None:
    """A cutoff below the distance of the two atoms leaves no pair."""
    assert label_of(lammps(variables={"cutoff": 3.5}), argon()).energy == 0.0
    assert label_of(lammps(variables={"cutoff": 3.7}), argon()).energy < 0.0


@law("reference.lammps.supercell")
def test_a_lammps_reference_sees_the_copies_of_a_cell(lammps) -> None:
    """Its script holds four atoms; the frame has two."""
    label = label_of(lammps(n=2, supercell=(1, 1, 2)), argon())
    assert label.energy == pytest.approx(pair_energy(0.01), rel=1e-9)
    assert label.forces.shape == (2, 3)
    assert label.stress == pytest.approx(label_of(lammps(), argon()).stress)


@law("reference.lammps.max_force", "reference.ase.max_force")
@pytest.mark.parametrize("kind", ["lammps", "ase"])
def test_a_force_above_the_limit_of_its_kind_fails_the_label(lammps, kind: str) -> None:
    atoms = argon()
    atoms.calc = LennardJones(sigma=3.4, epsilon=0.01, rc=4.0)
    largest = float(np.linalg.norm(atoms.get_forces(), axis=1).max())

    def label(limit: float) -> Label:
        if kind == "lammps":
            return label_of(lammps(max_force=limit), argon())
        arguments = {"sigma": 3.4, "epsilon": 0.01, "rc": 4.0}
        calculator = "ase.calculators.lj.LennardJones"
        return label_of(ase_reference(calculator, arguments=arguments, max_force=limit), argon())

    assert np.linalg.norm(label(1.01 * largest).forces, axis=1).max() == pytest.approx(largest)
    with pytest.raises(LabelError, match="above the limit of"):
        label(0.99 * largest)


@law("reference.ase.kind", "reference.ase.calculator")
def test_an_ase_reference_is_the_calculator_that_is_named() -> None:
    atoms = molecule("H2O")
    for name, calculator in (("emt.EMT", EMT), ("lj.LennardJones", LennardJones)):
        label = label_of(ase_reference(f"ase.calculators.{name}", max_force=1e9), atoms)
        atoms.calc = calculator()
        assert label.energy == pytest.approx(atoms.get_potential_energy())


@law("reference.ase.arguments")
def test_a_calculator_gets_its_arguments() -> None:
    def energy(epsilon: float) -> float:
        arguments = {"epsilon": epsilon, "sigma": 1.0}
        return label_of(
            ase_reference("ase.calculators.lj.LennardJones", arguments=arguments, max_force=1e9),
            molecule("H2O"),
        ).energy

    assert energy(2.0) == pytest.approx(2.0 * energy(1.0))


@law("reference.ase.file")
def test_a_calculator_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from ase.calculators.lj import LennardJones\n"
        "def mine():\n    return LennardJones(epsilon=3.0)\n"
    )
    ours = label_of(ase_reference("mine", file=file, max_force=1e9), molecule("H2O"))
    atoms = molecule("H2O")
    atoms.calc = LennardJones(epsilon=3.0)
    assert ours.energy == pytest.approx(atoms.get_potential_energy())


@law("reference.ase.supercell")
def test_an_ase_reference_sees_the_copies_of_a_cell(tmp_path: Path) -> None:
    file = tmp_path / "count.py"
    file.write_text(
        "from ase.calculators.emt import EMT\n"
        "class Count(EMT):\n"
        "    def calculate(self, atoms, *arguments):\n"
        "        super().calculate(atoms, *arguments)\n"
        "        self.results['energy'] = self.results['free_energy'] = 1.0 * len(atoms) ** 2\n"
    )
    (frame,) = copper(1)
    for supercell, n in (((1, 1, 1), 4), ((1, 2, 3), 24)):
        label = label_of(ase_reference("Count", file=file, supercell=supercell), frame)
        assert label.energy == pytest.approx(n**2 / (n // 4))
        assert label.forces.shape == (4, 3)


@law("reference.ase.timeout", "reference.lammps.timeout")
@pytest.mark.parametrize("kind", ["lammps", "ase"])
def test_a_label_that_takes_longer_than_its_limit_fails(lammps, kind: str) -> None:
    """The process of the reference is stopped for ever, as one that hangs."""
    config = lammps(timeout=60.0) if kind == "lammps" else ase_reference(timeout=60.0)
    atoms = argon() if kind == "lammps" else molecule("H2O")
    with open_reference(config) as reference:
        os.kill(reference._process.pid, signal.SIGSTOP)
        # setting up takes longer than this test would wait
        reference.config = config.model_copy(update={"timeout": 0.5})
        with pytest.raises(LabelError, match=r"took longer than reference\.timeout = 0\.5 s"):
            label_frame(reference, atoms)
        reference.config = config
        assert np.isfinite(label_frame(reference, atoms).energy)


FLAKY = """
import os
from pathlib import Path
from ase.calculators.emt import EMT

class Flaky(EMT):
    def calculate(self, *arguments):
        calls = Path(__file__).with_name("calls")
        n = int(calls.read_text()) if calls.exists() else 0
        calls.write_text(str(n + 1))
        if n == 0:
            raise RuntimeError("no licence")
        if n == 1:
            os._exit(7)
        super().calculate(*arguments)
"""


@law("reference.ase.retries")
def test_a_label_that_fails_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "flaky.py").write_text(FLAKY)
    (atoms,) = copper(1)
    flaky = ase_reference("Flaky", file=tmp_path / "flaky.py", retries=2)
    label = label_of(flaky, atoms)
    assert label.energy == pytest.approx(EMT().get_potential_energy(atoms))
    assert (tmp_path / "calls").read_text() == "3"
    (tmp_path / "calls").unlink()
    with pytest.raises(LabelError, match=r"^RuntimeError: no licence; then: .*exit"):
        label_of(flaky.model_copy(update={"retries": 1}), atoms)


@law("reference.lammps.retries")
def test_a_label_of_lammps_is_tried_again(lammps) -> None:
    config = lammps(retries=3)
    with open_reference(config) as reference:
        tries = mock.Mock(side_effect=LabelError("lost atoms"))
        with mock.patch.object(reference, "_label", tries), pytest.raises(LabelError):
            label_frame(reference, argon())
    assert tries.call_count == 4
