"""Models of SevenNet, MACE and NequIP in tests, each from an environment of its own.

Tests take the Python of ``PYUBIAS_SEVENNET``, ``PYUBIAS_MACE`` or ``PYUBIAS_NEQUIP`` (the folder of
an environment, or its Python), or the Python that runs them if it has the package, and skip without
either.
"""

import os
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

sys.path.insert(0, str(Path(__file__).parent / "lammps"))

from harness import FULL_PRECISION, columns, lmp, write_data

from pyubias.model.prediction import Model
from pyubias.training.labels import ENERGY, FORCES, STRESS
from pyubias.wrap.convert import find_python

MODELS = Path(__file__).parent / "wrap" / "models"
PACKAGES = {"sevennet": "sevenn", "mace": "mace", "nequip": "nequip"}


class MakesFolder:
    """Pickled, it makes a folder when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def environment_of(kind: str) -> Path | None:
    """The environment of a package; None: this one. Skips without the package."""
    named = os.environ.get(f"PYUBIAS_{kind.upper()}")
    if named:
        return Path(named)
    if find_spec(PACKAGES[kind]) is None:
        pytest.skip(f"PYUBIAS_{kind.upper()} names no environment with {PACKAGES[kind]}")
    return None


def write_alloys(path: Path) -> None:
    """Structures of copper and gold with labels of EMT."""
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
        labelled.info[STRESS] = atoms.get_stress()
        frames.append(labelled)
    ase.io.write(path, frames)


def made_by(kind: str, script: str, folder: Path) -> Path:
    """What a script of `MODELS` writes when the Python of a package runs it."""
    program = find_python(environment_of(kind))
    output = folder / script.removesuffix(".py")
    if not output.is_dir():
        output.mkdir()
        subprocess.run([program, str(MODELS / script)], cwd=output, check=True)
    return output


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
    one, two = (
        lmp(script, folder / f"{model.stem}-{n}", n, timeout=900.0, own_process=True)
        for n in (1, 2)
    )
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
