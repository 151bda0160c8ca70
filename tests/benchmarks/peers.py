"""Accuracy and speed beside what a user would pick instead, in the same LAMMPS.

python tests/benchmarks/peers.py [--frames 200] [--steps 1000] [--json FILE]

All learn the same frames of alanine dipeptide and are tested on others: ML-SNAP (linear least
squares on its bispectrum components), ML-POD (its own `fitpod`), and the default model of this
package. One core, atoms times steps per second of plain dynamics; biased dynamics is what only
this package does.
"""

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from common import PROGRAMS, arguments, lammps_seconds_per_step, save, show, training_and_test

from pyubias import ModelConfig, TrainingConfig, export, train
from pyubias.lammps_library import open_lammps

ELEMENTS = ("C", "H", "N", "O")
MASSES = (12.011, 1.008, 14.007, 15.999)
BOX = 30.0  # Å, larger than any molecule and its cutoff: no atom sees an image

SETUP = """\
units metal
atom_style atomic
boundary p p p
region box block 0 {box} 0 {box} 0 {box}
create_box 4 box
{masses}
{atoms}
"""
DYNAMICS = """\
neighbor 2.0 nsq
timestep 0.0002
velocity all create 300 1
{bias}
fix bath all langevin 300 300 0.1 1 zero yes
fix move all nve/limit 0.02
thermo {steps}
run 100
run {steps}
"""
SNAP = {"rcutfac": 5.0, "rfac0": 0.99363, "twojmax": 8}
SNAP_WEIGHTS = (1.0, 0.4, 0.7, 0.85)
POD = """\
species C H N O
pbc 1 1 1
rin 0.5
rcut 5.0
bessel_polynomial_degree 4
inverse_polynomial_degree 10
onebody 1
twobody_number_radial_basis_functions 8
threebody_number_radial_basis_functions 6
threebody_angular_degree 5
fourbody_number_radial_basis_functions 4
fourbody_angular_degree 3
"""
POD_DATA = """\
file_format extxyz
file_extension xyz
path_to_training_data_set train
path_to_test_data_set train
fitting_weight_energy 10.0
fitting_weight_force 1.0
fitting_regularization_parameter 1e-10
error_analysis_for_training_data_set 0
error_analysis_for_test_data_set 0
basename_for_output_files ala2
fraction_training_data_set 1
randomize_training_data_set 0
"""


def setup(atoms: Atoms) -> str:
    """The structure in the middle of the box, as LAMMPS commands."""
    shift = 0.5 * BOX - atoms.positions.mean(0)
    lines = [
        f"create_atoms {ELEMENTS.index(s) + 1} single {x:.12f} {y:.12f} {z:.12f}"
        for s, (x, y, z) in zip(atoms.get_chemical_symbols(), atoms.positions + shift, strict=True)
    ]
    masses = "\n".join(f"mass {k} {m}" for k, m in enumerate(MASSES, 1))
    return SETUP.format(box=BOX, masses=masses, atoms="\n".join(lines))


# --- fits ----------------------------------------------------------------------------------


def fit_snap(frames: Sequence[Atoms], folder: Path) -> str:
    """Energies and forces are linear in the bispectrum components."""
    radii = " ".join(["0.5"] * 4)
    weights = " ".join(map(str, SNAP_WEIGHTS))
    compute = (
        f"compute b all snap {SNAP['rcutfac']} {SNAP['rfac0']} {SNAP['twojmax']} "
        f"{radii} {weights} rmin0 0.0 bzeroflag 0 switchflag 1"
    )
    rows, values = [], []
    for atoms in frames:
        with open_lammps() as lmp:
            lmp.commands_string(setup(atoms) + "pair_style zero 5.0\npair_coeff * *\n" + compute)
            lmp.command("run 0")
            n_rows = 1 + 3 * len(atoms) + 6
            table = lmp.numpy.extract_compute("b", 0, 2)[:n_rows, :-1].copy()
        counts = [atoms.get_chemical_symbols().count(e) for e in ELEMENTS]
        energy = np.concatenate([counts, table[0]])
        forces = np.hstack([np.zeros((3 * len(atoms), 4)), table[1 : 1 + 3 * len(atoms)]])
        rows += [energy[None] / len(atoms) * 10, forces]
        values += [[atoms.info["REF_energy"] / len(atoms) * 10], atoms.arrays["REF_forces"].ravel()]
    matrix, target = np.vstack(rows), np.concatenate(values)
    scale = np.linalg.norm(matrix, axis=0) + 1e-12
    solution = np.linalg.lstsq(matrix / scale, target, rcond=1e-12)[0] / scale
    n = (len(solution) - 4) // 4
    lines = [f"4 {n + 1}"]
    for k, element in enumerate(ELEMENTS):
        lines.append(f"{element} 0.5 {SNAP_WEIGHTS[k]}")
        lines += [f"{c:.15g}" for c in [solution[k], *solution[4 + k * n : 4 + (k + 1) * n]]]
    (folder / "ala2.snapcoeff").write_text("\n".join(lines) + "\n")
    settings = {**SNAP, "rmin0": 0.0, "bzeroflag": 0, "switchflag": 1}
    (folder / "ala2.snapparam").write_text("".join(f"{k} {v}\n" for k, v in settings.items()))
    return "pair_style snap\npair_coeff * * ala2.snapcoeff ala2.snapparam C H N O\n"


def fit_pod(frames: Sequence[Atoms], folder: Path) -> str:
    (folder / "train").mkdir()
    boxed = []
    for atoms in frames:
        positions = atoms.positions - atoms.positions.mean(0) + 0.5 * BOX
        copy = Atoms(atoms.numbers, positions=positions, cell=[BOX] * 3, pbc=True)
        copy.info["energy"] = atoms.info["REF_energy"]
        copy.arrays["forces"] = atoms.arrays["REF_forces"]
        boxed.append(copy)
    ase.io.write(folder / "train" / "ala2.xyz", boxed, format="extxyz")
    (folder / "ala2.pod").write_text(POD)
    (folder / "data.pod").write_text(POD_DATA)
    (folder / "in.fit").write_text("units metal\nfitpod ala2.pod data.pod\n")
    done = subprocess.run(
        [PROGRAMS / "lmp", "-in", "in.fit", "-log", "none"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    coefficients = next(folder.glob("*coefficients.pod"), None)
    if done.returncode != 0 or coefficients is None:
        raise SystemExit("fitpod failed:\n" + done.stdout[-2000:] + done.stderr[-2000:])
    return f"pair_style pod\npair_coeff * * ala2.pod {coefficients.name} C H N O\n"


def fit_ours(frames: Sequence[Atoms], folder: Path) -> str:
    trained = train(frames, ModelConfig(), TrainingConfig(), elements=list(ELEMENTS))
    export(trained, folder / "model.pt", "float32")
    return "pair_style ubias\npair_coeff * * model.pt C H N O\n"


# --- measurements --------------------------------------------------------------------------


def force_error(potential: str, frames: Sequence[Atoms], folder: Path) -> float:
    """Root mean square error of force components, eV/Å."""
    errors = []
    with contextlib.chdir(folder), open_lammps() as lmp:
        for atoms in frames:
            lmp.command("clear")
            lmp.commands_string(setup(atoms) + potential)
            lmp.command("run 0")
            order = np.argsort(lmp.numpy.extract_atom("id")[: len(atoms)])
            forces = lmp.numpy.extract_atom("f")[: len(atoms)][order]
            errors.append(forces - atoms.arrays["REF_forces"])
    return float(np.sqrt(np.mean(np.square(errors))))


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()
    training, test = training_and_test(options.frames)

    rows, records = [], []
    for name, fit in (("ML-SNAP", fit_snap), ("ML-POD", fit_pod), ("pyubias, float32", fit_ours)):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            start = time.perf_counter()
            potential = fit(training, folder)
            fit_seconds = time.perf_counter() - start
            error = force_error(potential, test, folder)
            modes = {name: ""}
            if fit is fit_ours:
                modes[f"{name}, biased"] = "fix bias all ubias tau 0.25 weight H 0.0"
            for label, bias in modes.items():
                script = setup(test[0]) + potential
                script += DYNAMICS.format(bias=bias, steps=options.steps)
                rate = len(test[0]) / lammps_seconds_per_step(script, folder)
                records.append({"name": label, "error": error, "rate": rate, "fit_s": fit_seconds})
                rows.append([label, f"{1e3 * error:.0f}", f"{rate:,.0f}", f"{fit_seconds:.0f}"])
    columns = ["potential", "force RMSE, meV/Å", "atoms·steps/s", "fit, s"]
    show(f"alanine dipeptide, {options.frames} training frames, one core", columns, rows)
    save(options.json, records)


if __name__ == "__main__":
    main()
