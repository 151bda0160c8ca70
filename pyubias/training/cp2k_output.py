"""Single points in what CP2K prints, which ASE does not read."""

import re
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

__all__ = ["is_cp2k_output", "read_cp2k_output"]

# the banner comes after some lines of DBCSR, and of MPI
BANNER = b"CP2K| version string"
N_PEEK = 16384
NUMBER = r"([-+]?\d+\.\d*(?:[EDed][-+]?\d+)?)"
VECTOR = rf"\s+{NUMBER}\s+{NUMBER}\s+{NUMBER}"
CELL = re.compile(rf"^ CELL\| Vector [abc] \[angstrom\]:{VECTOR}", re.M)
PERIODICITY = re.compile(r"^ CELL\| Periodicity\s+(\w+)", re.M)
ENERGY = re.compile(rf"^ ENERGY\| Total FORCE_EVAL .*:\s+{NUMBER}", re.M)
COORDINATES = re.compile(r"ATOMIC COORDINATES IN ANGSTROM")
ATOM = re.compile(rf"\s*\d+\s+\d+\s+([A-Z][a-z]?)\s+\d+{VECTOR}")
# versions before and from 2024 on; both are derivatives in hartree/bohr unless they say otherwise
FORCES = re.compile(r"(?:ATOMIC FORCES in|FORCES\| Atomic forces) \[(.*)\]")
FORCE = re.compile(rf"\s*(?:FORCES\|\s+\d+|\d+\s+\d+\s+[A-Z][a-z]?){VECTOR}")
STRESS = re.compile(
    r"STRESS\| Analytical stress tensor \[(.*)\]\n.*\n" + 3 * rf" STRESS\|\s+[xyz]{VECTOR}.*\n"
)
STRESS_UNITS = {"GPa": units.GPa, "bar": units.bar, "kbar": 1e3 * units.bar}
FORCE_UNITS = ("a.u.", "hartree/bohr")


def is_cp2k_output(path: Path) -> bool:
    """Whether a file begins like the output of CP2K."""
    with path.open("rb") as file:
        return BANNER in file.read(N_PEEK)


def read_cp2k_output(path: Path) -> list[Atoms]:
    """The structure of a single point, with energy, and forces and stress if they are printed.

    The input has to print coordinates, forces and the cell: `&ATOMIC_COORDINATES ON` and `&CELL ON`
    in `SUBSYS/PRINT`, `&FORCES ON` in `FORCE_EVAL/PRINT`. The energy is that of which the forces
    are the derivative. CP2K's stress has the opposite sign of ASE's.

    Raises:
        ValueError: the file lacks one of them, or holds more than one calculation.
    """
    text = path.read_text(errors="replace")
    energies = ENERGY.findall(text)
    if len(energies) != 1:
        raise ValueError(f"CP2K printed {len(energies)} energies, wanted one single point")
    start = COORDINATES.search(text)
    vectors = CELL.findall(text)
    if start is None or len(vectors) < 3:
        raise ValueError(
            "CP2K printed no coordinates in Å or no cell: switch on ATOMIC_COORDINATES and CELL in "
            "FORCE_EVAL/SUBSYS/PRINT"
        )
    rows = _rows(text, start.end(), ATOM)
    periodic = (PERIODICITY.findall(text) or ["XYZ"])[-1]
    atoms = Atoms(
        [row[0] for row in rows],
        positions=_numbers([row[1:] for row in rows]),
        cell=_numbers(vectors[-3:]),
        pbc=[axis in periodic for axis in "XYZ"] if periodic != "NONE" else False,
    )
    results = {"energy": float(energies[0]) * units.Hartree, **_forces(text), **_stress(text)}
    atoms.calc = SinglePointCalculator(atoms, **results)
    return [atoms]


def _forces(text: str) -> dict[str, NDArray[np.float64]]:
    head = FORCES.search(text)
    if head is None:
        return {}
    if head.group(1) not in FORCE_UNITS:
        raise ValueError(f"CP2K printed forces in {head.group(1)}, wanted hartree/bohr")
    forces = _numbers(_rows(text, head.end(), FORCE))
    return {"forces": forces * units.Hartree / units.Bohr}


def _stress(text: str) -> dict[str, NDArray[np.float64]]:
    found = STRESS.search(text)
    if found is None:
        return {}
    unit, *values = found.groups()
    if unit not in STRESS_UNITS:
        raise ValueError(f"CP2K printed a stress in {unit}, wanted one of {sorted(STRESS_UNITS)}")
    tensor = _numbers([values]).reshape(3, 3)
    return {"stress": -STRESS_UNITS[unit] * full_3x3_to_voigt_6_stress(tensor)}


def _rows(text: str, start: int, row: re.Pattern[str]) -> list[tuple[str, ...]]:
    """The lines of a table, which ends with the first line of another form after its rows."""
    rows = []
    for line in text[start:].splitlines():
        match = row.match(line)
        if match:
            rows.append(match.groups())
        elif rows:
            break
    return rows


def _numbers(rows: list[tuple[str, ...]] | list[list[str]]) -> NDArray[np.float64]:
    return np.array([[float(x.replace("D", "E")) for x in row] for row in rows])
