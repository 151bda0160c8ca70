"""What the benchmarks share: data, quick models, LAMMPS runs, tables."""

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from rich.console import Console
from rich.table import Table

from pyubias import ModelConfig, UncertaintyConfig, load_campaign, read_frames
from pyubias.wrap.convert import KINDS

ROOT = Path(__file__).parents[2]
ALA2 = ROOT / "inputs" / "ala2"
PROGRAMS = Path(sys.executable).parent
# environment of programs that are to use one core; DeePMD-kit reads the last three
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "TF_INTRA_OP_PARALLELISM_THREADS",
    "DP_INTRA_OP_PARALLELISM_THREADS",
    "DP_INTER_OP_PARALLELISM_THREADS",
)
ONE_THREAD = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1")}


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    return parser


def add_environments(parser: argparse.ArgumentParser) -> None:
    """Options that name the environments of the packages; default: the variables of the tests."""
    for kind, package in KINDS.items():
        found = os.environ.get(f"PYUBIAS_{kind.upper()}")
        text = f"virtual environment with {package} (default: PYUBIAS_{kind.upper()})"
        parser.add_argument(f"--{kind}", type=Path, metavar="ENV", default=found, help=text)


def environment_of(kind: str, options: argparse.Namespace) -> Path | None:
    """The environment of a package; without one, prints that its rows are skipped."""
    found = getattr(options, kind)
    if found is None:
        print(f"{kind} is skipped: name its environment with --{kind} ENV", flush=True)
        return None
    return Path(found).absolute()


def training_and_test(n_training: int, n_test: int = 200) -> tuple[list[Atoms], list[Atoms]]:
    """Frames of alanine dipeptide over all of (φ, ψ), the same split in every benchmark."""
    frames, _ = read_frames(ALA2 / "testset.extxyz")
    shuffled = np.random.default_rng(0).permutation(len(frames))
    picked = [frames[k] for k in shuffled[: n_training + n_test]]
    return picked[:n_training], picked[n_training:]


def default_and_paper() -> dict[str, tuple[ModelConfig, UncertaintyConfig]]:
    """Sizes of our default model and of the paper's."""
    paper = load_campaign(ALA2 / "paper.yaml")
    return {
        "default": (ModelConfig(), UncertaintyConfig()),
        "paper": (paper.model, paper.uncertainty),
    }


def machine() -> str:
    model = "unknown processor"
    info = Path("/proc/cpuinfo")
    if info.is_file():
        found = re.search(r"model name\s*: (.*)", info.read_text())
        model = found.group(1) if found else model
    return f"{model}, {os.cpu_count()} cores, {platform.system()}"


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(title=title)
    for k, column in enumerate(columns):
        table.add_column(column, justify="right" if k else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=max(120, Console().width)).print(table)
    print(f"{shlex.join(['python', *sys.argv])}\n{machine()}")


def save(path: Path | None, records: Any) -> None:
    if path is not None:
        path.write_text(json.dumps({"machine": machine(), "records": records}, indent=1) + "\n")


def lammps_seconds_per_step(
    script: str, folder: Path, ranks: int = 1, programs: Path = PROGRAMS
) -> float:
    """Loop time over steps of the last run of a script, in plain `lmp`."""
    (folder / "in.benchmark").write_text(script)
    launch = [str(programs / "mpirun"), "-n", str(ranks)] if ranks > 1 else []
    done = subprocess.run(
        [*launch, str(programs / "lmp"), "-in", "in.benchmark", "-log", "none", "-nocite"],
        cwd=folder,
        env=ONE_THREAD,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise SystemExit(done.stdout + done.stderr)
    return loop_seconds_per_step(done.stdout)


def loop_seconds_per_step(text: str) -> float:
    """Of the last run in what LAMMPS printed."""
    found = re.findall(r"Loop time of (\S+) on \d+ procs for (\d+) steps", text)
    if not found:
        raise SystemExit(text)
    seconds, steps = found[-1]
    return float(seconds) / int(steps)
