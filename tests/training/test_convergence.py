"""Calculations that did not converge are found in output files of programs."""

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


def espresso(*accuracies: str) -> str:
    """Of pw.x 6.7; an empty accuracy is a calculation that stopped."""
    text = "\n     Program PWSCF v.6.7MaX starts on 26Nov2026 at 13:49: 3\n"
    text += "     scf convergence threshold =      1.0E-06\n"
    for accuracy in accuracies:
        text += "     estimated scf accuracy    <       0.08702173 Ry\n"
        if accuracy:
            text += "!    total energy              =     -15.65808068 Ry\n"
            text += f"     estimated scf accuracy    <       {accuracy} Ry\n"
            text += "     convergence has been achieved in   2 iterations\n"
        else:
            text += "     convergence NOT achieved after   2 iterations: stopping\n"
    return text


ORCA = "                 * O   R   C   A *\n"
ORCA_ENERGY = "FINAL SINGLE POINT ENERGY       -76.3\n"
ORCA_NOT = "FINAL SINGLE POINT ENERGY       -76.3  (Wavefunction not fully converged!)\n"
CP2K = " DBCSR| more of it\n" * 150 + " CP2K| version string:   CP2K version 2023.1\n"
CP2K_NOT = " *** WARNING in qs_scf.F:601 :: SCF run NOT converged ***\n"
CP2K_ENERGY = " ENERGY| Total FORCE_EVAL ( QS ) energy [a.u.]:    -17.2\n"


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
        (espresso("0.00000005", "0.00000102"), []),
        (espresso("0.00000005", ""), [1]),
        # scf_must_converge = .false., after which pw.x claims that it did
        (espresso("0.00243151", "0.00000005"), [0]),
        (ORCA + ORCA_ENERGY, []),
        (ORCA + "*    SCF NOT CONVERGED AFTER 125 CYCLES    *\n", [0]),
        (ORCA + ORCA_ENERGY + ORCA_NOT, [1]),
        (ORCA + "WARNING: This wavefunction IS NOT FULLY CONVERGED!\n" + ORCA_ENERGY, [0]),
        (CP2K + CP2K_ENERGY, []),
        (CP2K + CP2K_ENERGY + CP2K_NOT + CP2K_ENERGY, [1]),
    ],
)
def test_calculations_that_ran_out_of_iterations_are_found(
    tmp_path: Path, text: str, found: list[int]
):
    (tmp_path / "output").write_text(text)
    assert unconverged(tmp_path / "output") == found
