"""Ionic steps of VASP that did not converge are found in its output files."""

from pathlib import Path

import pytest

from pyubias.training.convergence import unconverged

REACHED = "------ aborting loop because EDIFF is reached ------\n"


def outcar(*steps: tuple[int, str]) -> str:
    text = " vasp.6.4.1 05Apr23 complex\n executed on             LinuxIFC date 2024\n"
    for k, (n, ending) in enumerate(steps):
        text += "".join(f"--- Iteration {k + 1:6d}({i + 1:4d})  ---\n" for i in range(n)) + ending
    return text


def vasprun(*steps: list[float]) -> str:
    text = '<?xml version="1.0"?>\n<modeling><parameters>'
    text += '<i type="int" name="NELM">  3</i><i name="EDIFF">0.001</i></parameters>'
    for energies in steps:
        text += "<calculation>"
        for e in energies:
            text += f'<scstep><energy><i name="e_fr_energy">{e}</i></energy></scstep>'
        text += "</calculation>"
    return text + "</modeling>\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (outcar((2, REACHED), (2, REACHED)), []),
        (outcar((3, REACHED), (3, "aborting loop EDIFF was not reached (unconverged)\n")), [1]),
        (outcar((3, ""), (1, REACHED)), [0]),
        (vasprun([1.0, 2.0], [1.0, 2.0, 2.0001]), []),
        (vasprun([1.0, 2.0], [1.0, 2.0, 3.0]), [1]),
        ("2\nnothing of VASP\nH 0 0 0\nH 0 0 1\n", []),
        (vasprun([1.0])[:-20], []),
    ],
)
def test_steps_that_ran_out_of_iterations_are_found(tmp_path: Path, text: str, found: list[int]):
    (tmp_path / "output").write_text(text)
    assert unconverged(tmp_path / "output") == found
