"""Calculations in output files of programs that did not converge, which ASE reads like others."""

import re
from pathlib import Path
from xml.etree import ElementTree

__all__ = ["unconverged"]

ITERATION = re.compile(rb"Iteration +(\d+) *\(")


def unconverged(path: Path) -> list[int]:
    """Numbers of the ionic steps that did not converge, in VASP's ``OUTCAR`` and ``vasprun.xml``.

    Steps are counted from 0, in the order of the file. Other files give an empty list.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4096)
        if b"<modeling>" in start:
            return _of_vasprun(path)
        if b"vasp." in start and b"executed on" in start:
            return _of_outcar(path)
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
