"""Calculations in output files of programs that did not converge, which ASE reads like others."""

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from pyubias.training.cp2k_output import BANNER, N_PEEK

__all__ = ["unconverged"]

ITERATION = re.compile(rb"Iteration +(\d+) *\(")


def unconverged(path: Path) -> list[int]:
    """Numbers of the calculations in an output file of a program that did not converge.

    The programs are VASP (``OUTCAR`` and ``vasprun.xml``), Quantum ESPRESSO's pw.x, ORCA and CP2K.
    Calculations are counted from 0, in the order of the file. Other files give an empty list.
    """
    try:
        with path.open("rb") as file:
            start = file.read(N_PEEK)
        for mark, find in PROGRAMS.items():
            if mark.search(start):
                return find(path)
    except (OSError, ElementTree.ParseError):  # compressed, or truncated
        pass
    return []


def _of_outcar(path: Path) -> list[int]:
    """VASP writes "aborting loop because EDIFF is reached" in each ionic step that converged."""
    steps: list[int] = []
    converged: dict[int, bool] = {}
    for line in path.read_bytes().splitlines():
        match = ITERATION.search(line)
        if match:
            step = int(match.group(1))
            if step not in converged:
                steps.append(step)
                converged[step] = False
        elif b"aborting loop because EDIFF is reached" in line and steps:
            converged[steps[-1]] = True
    return [k for k, step in enumerate(steps) if not converged[step]]


def _of_vasprun(path: Path) -> list[int]:
    """A step that used all NELM iterations, whose last change of energy is larger than EDIFF."""
    found, nelm, ediff, k = [], 60, 1e-4, 0
    for _, element in ElementTree.iterparse(path):
        if element.tag == "i" and element.get("name") == "NELM":
            nelm = int(element.text or nelm)
        elif element.tag == "i" and element.get("name") == "EDIFF":
            ediff = float(element.text or ediff)
        elif element.tag == "calculation":
            energies = [
                float(energy.text or "nan")
                for energy in element.findall("scstep/energy/i[@name='e_fr_energy']")
            ]
            if len(energies) >= nelm and not (
                len(energies) > 1 and abs(energies[-1] - energies[-2]) <= ediff
            ):
                found.append(k)
            k += 1
            element.clear()
    return found


def _of_espresso(path: Path) -> list[int]:
    """pw.x stops, or goes on and claims convergence if `scf_must_converge` is false."""
    found, k, threshold, after = set(), 0, float("inf"), False
    for line in path.read_bytes().splitlines():
        if b"scf convergence threshold" in line:
            threshold = 1.05 * float(line.split()[-1])  # it is printed with two digits
        elif b"convergence NOT achieved" in line:
            found.add(max(0, k - after))
        elif after and b"estimated scf accuracy" in line:
            if float(line.split()[-2]) > threshold:
                found.add(k - 1)
            after = False
        elif line.startswith(b"!") and b"total energy" in line:
            k, after = k + 1, True
    return sorted(found)


def _of_orca(path: Path) -> list[int]:
    marks = (b"SCF NOT CONVERGED", b"not fully converged", b"NOT FULLY CONVERGED")
    return _marked(path, marks, b"FINAL SINGLE POINT ENERGY")


def _of_cp2k(path: Path) -> list[int]:
    """CP2K before 2024, or with `IGNORE_CONVERGENCE_FAILURE`, only warns."""
    return _marked(path, (b"SCF run NOT converged",), b"ENERGY| Total FORCE_EVAL")


def _marked(path: Path, marks: tuple[bytes, ...], energy: bytes) -> list[int]:
    """Calculations with a mark before, or in, the line of their energy."""
    found, k = set(), 0
    for line in path.read_bytes().splitlines():
        if any(mark in line for mark in marks):
            found.add(k)
        k += energy in line
    return sorted(found)


PROGRAMS: dict[re.Pattern[bytes], Callable[[Path], list[int]]] = {
    re.compile(rb"<modeling>"): _of_vasprun,
    re.compile(rb"vasp\.(?s:.)*executed on"): _of_outcar,
    re.compile(rb"Program PWSCF"): _of_espresso,
    re.compile(rb"\* O   R   C   A \*"): _of_orca,
    re.compile(BANNER.replace(b"|", rb"\|")): _of_cp2k,
}
