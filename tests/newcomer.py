"""The first hour of a newcomer, for ten kinds of structures: init, dry run, two iterations, report.

    python tests/newcomer.py                # all, half an hour
    python tests/newcomer.py water slab     # some
    python tests/newcomer.py --folder DIR   # keeps the runs there

Every command is one that a user types, and no file is edited. The campaign is interrupted when two
iterations are complete, as by Ctrl-C. The command fails if one of the kinds does.
"""

import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import ase.io
from ase import Atoms
from ase.build import add_adsorbate, bulk, fcc111, molecule
from ase.cluster import Icosahedron

TIMEOUT = 900.0  # s, of two iterations


def malonaldehyde() -> Atoms:
    """The planar enol, with its short hydrogen bond."""
    positions = [
        [0.00, 0.00, 0.0], [1.35, 0.15, 0.0], [2.10, 1.35, 0.0],
        [-0.55, 1.20, 0.0], [1.55, 2.50, 0.0], [0.20, 1.85, 0.0],
        [-0.65, -0.87, 0.0], [1.90, -0.78, 0.0], [3.20, 1.25, 0.0],
    ]  # fmt: skip
    return Atoms("CCCOOHHHH", positions=positions)


def slab() -> Atoms:
    atoms = fcc111("Cu", (2, 2, 3), vacuum=8.0, periodic=False)
    add_adsorbate(atoms, "O", 1.2, "fcc")
    atoms.info.clear()
    return atoms


def alloy() -> Atoms:
    atoms = bulk("Al", cubic=True) * (2, 2, 2)
    atoms.symbols[::5] = "Cu"
    return atoms


KINDS = {
    "water": [molecule("H2O")],
    "benzene": [molecule("C6H6")],
    "malonaldehyde": [malonaldehyde()],
    "hydrogen": [molecule("H2")],
    "molecules": [molecule("CH3OH"), molecule("NH3"), molecule("CO2")],
    "cluster": [Icosahedron("Ni", 2)],
    "metal": [bulk("Cu", cubic=True) * (2, 2, 2)],
    "primitive": [bulk("Al")],
    "alloy": [alloy()],
    "slab": [slab()],
}
# what a user would choose for them
FLAGS = {
    "metal": ["--ensemble", "npt"],
    "alloy": ["--ensemble", "npt", "--temperature", "600"],
    "slab": ["--reference", "emt"],
}


def first_hour(kind: str, folder: Path) -> str:
    """What went wrong; empty if nothing did."""
    folder.mkdir(parents=True)
    ase.io.write(folder / f"{kind}.xyz", KINDS[kind], format="extxyz")
    for command in (
        ["init", f"{kind}.xyz", *FLAGS.get(kind, [])],
        ["run", f"{kind}.yaml", "--dry-run"],
    ):
        done = subprocess.run(["pyubias", *command], cwd=folder, capture_output=True, text=True)
        if done.returncode != 0:
            return f"{command[0]}: {last_line(done.stdout + done.stderr)}"
    problem = two_iterations(kind, folder)
    if problem:
        return problem
    done = subprocess.run(
        ["pyubias", "report", f"runs/{kind}"], cwd=folder, capture_output=True, text=True
    )
    report = folder / f"runs/{kind}/report.html"
    if done.returncode != 0 or not report.is_file():
        return f"report: {last_line(done.stdout + done.stderr)}"
    return ""


def two_iterations(kind: str, folder: Path) -> str:
    output = folder / "output"
    record = folder / f"runs/{kind}/iterations/0001/record.json"
    with output.open("w") as file:
        run = subprocess.Popen(
            ["pyubias", "run", f"{kind}.yaml"], cwd=folder, stdout=file, stderr=file
        )
    deadline = time.monotonic() + TIMEOUT
    while not record.is_file():
        if run.poll() is not None:
            return f"run: {last_line(output.read_text())}"
        if time.monotonic() > deadline:
            run.kill()
            return f"run: two iterations took longer than {TIMEOUT:g} s"
        time.sleep(0.2)
    run.send_signal(signal.SIGINT)
    code = run.wait()
    return "" if code in (0, 128 + signal.SIGINT) else f"run: exit code {code} after Ctrl-C"


def cpu_time() -> float:
    """Of all commands that have ended, s; it depends less on what else the machine does."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def last_line(text: str) -> str:
    return ([line for line in text.splitlines() if line.strip()] or ["no output"])[-1]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], default=[])
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(arguments)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    folder = options.folder or Path(tempfile.mkdtemp())
    failed = []
    for kind in options.kinds or KINDS:
        start, cpu = time.monotonic(), cpu_time()
        problem = first_hour(kind, folder / kind)
        failed += [kind] if problem else []
        wall, cpu = time.monotonic() - start, cpu_time() - cpu
        print(f"{kind:14} {wall:5.0f} s, {cpu:4.0f} s of CPU  {problem or 'ok'}", flush=True)
    if options.folder is None:
        shutil.rmtree(folder)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
