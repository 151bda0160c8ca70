"""Forces and stresses of LAMMPS are derivatives of the energies of LAMMPS, bias included.

Derivatives along random directions of all coordinates, and of all components of the cell, by
central differences between structures that LAMMPS evaluates in one process.
"""

import numpy as np
import pytest
from ase import Atoms
from exactness import save_gmnn
from harness import FULL_PRECISION, NKTV2P, columns, lmp, random_atoms, write_data
from toys import MessagePassing, save_toy

STEP = 1e-4
TAU = 2.0
CELL = np.array([[9.0, 0.0, 0.0], [2.5, 10.0, 0.0], [-1.5, 3.0, 11.0]])
LOWER = ([0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2])  # xx yy zz xy xz yz

SCRIPT = """
clear
units metal
atom_style atomic
box tilt large
read_data {name}.data
pair_style ubias
pair_coeff * * {model} {elements}
neighbor 0.5 bin
fix physical all store/force
fix b all ubias tau {tau} tau_stress {tau} window 0 uncertainty {kind}
compute p all pressure NULL pair
compute q all pressure NULL pair fix
dump d all custom 1 {name}.dump id f_physical[*] fx fy fz
dump_modify d sort id format float %.17g
thermo_style custom step vol pe f_b f_b[1] c_p[*] c_q[*]
"""


def displaced(atoms: Atoms, direction: np.ndarray, step: float) -> Atoms:
    moved = atoms.copy()
    moved.positions += step * direction
    return moved


def strained(atoms: Atoms, strain: np.ndarray, step: float) -> Atoms:
    """r → (1 + step·strain) r; an upper triangular strain keeps the cell lower triangular."""
    moved = atoms.copy()
    deformation = np.eye(3) + step * strain
    moved.set_cell(atoms.cell.array @ deformation.T)
    moved.positions = atoms.positions @ deformation.T
    return moved


@pytest.mark.parametrize(
    ("ranks", "kind", "model"),
    [
        *((ranks, kind, "toy") for ranks in (1, 2, 4) for kind in ("total", "atomic")),
        *((ranks, "total", f"layers{layers}") for ranks in (1, 2, 4) for layers in (2, 3)),
        (2, "total", "gmnn"),
        (2, "atomic", "gmnn"),
    ],
)
def test_forces_and_stress_are_derivatives_of_energy_and_bias_energy(tmp_path, ranks, kind, model):
    symbols, elements = ("O H H", "H O") if model == "gmnn" else ("Ar Ne", "Ar Ne")
    atoms = random_atoms(symbols, CELL, 30, seed=2, min_distance=1.4)
    path = tmp_path / f"{model}.pt"
    if model.startswith("layers"):
        save_toy(path, MessagePassing(int(model[-1])))
    elif model == "toy":
        save_toy(path)
    else:
        save_gmnn(path, [random_atoms(symbols, CELL, 24, seed=3, min_distance=1.0)], ["O", "H"])

    generator = np.random.default_rng(4)
    directions = [generator.standard_normal((len(atoms), 3)) for _ in range(2)]
    strains = [np.triu(generator.standard_normal((3, 3))) for _ in range(2)]
    structures = {"base": atoms}
    for k in range(2):
        for sign in (1, -1):
            structures[f"x{k}{sign:+d}"] = displaced(atoms, directions[k], sign * STEP)
            structures[f"e{k}{sign:+d}"] = strained(atoms, strains[k], sign * STEP)
    script = ""
    for name, structure in structures.items():
        write_data(tmp_path / f"{name}.data", structure, elements.split())
        script += SCRIPT.format(name=name, model=path, elements=elements, kind=kind, tau=TAU)
        script += FULL_PRECISION + "run 0\n"
    run = lmp(script, tmp_path, ranks)
    table = dict(zip(structures, run.thermo(), strict=True))

    def derivative(name: str, column: str) -> float:
        plus, minus = table[f"{name}+1"], table[f"{name}-1"]
        return float(plus[column][0] - minus[column][0]) / (2.0 * STEP)

    (frame,) = run.dump("base.dump")
    physical = columns(frame, "f_physical[1]", "f_physical[2]", "f_physical[3]")
    bias = columns(frame, "fx", "fy", "fz") - physical
    base = table["base"]
    unit = base["Volume"][0] / NKTV2P["metal"]
    virial = unit * np.array([base[f"c_p[{a}]"][0] for a in range(1, 7)])
    bias_virial = unit * np.array([base[f"c_q[{a}]"][0] for a in range(1, 7)]) - virial
    for k in range(2):
        for column, force, tensor in (("PotEng", physical, virial), ("f_b", bias, bias_virial)):
            along = directions[k]
            assert derivative(f"x{k}", column) == pytest.approx(
                -np.sum(force * along), rel=1e-5, abs=1e-6
            )
            along = strains[k][LOWER]
            assert derivative(f"e{k}", column) == pytest.approx(
                -np.sum(tensor * along), rel=1e-5, abs=1e-6
            )
            assert abs(derivative(f"x{k}", column)) > 1e-2
            assert abs(derivative(f"e{k}", column)) > 1e-2
    assert base["f_b"][0] == pytest.approx(-TAU * base["f_b[1]"][0], rel=1e-14)
