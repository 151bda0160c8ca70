"""Accuracy and speed beside what a user would pick instead, in the same LAMMPS.

python tests/benchmarks/peers.py [--frames 200] [--steps 1000] [--deepmd VENV] [--json FILE]

All learn the same frames of alanine dipeptide and are tested on others: ML-SNAP (linear least
squares on its bispectrum components), ML-POD (its own `fitpod`), DeePMD-kit's se_e2_a, and the
default model of this package. One core, atoms times steps per second of plain dynamics; biased
dynamics is what only this package does.

DeePMD-kit brings its own LAMMPS of the same release, so it lives in a virtual environment of its
own: `python -m venv VENV && VENV/bin/pip install 'deepmd-kit[cpu,lmp]'`.
"""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from common import (
    ONE_THREAD,
    PROGRAMS,
    arguments,
    lammps_seconds_per_step,
    save,
    show,
    training_and_test,
)

from pyubias import ModelConfig, TrainingConfig, export, train
from pyubias.lammps.library import open_lammps

ELEMENTS = ("C", "H", "N", "O")
MASSES = (12.011, 1.008, 14.007, 15.999)
OURS = "pyubias, float32"
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


DEEPMD: dict[str, Any] = {
    "model": {
        "type_map": list(ELEMENTS),
        "descriptor": {
            "type": "se_e2_a",
            "sel": [8, 14, 4, 4],
            "rcut": 5.0,
            "rcut_smth": 0.5,
            "neuron": [25, 50, 100],
            "axis_neuron": 16,
            "seed": 1,
        },
        "fitting_net": {"neuron": [100, 100, 100], "seed": 1},
    },
    "learning_rate": {"type": "exp", "start_lr": 1e-3, "stop_lr": 1e-6, "decay_steps": 500},
    "loss": {
        "type": "ener",
        "start_pref_e": 0.02,
        "limit_pref_e": 1,
        "start_pref_f": 1000,
        "limit_pref_f": 1,
    },
}


def in_box(atoms: Atoms) -> np.ndarray:
    """Positions, the molecule in the middle of the box."""
    return atoms.positions - atoms.positions.mean(0) + 0.5 * BOX


def setup(atoms: Atoms) -> str:
    """The structure as LAMMPS commands."""
    lines = [
        f"create_atoms {ELEMENTS.index(s) + 1} single {x:.12f} {y:.12f} {z:.12f}"
        for s, (x, y, z) in zip(atoms.get_chemical_symbols(), in_box(atoms), strict=True)
    ]
    masses = "\n".join(f"mass {k} {m}" for k, m in enumerate(MASSES, 1))
    return SETUP.format(box=BOX, masses=masses, atoms="\n".join(lines))


def run(program: Path, arguments: Sequence[str], folder: Path) -> None:
    done = subprocess.run(
        [program, *arguments], cwd=folder, env=ONE_THREAD, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SystemExit(f"{program} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")


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
        copy = Atoms(atoms.numbers, positions=in_box(atoms), cell=[BOX] * 3, pbc=True)
        copy.info["energy"] = atoms.info["REF_energy"]
        copy.arrays["forces"] = atoms.arrays["REF_forces"]
        boxed.append(copy)
    ase.io.write(folder / "train" / "ala2.xyz", boxed, format="extxyz")
    (folder / "ala2.pod").write_text(POD)
    (folder / "data.pod").write_text(POD_DATA)
    (folder / "in.fit").write_text("units metal\nfitpod ala2.pod data.pod\n")
    run(PROGRAMS / "lmp", ["-in", "in.fit", "-log", "none"], folder)
    coefficients = next(folder.glob("*coefficients.pod"))
    return f"pair_style pod\npair_coeff * * ala2.pod {coefficients.name} C H N O\n"


def fit_ours(frames: Sequence[Atoms], folder: Path) -> str:
    trained = train(frames, ModelConfig(), TrainingConfig(), elements=list(ELEMENTS))
    export(trained, folder / "model.pt", "float32")
    return "pair_style ubias\npair_coeff * * model.pt C H N O\n"


def fit_deepmd(frames: Sequence[Atoms], folder: Path, programs: Path, n_steps: int) -> str:
    data = folder / "data" / "set.000"
    data.mkdir(parents=True)
    types = [ELEMENTS.index(s) for s in frames[0].get_chemical_symbols()]
    np.savetxt(data.parent / "type.raw", types, fmt="%d")
    (data.parent / "type_map.raw").write_text("\n".join(ELEMENTS) + "\n")
    np.save(data / "coord.npy", [in_box(atoms).ravel() for atoms in frames])
    np.save(data / "box.npy", [(BOX * np.eye(3)).ravel() for _ in frames])
    np.save(data / "energy.npy", [[atoms.info["REF_energy"]] for atoms in frames])
    np.save(data / "force.npy", [atoms.arrays["REF_forces"].ravel() for atoms in frames])
    training = {"training_data": {"systems": ["data"], "batch_size": 4}, "numb_steps": n_steps}
    (folder / "input.json").write_text(json.dumps({**DEEPMD, "training": training}))
    run(programs / "dp", ["train", "input.json"], folder)
    run(programs / "dp", ["freeze", "-o", "graph.pb"], folder)
    return "pair_style deepmd graph.pb\npair_coeff * * C H N O\n"


def force_error(potential: str, frames: Sequence[Atoms], folder: Path, programs: Path) -> float:
    """Root mean square error of force components, eV/Å; all frames hold the same molecule."""
    with (folder / "frames.dump").open("w") as file:
        for k, atoms in enumerate(frames):
            file.write(f"ITEM: TIMESTEP\n{k}\nITEM: NUMBER OF ATOMS\n{len(atoms)}\n")
            file.write("ITEM: BOX BOUNDS pp pp pp\n" + f"0 {BOX}\n" * 3 + "ITEM: ATOMS id x y z\n")
            np.savetxt(file, np.column_stack([np.arange(len(atoms)) + 1, in_box(atoms)]), "%.12g")
    (folder / "in.test").write_text(
        f"{setup(frames[0])}{potential}"
        "dump forces all custom 1 forces.dump id fx fy fz\n"
        "dump_modify forces sort id format float %.12g\n"
        "rerun frames.dump dump x y z\n"
    )
    run(programs / "lmp", ["-in", "in.test", "-log", "none"], folder)
    lines = (folder / "forces.dump").read_text().splitlines()
    rows = [line.split()[1:] for line in lines if len(line.split()) == 4 and "ITEM" not in line]
    wanted = np.concatenate([atoms.arrays["REF_forces"] for atoms in frames])
    return float(np.sqrt(np.mean(np.square(np.array(rows, dtype=float) - wanted))))


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--deepmd", type=Path, help="virtual environment with DeePMD-kit")
    parser.add_argument("--deepmd-steps", type=int, default=5000, help="training steps of it")
    options = parser.parse_args()
    training, test = training_and_test(options.frames)

    peers: list[tuple[str, Path, Callable[[Path], str]]] = [
        ("ML-SNAP", PROGRAMS, lambda folder: fit_snap(training, folder)),
        ("ML-POD", PROGRAMS, lambda folder: fit_pod(training, folder)),
        (OURS, PROGRAMS, lambda folder: fit_ours(training, folder)),
    ]
    if options.deepmd is not None:
        programs = options.deepmd.absolute() / "bin"
        steps = options.deepmd_steps
        peers.insert(
            2, ("DeePMD-kit", programs, lambda f: fit_deepmd(training, f, programs, steps))
        )

    rows, records = [], []
    for name, programs, fit in peers:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            start = time.perf_counter()
            potential = fit(folder)
            fit_seconds = time.perf_counter() - start
            error = force_error(potential, test, folder, programs)
            modes = {name: ""}
            if name == OURS:
                modes[f"{name}, biased"] = "fix bias all ubias tau 0.25 weight H 0.0"
            for label, bias in modes.items():
                script = setup(test[0]) + potential
                script += DYNAMICS.format(bias=bias, steps=options.steps)
                seconds = lammps_seconds_per_step(script, folder, programs=programs)
                rate = len(test[0]) / seconds
                records.append({"name": label, "error": error, "rate": rate, "fit_s": fit_seconds})
                rows.append([label, f"{1e3 * error:.0f}", f"{rate:,.0f}", f"{fit_seconds:.0f}"])
    columns = ["potential", "force RMSE, meV/Å", "atoms·steps/s", "fit, s"]
    show(f"alanine dipeptide, {options.frames} training frames, one core", columns, rows)
    save(options.json, records)


if __name__ == "__main__":
    main()
