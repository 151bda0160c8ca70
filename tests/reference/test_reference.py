"""Labels are those of the method itself, in eV and Å, whatever its units, cell and order."""

import os
import sys
import threading
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms
from ase.io.lammpsdata import write_lammps_data
from ase.neighborlist import neighbor_list
from campaigns import ALA2, mpirun
from peptide import conformations
from structures import copper

from pyubias.config.loading import load_reference
from pyubias.config.schema import AseReference, LammpsReference
from pyubias.parallel import without_launcher
from pyubias.reference.label import LabelError, ReferenceMethodError, label_frame
from pyubias.reference.open import open_reference

EPSILON, SIGMA, CUTOFF = 0.0103, 3.4, 4.0
AMBER = LammpsReference(kind="lammps", input=ALA2 / "reference.in", max_force=1e9)


def ase_reference(calculator: str, max_force: float = 100.0, **arguments: Any) -> AseReference:
    return AseReference(kind="ase", calculator=calculator, arguments=arguments, max_force=max_force)


@pytest.fixture
def c7eq() -> Atoms:
    return ase.io.read(ALA2 / "c7eq.xyz")


def test_lammps_and_openmm_give_the_same_labels(c7eq: Atoms) -> None:
    """kcal/mol and kJ/mol both arrive as eV: 1e-8 is LAMMPS' Coulomb constant, see its test."""
    pytest.importorskip("openmm")
    openmm = load_reference(ALA2 / "openmm.yaml").model_copy(update={"max_force": 1e9})
    with open_reference(AMBER) as one, open_reference(openmm) as other:
        for atoms in [c7eq, *conformations(c7eq, 5)]:
            ours, theirs = label_frame(one, atoms), label_frame(other, atoms)
            largest = np.abs(theirs.forces).max()
            # LAMMPS' and CODATA's kcal/mol differ by 3e-8
            assert ours.energy == pytest.approx(theirs.energy, rel=2e-7, abs=1e-6)
            assert np.abs(ours.forces - theirs.forces).max() < 1e-6 + 2e-7 * largest
            assert ours.stress is None
            assert theirs.stress is None


def test_xtb_labels_are_a_gradient() -> None:
    pytest.importorskip("tblite.ase")
    reference = ase_reference("tblite.ase.TBLite", method="GFN2-xTB", verbosity=0, accuracy=0.01)
    atoms = molecule("CH3OH")
    atoms.rattle(0.05, seed=1)
    h = 1e-3
    with open_reference(reference) as method:
        label = label_frame(method, atoms)
        for i, k in ((0, 0), (1, 2), (4, 1)):
            energies = []
            for sign in (1, -1):
                moved = atoms.copy()
                moved.positions[i, k] += sign * h
                energies.append(label_frame(method, moved).energy)
            slope = -(energies[0] - energies[1]) / (2 * h)
            assert label.forces[i, k] == pytest.approx(slope, abs=1e-4)
    assert label.stress is None


@pytest.fixture
def argon_script(tmp_path: Path) -> Path:
    """A periodic reference of argon, for a cubic cell of 256 atoms."""
    write_lammps_data(
        str(tmp_path / "argon.data"), argon(), masses=True, units="metal", atom_style="atomic"
    )
    script = tmp_path / "argon.in"
    script.write_text(
        "variable cutoff index 3.0\nunits metal\natom_style atomic\natom_modify map array\n"
        "read_data ${here}/argon.data\npair_style lj/cut ${cutoff}\n"
        f"pair_coeff * * {EPSILON} {SIGMA}\nneighbor 1.0 bin\nrun 0\n"
    )
    return script


def argon() -> Atoms:
    return bulk("Ar", "fcc", a=5.2, cubic=True) * (4, 4, 4)


def argon_frames() -> list[Atoms]:
    """Rattled; sheared and turned away from LAMMPS' frame; the first again; whole cells away."""
    generator = np.random.default_rng(0)
    cubic = argon()
    cubic.rattle(0.1, rng=generator)
    turned = cubic.copy()
    rotation, _ = np.linalg.qr(generator.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    strain = np.eye(3) + 0.05 * generator.normal(size=(3, 3))
    turned.set_cell(turned.cell.array @ strain @ rotation, scale_atoms=True)
    away = turned.copy()
    away.positions += generator.integers(-2, 3, size=(len(away), 3)) @ away.cell.array
    return [cubic, turned, cubic, away]


def test_a_periodic_lammps_reference_equals_ase_in_any_cell(argon_script: Path) -> None:
    """Energy, forces and stress of lj/cut; the box follows the frames, sheared and back."""
    variables = {"cutoff": CUTOFF}
    reference = LammpsReference(kind="lammps", input=argon_script, variables=variables)
    shift = 4 * EPSILON * ((SIGMA / CUTOFF) ** 12 - (SIGMA / CUTOFF) ** 6)
    with open_reference(reference) as method:
        for atoms in argon_frames():
            label = label_frame(method, atoms)
            # ASE shifts the energy of a pair to zero at the cutoff, LAMMPS does not
            n_pairs = len(neighbor_list("i", atoms, CUTOFF)) / 2
            atoms.calc = LennardJones(sigma=SIGMA, epsilon=EPSILON, rc=CUTOFF, smooth=False)
            energy = atoms.get_potential_energy() + n_pairs * shift
            assert label.energy == pytest.approx(energy, rel=1e-10)
            np.testing.assert_allclose(label.forces, atoms.get_forces(), rtol=0, atol=1e-10)
            assert label.stress is not None
            np.testing.assert_allclose(label.stress, atoms.get_stress(), rtol=0, atol=1e-12)


def test_a_frame_that_fails_does_not_change_the_next_label(c7eq: Atoms) -> None:
    clash = c7eq.copy()
    clash.positions[3] = clash.positions[20]
    far = c7eq.copy()
    far.positions[5] = np.nan
    with open_reference(AMBER) as method:
        before = label_frame(method, c7eq)
        for broken in (clash, far):
            with pytest.raises(LabelError):
                label_frame(method, broken)
            after = label_frame(method, c7eq)
            assert after.energy == pytest.approx(before.energy, rel=0, abs=1e-10)
            np.testing.assert_allclose(after.forces, before.forces, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("raise", "^RuntimeError: SCF did not converge$"),
        ("nan", "energy, forces or stress are not finite"),
        ("inf", "energy, forces or stress are not finite"),
    ],
)
def test_a_failure_is_a_reason_of_one_line(how: str, reason: str) -> None:
    with (
        open_reference(ase_reference("references.Broken", how=how)) as method,
        pytest.raises(LabelError, match=reason),
    ):
        label_frame(method, molecule("H2O"))


def test_a_force_above_the_limit_is_no_label() -> None:
    atoms = molecule("H2O")
    atoms.positions[1] += 0.1
    atoms.calc = EMT()
    largest = np.linalg.norm(atoms.get_forces(), axis=1).max()
    for factor in (1.001, 0.999):
        limit = float(factor * largest)
        with open_reference(ase_reference("ase.calculators.emt.EMT", limit)) as method:
            if factor > 1:
                label_frame(method, atoms)
                continue
            message = rf"\|F\| = {largest:.4g} eV/Å is above the limit of {limit:g}"
            with pytest.raises(LabelError, match=message):
                label_frame(method, atoms)


def test_the_calculator_leaves_the_structure_alone() -> None:
    atoms = molecule("H2O")
    with open_reference(ase_reference("ase.calculators.emt.EMT")) as method:
        label_frame(method, atoms)
    assert atoms.calc is None
    assert atoms.info == {}


def test_another_order_or_number_of_atoms_is_refused(c7eq: Atoms) -> None:
    with open_reference(AMBER) as method:
        message = r"atom 1 is C in the structure and H in reference '.*reference\.in'; both must"
        with pytest.raises(ReferenceMethodError, match=message):
            label_frame(method, c7eq[[1, 0, *range(2, 22)]])
        message = r"reference '.*reference\.in' has 22 atoms, the structure 21"
        with pytest.raises(ReferenceMethodError, match=message):
            label_frame(method, c7eq[:21])


@pytest.mark.parametrize(
    ("calculator", "arguments", "message"),
    [
        ("nowhere.Calculator", {}, "'nowhere.Calculator' cannot be imported: No module named"),
        ("ase.calculators.emt.EMTT", {}, "'ase.calculators.emt.EMTT' cannot be imported"),
        ("EMT", {}, "'EMT' cannot be imported"),
        (
            "references.Broken",
            {"how": "refuse"},
            r"refused its arguments \{'how': 'refuse'\}: no such method",
        ),
        ("ase.units.kB", {}, "'ase.units.kB' is a float, wanted a class of calculators of ASE"),
        ("ase.Atoms", {}, "'ase.Atoms' is the class Atoms, wanted a class of calculators of ASE"),
        ("ase.build.fcc111", {"symbol": "Cu", "size": [1, 1, 1]}, "gives Atoms, wanted a"),
    ],
)
def test_a_calculator_that_cannot_be_made_is_named(
    calculator: str, arguments: dict[str, Any], message: str
) -> None:
    with (
        pytest.raises(ReferenceMethodError, match=message),
        open_reference(ase_reference(calculator, **arguments)) as method,
    ):
        label_frame(method, molecule("H2O"))


def test_what_cannot_be_a_calculator_is_not_called(tmp_path: Path) -> None:
    reference = ase_reference("os.system", command=f"touch {tmp_path / 'called'}")
    message = "'os.system' is of Python's standard library, which has no calculator"
    with pytest.raises(ReferenceMethodError, match=message), open_reference(reference):
        pass
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("units metal\nnonsense 1\n", r"reference '.*x\.in': Unknown command: nonsense 1"),
        ("units metal\nread_data gone.data\n", r"Cannot open file gone\.data"),
        ("units lj\n", "units must be metal or real, got lj"),
    ],
)
def test_a_script_that_lammps_refuses_is_an_error_in_its_words(
    tmp_path: Path, script: str, message: str
) -> None:
    (tmp_path / "x.in").write_text(script)
    reference = LammpsReference(kind="lammps", input=tmp_path / "x.in")
    with pytest.raises(ReferenceMethodError, match=message) as error, open_reference(reference):
        pass
    assert "\n" not in str(error.value)


def test_a_reference_leaves_no_thread_or_instance_behind(c7eq: Atoms) -> None:
    before = threading.active_count()
    energies = []
    for _ in range(3):
        with open_reference(AMBER) as method:
            energies.append(label_frame(method, c7eq).energy)
    assert len(set(energies)) == 1
    assert threading.active_count() == before


def test_a_mistake_in_a_calculator_file_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("class Mine(\n")
    config = AseReference(kind="ase", file=file, calculator="Mine")
    with (
        pytest.raises(ReferenceMethodError, match=r"'Mine' of '.*mine\.py' cannot be imported"),
        open_reference(config),
    ):
        pass


def test_a_supercell_gives_the_labels_of_one_cell() -> None:
    (frame,) = copper(1)
    config = AseReference(kind="ase", calculator="ase.calculators.emt.EMT", supercell=(1, 2, 3))
    with open_reference(config) as method:
        label = label_frame(method, frame)
    assert label.energy == pytest.approx(frame.info["REF_energy"], abs=1e-9)
    np.testing.assert_allclose(label.forces, frame.arrays["REF_forces"], atol=1e-10)
    np.testing.assert_allclose(label.stress, frame.info["REF_stress"], atol=1e-12)


def test_a_supercell_of_a_molecule_is_refused(c7eq: Atoms) -> None:
    config = AseReference(kind="ase", calculator="ase.calculators.emt.EMT", supercell=(1, 1, 2))
    with (
        open_reference(config) as method,
        pytest.raises(ReferenceMethodError, match="a direction that is not periodic"),
    ):
        label_frame(method, c7eq)


PROGRAM = """
import subprocess, sys
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms
LIST = "import os; print(*(k for k in os.environ if 'PMI_' in k or 'OMPI_C' in k))"
COMMAND = [sys.executable, "-c", LIST]
class Program(LennardJones):
    def calculate(self, *arguments):
        seen = subprocess.run(COMMAND, capture_output=True, text=True).stdout.split()
        if seen:
            raise RuntimeError("a program would take itself for a rank: " + " ".join(seen))
        super().calculate(*arguments)
"""


def test_programs_of_a_reference_do_not_take_themselves_for_ranks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    monkeypatch.setenv("PMI_RANK", "3")
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "3")
    config = AseReference(kind="ase", calculator="program.Program", file=tmp_path / "program.py")
    with open_reference(config) as method:
        label_frame(method, molecule("H2O"))
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with without_launcher():
        assert os.environ["SLURM_JOB_ID"] == "17"
    assert os.environ["PMI_RANK"] == os.environ["OMPI_COMM_WORLD_RANK"] == "3"


THROUGH_FILES = """
from pathlib import Path
import numpy as np
from ase.calculators.calculator import FileIOCalculator
class ThroughFiles(FileIOCalculator):
    implemented_properties = ["energy", "forces"]
    def write_input(self, atoms, *arguments):
        super().write_input(atoms, *arguments)
        np.savetxt(Path(self.directory) / "x.in", atoms.positions)
    def read_results(self):
        x = np.loadtxt(Path(self.directory) / "x.out")
        self.results = {"energy": (x**2).sum(), "forces": -2.0 * x}
"""
LABEL_TEN = """
import numpy as np
from ase import Atoms
from mpi4py import MPI
from pyubias.config.loading import load_reference
from pyubias.reference.label import label_frame
from pyubias.reference.open import open_reference

generator = np.random.default_rng(MPI.COMM_WORLD.rank)
with open_reference(load_reference("reference.yaml")) as method:
    for _ in range(10):
        atoms = Atoms("H3", positions=generator.normal(size=(3, 3)))
        label = label_frame(method, atoms)
        np.testing.assert_allclose(label.forces, -2.0 * atoms.positions)
"""


def test_ranks_whose_calculators_write_files_do_not_mix_them_up(tmp_path: Path) -> None:
    (tmp_path / "files.py").write_text(THROUGH_FILES)
    (tmp_path / "label.py").write_text(LABEL_TEN)
    settings = {
        "kind": "ase",
        "calculator": "files.ThroughFiles",
        "file": "files.py",
        "arguments": {"command": "sleep 0.02 && cp x.in x.out"},
    }
    (tmp_path / "reference.yaml").write_text(yaml.safe_dump(settings))
    done = mpirun(2, tmp_path, sys.executable, "label.py")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.glob("rank-*")) == ["rank-0", "rank-1"]


def shown(how: str, atoms: Atoms) -> Any:
    with open_reference(ase_reference("references.Shown", 1e9, how=how)) as method:
        return label_frame(method, atoms)


def test_fixed_atoms_have_the_forces_of_the_calculator() -> None:
    (free,) = copper(1)
    fixed = free.copy()
    fixed.set_constraint(FixAtoms([0, 2]))
    reference = ase_reference("ase.calculators.emt.EMT")
    with open_reference(reference) as method:
        np.testing.assert_allclose(label_frame(method, fixed).forces, free.arrays["REF_forces"])


def test_the_energy_of_a_label_is_the_one_that_forces_belong_to() -> None:
    (atoms,) = copper(1)
    assert shown("free", atoms).energy == pytest.approx(shown("", atoms).energy - 0.25)


def test_a_calculator_without_stress_labels_energy_and_forces() -> None:
    (atoms,) = copper(1)
    assert shown("", atoms).stress is not None
    assert shown("no stress", atoms).stress is None


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("unconverged", "^not converged$"),
        ("flat", r"forces must have shape \(4, 3\), got \(12,\)"),
        ("text", "energy must be real numbers, got 'low'"),
        ("large", "energy of 1e\\+30 eV is beyond reason for 4 atoms"),
    ],
)
def test_results_that_are_no_labels_fail(how: str, reason: str) -> None:
    with pytest.raises(LabelError, match=reason):
        shown(how, copper(1)[0])


def test_a_calculator_is_shown_the_charges_and_moments_of_atoms() -> None:
    atoms = molecule("H2O")
    atoms.set_initial_charges([1.0, 0.0, -3.0])
    atoms.set_initial_magnetic_moments([0.0, 2.0, 0.0])
    assert shown("charges", atoms).energy == pytest.approx(198.0)


def test_a_left_handed_cell_has_the_labels_of_the_same_crystal(argon_script: Path) -> None:
    right = argon_frames()[1]
    left = right.copy()
    left.set_cell(right.cell.array * [[1], [-1], [1]])
    assert np.linalg.det(left.cell.array) < 0.0
    reference = LammpsReference(kind="lammps", input=argon_script, variables={"cutoff": CUTOFF})
    with open_reference(reference) as method:
        ours, theirs = (label_frame(method, atoms) for atoms in (left, right))
    assert ours.energy == pytest.approx(theirs.energy, rel=1e-12)
    np.testing.assert_allclose(ours.forces, theirs.forces, atol=1e-12)
    np.testing.assert_allclose(ours.stress, theirs.stress, atol=1e-14)


def test_a_lammps_reference_refuses_another_periodicity(argon_script: Path, c7eq: Atoms) -> None:
    slab = argon()
    slab.pbc = (True, True, False)
    reference = LammpsReference(kind="lammps", input=argon_script, variables={"cutoff": CUTOFF})
    message = r"the structure has pbc T T F, reference '.*argon\.in' has pbc T T T"
    with (
        open_reference(reference) as method,
        pytest.raises(ReferenceMethodError, match=message),
    ):
        label_frame(method, slab)
    c7eq.set_cell([40.0] * 3)
    c7eq.pbc = True
    with (
        open_reference(AMBER) as method,
        pytest.raises(ReferenceMethodError, match=r"pbc T T T, reference '.*' has pbc F F F"),
    ):
        label_frame(method, c7eq)


def test_a_lammps_reference_refuses_charges_and_moments_that_are_not_its_own(c7eq: Atoms) -> None:
    with open_reference(AMBER) as method:
        before = label_frame(method, c7eq).energy
        c7eq.set_initial_charges(np.full(22, 1 / 22))
        with pytest.raises(LabelError, match="charges that differ from those of reference"):
            label_frame(method, c7eq)
        c7eq.set_initial_charges(charges_of(ALA2 / "ala2.data"))
        assert label_frame(method, c7eq).energy == pytest.approx(before)
        c7eq.set_initial_magnetic_moments(np.ones(22))
        with pytest.raises(LabelError, match="magnetic moments, which a LAMMPS reference does not"):
            label_frame(method, c7eq)


def charges_of(data: Path) -> list[float]:
    """Of a data file of atom_style full, in the order of IDs."""
    lines = data.read_text().split("Atoms", 1)[1].split("\n\n")[1].splitlines()
    return [float(line.split()[3]) for line in sorted(lines, key=lambda x: int(x.split()[0]))]


def test_a_slab_outside_its_box_has_the_labels_of_the_slab_inside(argon_script: Path) -> None:
    """Below zero, without a third vector, and in the middle of the box: one slab."""
    text = argon_script.read_text().replace("units metal", "units metal\nboundary p p f")
    argon_script.write_text(text)
    inside = argon()
    inside.pbc = (True, True, False)
    inside.cell[2, 2] += 20.0
    inside.positions[:, 2] += 10.0
    below, flat = inside.copy(), inside.copy()
    below.positions[:, 2] -= 25.0
    flat.cell[2] = 0.0
    reference = LammpsReference(kind="lammps", input=argon_script, variables={"cutoff": CUTOFF})
    with open_reference(reference) as method:
        labels = [label_frame(method, atoms) for atoms in (inside, below, flat)]
    for label in labels[1:]:
        assert label.energy == pytest.approx(labels[0].energy, rel=1e-12)
        np.testing.assert_allclose(label.forces, labels[0].forces, atol=1e-12)


TWO_TYPES = """units metal
atom_modify map array
region box block 0 9 0 9 0 9
create_box 2 box
create_atoms 1 single 1 1 1
create_atoms 2 single 3 3 3
mass 1 63.546
mass 2 196.97
pair_style lj/cut 4
pair_coeff * * 0.01 2
jump SELF over
pair_coeff * * x.eam.alloy {order}
label over
run 0
"""


def test_elements_of_a_script_in_another_order_than_its_types_are_refused(tmp_path: Path) -> None:
    """The line with the elements is jumped over: a potential file would be longer than the test."""
    reference = LammpsReference(kind="lammps", input=tmp_path / "x.in")
    (tmp_path / "x.in").write_text(TWO_TYPES.format(order="Au Cu"))
    message = r"pair_coeff calls atom type 1 Au, whose mass is 196\.967, but its mass is 63\.546"
    with pytest.raises(ReferenceMethodError, match=message), open_reference(reference):
        pass
    (tmp_path / "x.in").write_text(TWO_TYPES.format(order="Cu Au"))
    with open_reference(reference) as method:
        atoms = Atoms("CuAu", positions=[[1, 1, 1], [3, 3, 3]], cell=[9] * 3, pbc=True)
        assert label_frame(method, atoms).energy == pytest.approx(0.0, abs=0.01)


def test_a_cp2k_that_goes_on_without_convergence_gives_no_label(tmp_path: Path) -> None:
    one, two = copper(2)
    config = ase_reference("references.CP2K", 1e9, folder=str(tmp_path))
    with open_reference(config) as method:
        label_frame(method, one)
        with pytest.raises(LabelError, match="not converged"):
            label_frame(method, two)
        # the new calculator converges, and the output still holds the failure before it
        label_frame(method, two)
