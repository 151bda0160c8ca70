"""Models of SevenNet, MACE, NequIP and Allegro, wrapped and biased in LAMMPS.

Each package needs an environment of its own. These tests take the Python of
``PYUBIAS_SEVENNET``, ``PYUBIAS_MACE`` or ``PYUBIAS_NEQUIP`` (an environment or its bin/python), or
the Python that runs them if it has the package, and skip without either.
"""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

sys.path.insert(0, str(Path(__file__).parents[1] / "lammps"))

from harness import FULL_PRECISION, columns, lmp, write_data

from pyubias.contract import check_contract
from pyubias.model.prediction import Model
from pyubias.training.labels import ENERGY, FORCES
from pyubias.wrap.convert import find_python

HERE = Path(__file__).parent
PACKAGES = {"sevennet": "sevenn", "mace": "mace", "nequip": "nequip"}


def environment_of(kind: str) -> Path | None:
    """The environment of a package; None: this one. Skips without the package."""
    named = os.environ.get(f"PYUBIAS_{kind.upper()}")
    if named:
        return Path(named)
    if find_spec(PACKAGES[kind]) is None:
        pytest.skip(f"PYUBIAS_{kind.upper()} names no environment with {PACKAGES[kind]}")
    return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Alloys of copper and gold with labels of EMT."""
    folder = tmp_path_factory.mktemp("packages")
    generator = np.random.default_rng(1)
    frames = []
    for seed in range(16):
        atoms = bulk("Cu", cubic=True) * (2, 1, 1)
        for k in generator.choice(8, seed % 5, replace=False):
            atoms.symbols[int(k)] = "Au"
        atoms.set_cell(atoms.cell * (1.02 + 0.03 * generator.random()), scale_atoms=True)
        atoms.rattle(0.05 + 0.1 * generator.random(), seed=seed)
        atoms.calc = EMT()
        labelled = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
        labelled.info[ENERGY] = atoms.get_potential_energy()
        labelled.arrays[FORCES] = atoms.get_forces()
        frames.append(labelled)
    ase.io.write(folder / "emt.extxyz", frames)
    return folder


def made_by(kind: str, script: str, folder: Path) -> Path:
    """What a script of this folder writes when the Python of a package runs it."""
    program = find_python(environment_of(kind))
    output = folder / script.removesuffix(".py")
    if not output.is_dir():
        output.mkdir()
        subprocess.run([program, str(HERE / "models" / script)], cwd=output, check=True)
    return output


def wrapped(
    kind: str, files: list[str], folder: Path, name: str, *options: str
) -> tuple[Path, str]:
    """The model file that the command writes, and what it prints."""
    environment = environment_of(kind)
    command = [shutil.which("pyubias"), "wrap", kind, *files, "--data", str(folder / "emt.extxyz")]
    command += ["-o", str(folder / name), *options]
    command += ["--python", str(environment)] if environment else []
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / name, done.stdout


BIASED = """
units metal
atom_style atomic
read_data ../start.data
pair_style ubias
pair_coeff * * {model} Cu Au
neighbor 1.0 bin
velocity all create 300 1 loop geom
timestep 0.001
fix physical all store/force
fix b all ubias tau 1.0 tau_stress 1.0 window 0
fix_modify b energy yes
fix u all pair 1 ubias uncertainty 1
compute p all pressure NULL pair
fix move all nve
dump d all custom 1 d.dump id f_physical[*] fx fy fz f_u
dump_modify d sort id format float %.17g
thermo 1
thermo_style custom step etotal pe f_b f_b[1] c_p[*]
{precision}
run {steps}
"""


def check_in_lammps(model: Path, steps: int, tolerance: float) -> None:
    """1 rank against 2, against Python, and E - τu along a biased trajectory."""
    folder = model.parent
    atoms = ase.io.read(folder / "emt.extxyz", "3")
    write_data(folder / "start.data", atoms, ["Cu", "Au"])
    script = BIASED.format(model=model, steps=steps, precision=FULL_PRECISION)
    one, two = (lmp(script, folder / f"{model.stem}-{n}", n, timeout=900.0) for n in (1, 2))
    first, other = one.dump("d.dump")[0], two.dump("d.dump")[0]
    for column in ("f_physical[1]", "fx", "fy", "fz", "f_u"):
        scale = max(1.0, np.abs(first[column]).max())
        np.testing.assert_allclose(other[column], first[column], atol=tolerance * scale)
    (prediction,) = Model(model).predict([atoms])
    physical = columns(first, *(f"f_physical[{k}]" for k in (1, 2, 3)))
    scale = max(1.0, np.abs(prediction.forces).max())
    np.testing.assert_allclose(physical, prediction.forces, atol=tolerance * scale)
    table = one.thermo()[0]
    assert table["f_b[1]"][0] == pytest.approx(prediction.total_uncertainty, rel=1e-4)
    bias = columns(first, "fx", "fy", "fz") - physical
    assert np.abs(bias).max() > 1e-6
    drift = np.abs(table["TotEng"] - table["TotEng"][0]).max()
    assert drift < 0.1 * np.abs(table["PotEng"] - table["PotEng"][0]).max()


def test_the_foundation_model_of_sevennet(folder):
    model, text = wrapped("sevennet", ["7net-0"], folder, "7net.pt")
    assert "5 hops, 64 features, float32" in text
    metadata = check_contract(model)
    assert (metadata.hops, metadata.elements) == (5, ["Au", "Cu"])
    check_in_lammps(model, steps=20, tolerance=2e-6)


def test_mace_compiled_and_pickled(folder):
    made = made_by("mace", "mace_models.py", folder)
    model, text = wrapped("mace", [str(made / "one_compiled.model")], folder, "mace.pt")
    assert "2 hops, 32 features, float64" in text
    check_in_lammps(model, steps=100, tolerance=1e-9)
    pickled, _ = wrapped("mace", [str(made / "one.model")], folder, "pickled.pt", "--trust")
    frames = ase.io.read(folder / "emt.extxyz", ":4")
    for a, b in zip(Model(model).predict(frames), Model(pickled).predict(frames), strict=True):
        np.testing.assert_allclose(a.forces, b.forces, atol=1e-10)


def test_an_ensemble_of_mace(folder):
    made = made_by("mace", "mace_models.py", folder)
    files = [str(made / f"{name}_compiled.model") for name in ("one", "other")]
    model, _ = wrapped("mace", files, folder, "ensemble.pt")
    assert check_contract(model).uncertainty == "ensemble"
    check_in_lammps(model, steps=20, tolerance=1e-9)


@pytest.mark.parametrize(
    ("file", "options", "message"),
    [
        ("one.model", [], r"'.*one.model' is no TorchScript .*: give NAME_compiled.model"),
        ("two_heads_compiled.model", [], "has the heads dft, cc: none was named; use --head"),
        ("two_heads_compiled.model", ["--head", "pbe"], "has the heads dft, cc: got 'pbe'"),
        ("one_compiled.model", ["--elements", "Cu,Au,U"], "no element U; it has O Cu Au"),
        ("nowhere.model", [], "'.*nowhere.model' does not exist"),
    ],
)
def test_what_mace_cannot_wrap_is_one_line(folder, file, options, message):
    environment = environment_of("mace")
    made = made_by("mace", "mace_models.py", folder)
    command = [shutil.which("pyubias"), "wrap", "mace", str(made / file)]
    command += ["--data", str(folder / "emt.extxyz"), "-o", str(folder / "no.pt"), *options]
    command += ["--python", str(environment)] if environment else []
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert re.search(message, done.stderr), done.stderr
    assert not (folder / "no.pt").exists()


@pytest.mark.parametrize("name", ["nequip", "allegro"])
def test_checkpoints_of_nequip_and_allegro(folder, name):
    made = made_by("nequip", "nequip_models.py", folder)
    if not (made / name).is_dir():
        pytest.skip(f"the environment has no {name}")
    model, text = wrapped("nequip", [str(made / name / "last.ckpt")], folder, f"{name}.pt")
    assert f"{2 if name == 'nequip' else 1} hops" in text
    check_in_lammps(model, steps=100, tolerance=2e-6)
