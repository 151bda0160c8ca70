"""ASE writes inputs of programs that ask for energy, forces and stress of the frame."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.cp2k import parse_input
from ase.io.orca import read_geom_orcainp

from pyubias.config.schema import FilesReference
from pyubias.errors import UserError
from pyubias.reference.program_inputs import PROGRAMS, write_program_inputs
from pyubias.training.reading import read_frames

# those of Debian's quantum-espresso-data
PSEUDO = Path(os.environ.get("ESPRESSO_PSEUDO", "/usr/share/espresso/pseudo"))
SILICON = {
    "pseudopotentials": {"Si": "Si.pz-vbc.UPF"},
    "input_data": {"ecutwfc": 30, "pseudo_dir": str(PSEUDO), "conv_thr": 1e-9},
    "kpts": [2, 2, 2],
}
CP2K = {
    "basis_set": "DZVP-MOLOPT-GTH",
    "basis_set_file": "BASIS_MOLOPT",
    "pseudo_potential": "GTH-PBE",
    "potential_file": "GTH_POTENTIALS",
    "cutoff": 3000.0,
    "xc": "PBE",
    "max_scf": 40,
}


def alloy() -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.set_chemical_symbols(["Cu", "Au", "Cu", "Au"])
    atoms.positions += np.random.default_rng(0).normal(0.0, 0.1, (4, 3))
    return atoms


def silicon() -> Atoms:
    atoms = bulk("Si")
    atoms.positions[1] += [0.05, 0.02, -0.03]
    atoms.set_cell(atoms.cell * [[1.01], [1.02], [0.98]], scale_atoms=True)
    return atoms


def water() -> Atoms:
    atoms = molecule("H2O", cell=[6.0, 6.2, 6.4], pbc=True)
    atoms.positions += [0.3, 0.2, -0.5]
    return atoms


def write(folder: Path, program: str, atoms: Atoms, **arguments: Any) -> dict[str, str]:
    """The files that were written, by name."""
    config = FilesReference.model_validate(
        {"kind": "files", "program": program, "arguments": arguments}
    )
    write_program_inputs(config, atoms, folder)
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_vasp_gets_a_single_point_without_potentials(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("VASP_PP_PATH", raising=False)
    atoms = alloy()
    files = write(tmp_path, "vasp", atoms, encut=400, kpts=[3, 3, 2], gamma=True, xc="pbe")
    assert set(files) == set(PROGRAMS["vasp"].inputs) - {"POTCAR"}
    settings = dict(line.split(" = ") for line in files["INCAR"].splitlines() if "=" in line)
    assert float(settings["ENCUT"]) == 400.0
    assert [settings[key] for key in ("GGA", "NSW", "IBRION", "ISIF")] == ["PE", "0", "-1", "2"]
    assert files["KPOINTS"].splitlines()[2:4] == ["Gamma", "3 3 2"]
    written = ase.io.read(tmp_path / "POSCAR")
    # by element, as POTCAR must be
    assert written.get_chemical_symbols() == ["Cu", "Cu", "Au", "Au"]
    np.testing.assert_allclose(written.positions, atoms.positions[[0, 2, 1, 3]], atol=1e-12)
    np.testing.assert_allclose(written.cell.array, atoms.cell.array, atol=1e-12)


def test_vasp_gets_its_potentials_where_there_are_some(tmp_path: Path, monkeypatch) -> None:
    for element in ("Au", "Cu"):
        folder = tmp_path / "potentials" / "potpaw_PBE" / element
        folder.mkdir(parents=True)
        (folder / "POTCAR").write_text(f"PAW_PBE {element}\n")
    monkeypatch.setenv("VASP_PP_PATH", str(tmp_path / "potentials"))
    (tmp_path / "frame").mkdir()
    files = write(tmp_path / "frame", "vasp", alloy(), xc="pbe", isif=0)
    assert files["POTCAR"] == "PAW_PBE Cu\nPAW_PBE Au\n"
    assert "ISIF = 0" in files["INCAR"]


def test_espresso_is_asked_for_forces_and_stress(tmp_path: Path) -> None:
    atoms = silicon()
    text = write(tmp_path, "espresso", atoms, **SILICON)["espresso.pwi"]
    lines = [line.split() for line in text.splitlines()]
    assert ["tprnfor", "=", ".true."] in lines
    assert ["tstress", "=", ".true."] in lines
    assert ["ecutwfc", "=", "30"] in lines
    assert ["2", "2", "2", "0", "0", "0"] in lines
    written = ase.io.read(tmp_path / "espresso.pwi")
    np.testing.assert_allclose(written.positions, atoms.positions, atol=1e-9)
    np.testing.assert_allclose(written.cell.array, atoms.cell.array, atol=1e-9)


def test_what_the_arguments_say_of_forces_and_stress_stays(tmp_path: Path) -> None:
    options = {"input_data": {"control": {"tstress": False}}, "pseudopotentials": {"Si": "Si.UPF"}}
    assert (
        "tstress          = .false."
        in write(tmp_path, "espresso", silicon(), **options)["espresso.pwi"]
    )


@pytest.mark.parametrize("method", ["PBE def2-SVP", "PBE ENGRAD def2-SVP"])
def test_orca_is_asked_for_forces_once(tmp_path: Path, method: str) -> None:
    atoms = molecule("CH3CH2OH")
    text = write(tmp_path, "orca", atoms, orcasimpleinput=method, charge=1, mult=2)["orca.inp"]
    first = text.splitlines()[0].lower().split()
    assert sorted(first) == ["!", "def2-svp", "engrad", "pbe"]
    assert "*xyz 1 2" in text
    written = read_geom_orcainp(tmp_path / "orca.inp")
    assert written.get_chemical_symbols() == atoms.get_chemical_symbols()
    np.testing.assert_allclose(written.positions, atoms.positions, atol=1e-12)


def test_cp2k_is_asked_for_forces_stress_cell_and_coordinates(tmp_path: Path) -> None:
    atoms = water()
    root = parse_input(write(tmp_path, "cp2k", atoms, **CP2K)["cp2k.inp"])
    assert "RUN_TYPE ENERGY_FORCE" in root.get_subsection("GLOBAL").keywords
    assert "STRESS_TENSOR ANALYTICAL" in root.get_subsection("FORCE_EVAL").keywords
    for path in (
        "PRINT/FORCES",
        "PRINT/STRESS_TENSOR",
        "SUBSYS/PRINT/ATOMIC_COORDINATES",
        "SUBSYS/PRINT/CELL",
    ):
        assert root.get_subsection(f"FORCE_EVAL/{path}").params == "ON", path
    rows = root.get_subsection("FORCE_EVAL/SUBSYS/COORD").keywords
    assert [row.split()[0] for row in rows] == ["O", "H", "H"]
    positions = [[float(x) for x in row.split()[1:]] for row in rows]
    np.testing.assert_allclose(positions, atoms.positions, atol=1e-12)


def test_cp2k_is_not_asked_for_the_stress_of_a_molecule(tmp_path: Path) -> None:
    """Whose cell is that of its grid; a run type of one's own stays."""
    atoms = water()
    atoms.pbc = False
    inp = "&GLOBAL\n  RUN_TYPE ENERGY_FORCE_X\n&END GLOBAL"
    root = parse_input(write(tmp_path, "cp2k", atoms, inp=inp, **CP2K)["cp2k.inp"])
    assert not any("STRESS" in k for k in root.get_subsection("FORCE_EVAL").keywords)
    runs = [k for k in root.get_subsection("GLOBAL").keywords if k.startswith("RUN_TYPE")]
    assert runs == ["RUN_TYPE ENERGY_FORCE_X"]


@pytest.mark.parametrize(
    ("program", "atoms", "arguments", "message"),
    [
        ("vasp", molecule("H2O"), {}, "vasp needs three cell vectors, and H2O has 0"),
        ("vasp", alloy(), {"encut": {}, "x": {}}, "cannot write the input of vasp: .*x = "),
        ("espresso", silicon(), {}, "pseudopotentials has no file for Si"),
        ("orca", silicon(), {"orcasimpleinput": "PBE"}, "molecules only, and Si2 is periodic"),
        ("orca", molecule("H2O"), {}, "orcasimpleinput, which names the method, is missing"),
        ("orca", molecule("H2O"), {"method": "PBE"}, "unknown argument 'method'"),
        ("cp2k", water(), {"cutof": 1.0}, "cannot write the input of cp2k: .*cutof"),
    ],
)
def test_a_frame_or_an_argument_that_cannot_be_is_refused_in_a_line(
    tmp_path: Path, program: str, atoms: Atoms, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        write(tmp_path, program, atoms, **arguments)
    assert "\n" not in str(caught.value)


def labelled_by(folder: Path, command: str, output: str) -> Atoms:
    subprocess.run(command, shell=True, cwd=folder, check=False, stderr=subprocess.DEVNULL)
    (atoms,), _ = read_frames(folder / output)
    return atoms


@pytest.mark.skipif(shutil.which("pw.x") is None, reason="Quantum ESPRESSO is not installed")
def test_pw_labels_what_was_written(tmp_path: Path) -> None:
    """Its forces and stress are derivatives of its energy, in our units and with our signs."""

    def label(atoms: Atoms) -> Atoms:
        write(tmp_path, "espresso", atoms, **SILICON)
        return labelled_by(tmp_path, "pw.x -in espresso.pwi > espresso.pwo", "espresso.pwo")

    start = silicon()
    known = label(start)
    np.testing.assert_allclose(known.positions, start.positions, atol=1e-5)
    slopes = []
    for displaced in (True, False):
        energies = []
        for sign in (1.0, -1.0):
            atoms = start.copy()
            if displaced:
                atoms.positions[1, 0] += 0.01 * sign
            else:
                atoms.set_cell(atoms.cell @ np.diag([1, 1 + 0.005 * sign, 1]), scale_atoms=True)
            energies.append(label(atoms).info["REF_energy"])
        slopes.append(energies[0] - energies[1])
    assert -slopes[0] / 0.02 == pytest.approx(known.arrays["REF_forces"][1, 0], abs=0.01)
    stress = slopes[1] / 0.01 / start.get_volume()
    # the number of plane waves changes with the cell
    assert stress == pytest.approx(known.info["REF_stress"][1], rel=0.1)


@pytest.mark.slow
@pytest.mark.cp2k
@pytest.mark.skipif(shutil.which("cp2k.psmp") is None, reason="CP2K is not installed")
def test_cp2k_labels_what_was_written(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("CP2K_DATA_DIR", os.environ.get("CP2K_DATA_DIR", "/usr/share/cp2k"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    atoms = water()
    atoms.positions[1, 1] += 0.05
    write(tmp_path, "cp2k", atoms, **CP2K)
    known = labelled_by(tmp_path, "cp2k.psmp -i cp2k.inp -o cp2k.out", "cp2k.out")
    np.testing.assert_allclose(known.positions, atoms.positions, atol=1e-5)
    np.testing.assert_allclose(known.cell.array, atoms.cell.array, atol=1e-3)
    # a stretched bond along y pulls its atoms together, and the cell along y
    assert known.arrays["REF_forces"][1, 1] < -1.0
    virial = -(known.arrays["REF_forces"][:, 1] * atoms.positions[:, 1]).sum()
    assert known.info["REF_stress"][1] * atoms.get_volume() == pytest.approx(virial, abs=0.3)
