"""What VASP, Quantum ESPRESSO, ORCA and CP2K write about a structure, in the layouts of real files.

Those of pw.x 6.7 and CP2K 2023.1 follow files that the programs wrote. Numbers have the units, the
signs and about the digits of the programs; the conversions here are written out on purpose.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

Array = NDArray[np.float64]
HARTREE, RYDBERG, BOHR = 27.211386, 13.605693, 0.52917721
# eV/Å³
KBAR = 6.2415091e-4


@dataclass(frozen=True)
class Result:
    """Energy to which the forces belong, eV; forces, eV/Å; stress (3, 3), eV/Å³, ASE's sign."""

    energy: float
    forces: Array
    stress: Array


def random_result(n: int, seed: int) -> Result:
    generator = np.random.default_rng(seed)
    stress = generator.normal(0.0, 0.02, (3, 3))
    return Result(
        -20.0 - generator.random(), generator.normal(0.0, 1.0, (n, 3)), (stress + stress.T) / 2
    )


def rows(values: Array, form: str = "16.8f") -> list[str]:
    return ["".join(f"{x:{form}}" for x in row) for row in values]


def sorted_by_element(atoms: Atoms, result: Result) -> tuple[Atoms, Result]:
    """As POSCAR has them; VASP writes fractions within the cell."""
    order = np.argsort(atoms.get_chemical_symbols(), kind="stable")
    atoms = atoms[order]
    atoms.wrap()
    return atoms, Result(result.energy, result.forces[order], result.stress)


def vasprun(atoms: Atoms, result: Result, converged: bool = True) -> str:
    atoms, result = sorted_by_element(atoms, result)
    # the energy at σ → 0 is another one, and forces do not belong to it
    energies = "".join(
        f'<i name="{name}"> {value:16.8f} </i>'
        for name, value in (
            ("e_fr_energy", result.energy),
            ("e_wo_entrp", result.energy + 0.4),
            ("e_0_energy", result.energy + 0.2),
        )
    )
    other = energies.replace(f"{result.energy:16.8f}", f"{result.energy + 0.3:16.8f}")
    steps = [other, energies, energies] if converged else [other, energies, other, energies]
    structure = (
        '<crystal><varray name="basis">'
        + "".join(f"<v> {row} </v>" for row in rows(atoms.cell.array))
        + '</varray></crystal><varray name="positions">'
        + "".join(f"<v> {row} </v>" for row in rows(atoms.get_scaled_positions()))
        + "</varray>"
    )
    kinds = "".join(f"<rc><c>{s} </c><c> 1</c></rc>" for s in atoms.get_chemical_symbols())
    forces = "".join(f"<v> {row} </v>" for row in rows(result.forces))
    stress = "".join(f"<v> {row} </v>" for row in rows(-result.stress / KBAR))
    return f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
 <generator><i name="program" type="string">vasp </i></generator>
 <kpoints><generation param="Gamma"><v type="int" name="divisions"> 1 1 1 </v></generation>
  <varray name="kpointlist"><v> 0.0 0.0 0.0 </v></varray>
  <varray name="weights"><v> 1.0 </v></varray></kpoints>
 <parameters><separator name="electronic"><i type="int" name="NELM"> 4</i>
  <i name="EDIFF"> 0.00010000</i></separator></parameters>
 <atominfo><atoms> {len(atoms)} </atoms>
  <array name="atoms"><field type="string">element</field><set>{kinds}</set></array></atominfo>
 <structure name="initialpos">{structure}</structure>
 <calculation>
  {"".join(f"<scstep><energy>{step}</energy></scstep>" for step in steps)}
  <structure>{structure}</structure>
  <varray name="forces">{forces}</varray>
  <varray name="stress">{stress}</varray>
  <energy>{energies}</energy>
 </calculation>
</modeling>
"""


def outcar(atoms: Atoms, result: Result, converged: bool = True) -> str:
    atoms, result = sorted_by_element(atoms, result)
    symbols = list(dict.fromkeys(atoms.get_chemical_symbols()))
    counts = [atoms.get_chemical_symbols().count(s) for s in symbols]
    potcar = "".join(f" POTCAR:    PAW_PBE {s} 08Apr2002\n" for s in symbols)
    xx, yy, zz, yz, zx, xy = (-result.stress / KBAR)[[0, 1, 2, 1, 2, 0], [0, 1, 2, 2, 0, 1]]
    kbar = "".join(f"{x:12.5f}" for x in (xx, yy, zz, xy, yz, zx))
    table = np.hstack([atoms.positions, result.forces])
    zero = result.energy + 0.2  # to which the forces do not belong
    end = (
        "------------------------ aborting loop because EDIFF is reached ---------------------"
        if converged
        else "------------------------ aborting loop EDIFF was not reached (unconverged) ---------"
    )
    lattice = np.hstack([atoms.cell.array, np.linalg.inv(atoms.cell.array).T])
    return f""" vasp.6.4.1 05Apr23 (build May 04 2023 12:00:00) complex
 executed on             LinuxIFC date 2024.01.01  12:00:00
{potcar}{potcar}   ions per type =          {" ".join(str(n) for n in counts)}
   ISPIN  =      1    spin polarized calculation?
   k-points           NKPTS =      1   k-points in BZ     number of bands    NBANDS=      8
 k-points in reciprocal lattice and weights: K-Points
   0.00000000  0.00000000  0.00000000       1.000

--------------------------- Iteration      1(   1)  ---------------------------
--------------------------- Iteration      1(   2)  ---------------------------
{end}

  in kB  {kbar}
  external pressure =        1.00 kB  Pullay stress =        0.00 kB

      direct lattice vectors                 reciprocal lattice vectors
{chr(10).join(rows(lattice, "13.9f"))}

 POSITION                                       TOTAL-FORCE (eV/Angst)
 -----------------------------------------------------------------------------------
{chr(10).join(rows(table, "13.5f"))}
 -----------------------------------------------------------------------------------

  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)
  ---------------------------------------------------
  free  energy   TOTEN  = {result.energy:20.8f} eV

  energy  without entropy= {result.energy + 0.4:20.8f}  energy(sigma->0) = {zero:20.8f}
"""


def espresso(atoms: Atoms, result: Result, converged: bool = True) -> str:
    alat = float(np.linalg.norm(atoms.cell[0]))
    symbols = atoms.get_chemical_symbols()
    sites = "\n".join(
        f"     {k + 1:5d}           {s:2s}  tau({k + 1:4d}) = ( "
        + " ".join(f"{x:11.7f}" for x in position / alat)
        + "  )"
        for k, (s, position) in enumerate(zip(symbols, atoms.positions, strict=True))
    )
    axes = "\n".join(
        f"               a({k + 1}) = ( {' '.join(f'{x:10.6f}' for x in v / alat)} )  "
        for k, v in enumerate(atoms.cell.array)
    )
    forces = "\n".join(
        f"     atom {k + 1:4d} type  1   force = {' '.join(f'{x:13.8f}' for x in force)}"
        for k, force in enumerate(result.forces / (RYDBERG / BOHR))
    )
    atomic, kbar = -result.stress / (RYDBERG / BOHR**3), -result.stress / KBAR
    stress = "\n".join(
        a + b for a, b in zip(rows(atomic, "14.8f"), rows(kbar, "12.2f"), strict=True)
    )
    head = f"""
     Program PWSCF v.6.7MaX starts on 26Nov2026 at 13:49: 3

     bravais-lattice index     =            0
     lattice parameter (alat)  = {alat / BOHR:12.4f}  a.u.
     unit-cell volume          = {atoms.get_volume() / BOHR**3:12.4f} (a.u.)^3
     number of atoms/cell      = {len(atoms):12d}
     scf convergence threshold =      1.0E-06

     celldm(1)= {alat / BOHR:10.6f}  celldm(2)=   0.000000  celldm(3)=   0.000000
     celldm(4)=   0.000000  celldm(5)=   0.000000  celldm(6)=   0.000000

     crystal axes: (cart. coord. in units of alat)
{axes}

   Cartesian axes

     site n.     atom                  positions (alat units)
{sites}

     number of Kohn-Sham states=            4
     number of k points=     1
                       cart. coord. in units 2pi/alat
        k(    1) = (   0.0000000   0.0000000   0.0000000), wk =   2.0000000

     iteration #  1     ecut=    16.00 Ry     beta= 0.70
     total energy              = {result.energy / RYDBERG + 0.1:16.8f} Ry
     estimated scf accuracy    <       0.08702173 Ry
"""
    if not converged:
        problem = "convergence NOT achieved after   2 iterations: stopping"
        return f"{head}\n     {problem}\n\n   JOB DONE.\n"
    return f"""{head}
     End of self-consistent calculation

          k = 0.0000 0.0000 0.0000 (   303 PWs)   bands (ev):

    -5.8331   5.8183   6.1577   6.2985

     the Fermi energy is     6.2590 ev

!    total energy              = {result.energy / RYDBERG:16.8f} Ry
     estimated scf accuracy    <       0.00000005 Ry
     smearing contrib. (-TS)   =      -0.02465149 Ry
     internal energy E=F+TS    = {result.energy / RYDBERG + 0.02465149:16.8f} Ry

     convergence has been achieved in   5 iterations

     Forces acting on atoms (cartesian axes, Ry/au):

{forces}

     Total force =     0.068645     Total SCF correction =     0.000031

     Computing stress (Cartesian axis) and pressure

          total   stress  (Ry/bohr**3)                   (kbar)     P=       17.33
{stress}

=------------------------------------------------------------------------------=
   JOB DONE.
=------------------------------------------------------------------------------=
"""


def orca(atoms: Atoms, result: Result, converged: bool = True) -> str:
    symbols = atoms.get_chemical_symbols()
    table = "\n".join(
        f"  {s:4s}" + "".join(f"{x:12.6f}" for x in position)
        for s, position in zip(symbols, atoms.positions, strict=True)
    )
    gradient = "\n".join(
        f"{k + 1:4d}   {s:4s}:" + "".join(f"{x:15.9f}" for x in -force * BOHR / HARTREE)
        for k, (s, force) in enumerate(zip(symbols, result.forces, strict=True))
    )
    head = f"""
                                 *****************
                                 * O   R   C   A *
                                 *****************

                         Program Version 5.0.4 -  RELEASE  -

---------------------------------
CARTESIAN COORDINATES (ANGSTROEM)
---------------------------------
{table}

Number of atoms                             ... {len(atoms):6d}
"""
    if not converged:
        return f"""{head}
 SERIOUS PROBLEM IN SOSCF
       *****************************************************
       *                     ERROR                         *
       *           SCF NOT CONVERGED AFTER 125 CYCLES      *
       *****************************************************

ORCA finished by error termination in SCF
"""
    return f"""{head}
       *****************************************************
       *                     SUCCESS                       *
       *           SCF CONVERGED AFTER   9 CYCLES          *
       *****************************************************

-------------------------   --------------------
FINAL SINGLE POINT ENERGY    {result.energy / HARTREE:20.12f}
-------------------------   --------------------

------------------------------------------------------------------------------
                         ORCA SCF GRADIENT CALCULATION
------------------------------------------------------------------------------

------------------
CARTESIAN GRADIENT
------------------

{gradient}

Difference to translation invariance:
                             ****ORCA TERMINATED NORMALLY****
"""


def cp2k(atoms: Atoms, result: Result, converged: bool = True) -> str:
    symbols = atoms.get_chemical_symbols()
    kinds = list(dict.fromkeys(symbols))
    cell = "\n".join(
        f" CELL| Vector {name} [angstrom]:    {''.join(f'{x:10.3f}' for x in v)}"
        f"   |{name}| = {np.linalg.norm(v):12.6f}"
        for name, v in zip("abc", atoms.cell.array, strict=True)
    )
    table = "\n".join(
        f"{k + 1:7d}{kinds.index(s) + 1:5d} {s:2s}{number:5d}  "
        + "".join(f"{x:14.6f}" for x in position)
        + "   6.0000  15.9994"
        for k, (s, number, position) in enumerate(
            zip(symbols, atoms.numbers, atoms.positions, strict=True)
        )
    )
    forces = "\n".join(
        f"{k + 1:7d}{kinds.index(s) + 1:7d}      {s:2s}     {''.join(f'{x:15.8f}' for x in force)}"
        for k, (s, force) in enumerate(zip(symbols, result.forces * BOHR / HARTREE, strict=True))
    )
    stress = "\n".join(
        f" STRESS|      {axis}  {''.join(f'{x:20.11E}' for x in row)}"
        for axis, row in zip("xyz", -0.1 * result.stress / KBAR, strict=True)
    )
    problem = "" if converged else " *** WARNING in qs_scf.F:601 :: SCF run NOT converged ***\n"
    return f""" DBCSR| CPU Multiplication driver                                           BLAS (U)

  **** **** ******  **  PROGRAM STARTED AT               2026-11-26 13:49:03.966

 CP2K| version string:                                       CP2K version 2023.1
 CP2K| source code revision number:                                  git:b888bd8

 GLOBAL| Run type                                                   ENERGY_FORCE

 CELL_TOP| Volume [angstrom^3]:                                           1.0000
 CELL_TOP| Vector a [angstrom]:       1.000     0.000     0.000   |a| =     1.000000
 CELL| Volume [angstrom^3]: {atoms.get_volume():20.6f}
{cell}
 CELL| Periodicity                                                           XYZ


 MODULE QUICKSTEP: ATOMIC COORDINATES IN ANGSTROM

   Atom Kind Element         X             Y             Z       Z(eff)     Mass
{table}



{problem} ENERGY| Total FORCE_EVAL ( QS ) energy [a.u.]: {result.energy / HARTREE:30.15f}


 ATOMIC FORCES in [a.u.]

 # Atom   Kind   Element          X              Y              Z
{forces}
 SUM OF ATOMIC FORCES          -0.00537531    -0.00122816    -0.00056074     0.00554227

 STRESS| Analytical stress tensor [GPa]
 STRESS|                        x                   y                   z
{stress}
 STRESS| 1/3 Trace                                            -2.91953514396E-01
  **** **** ******  **  PROGRAM ENDED AT                 2026-11-26 13:49:18.798
"""


# names of files, the writers, and whether the program takes periodic structures
OUTPUTS: dict[str, Callable[..., str]] = {
    "vasprun.xml": vasprun,
    "OUTCAR": outcar,
    "espresso.pwo": espresso,
    "orca.out": orca,
    "cp2k.out": cp2k,
}
