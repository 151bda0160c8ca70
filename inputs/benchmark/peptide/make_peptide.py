"""Makes start.xyz and testset.extxyz: ACE-ALA3-NME in vacuum with AMBER ff14SB.

start.xyz is the minimum with all residues near C7eq. The test set has 96 frames of dynamics at
300 K with φ and ψ of the three residues held near the points of a Latin hypercube: each of the six
angles is uniform. It needs openmm, and takes a minute.

    python make_peptide.py
"""

import sys
from pathlib import Path

import ase.io
import numpy as np
import openmm as mm
from ase import Atoms
from numpy.typing import NDArray
from openmm import app, unit
from scipy.stats import qmc

sys.path.append(str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[2] / "ala2"))
from labelled import write_testset
from openmm_amber import topology

HERE = Path(__file__).parent
ALA2 = HERE.parents[1] / "ala2"
RESIDUES = ("ACE", "ALA", "ALA", "ALA", "NME")
FRAMES = 96
HOLD = 500.0  # kJ/mol: about 4 degrees at 300 K
TRANS = 20.0  # kJ/mol: a weak guard that keeps the peptide bonds trans
# of residue k: φ and ψ in turn, atoms counted from 0
ANGLES = [
    tuple(10 * k + atom for atom in atoms)
    for k in range(3)
    for atoms in ((4, 6, 8, 14), (6, 8, 14, 16))
]
OMEGAS = [(1, 4, 6, 8), (8, 14, 16, 18), (18, 24, 26, 28), (28, 34, 36, 38)]


def chain() -> NDArray[np.float64]:
    """Alanine dipeptide with its residue twice more, each time moved like C, N, H, CA to the next.

    The nitrogen, hydrogen and carbon of NME are where those of a further residue belong.
    """
    x = ase.io.read(ALA2 / "c7eq.xyz").positions
    here, there = x[[4, 6, 7, 8]], x[[14, 16, 17, 18]]
    u, _, v = np.linalg.svd((here - here.mean(axis=0)).T @ (there - there.mean(axis=0)))
    turn = u @ np.diag([1.0, 1.0, np.linalg.det(u @ v)]) @ v
    parts, rest = [x[:16]], x[6:]
    for _ in range(2):
        rest = (rest - here.mean(axis=0)) @ turn + there.mean(axis=0)
        parts.append(rest[:10])
    return np.concatenate([*parts, rest[10:]])


def simulation() -> tuple[mm.Context, mm.CustomTorsionForce]:
    """The molecule with a restraint of each angle, which begins without strength."""
    system = app.ForceField("amber14-all.xml").createSystem(
        topology(RESIDUES), nonbondedMethod=app.NoCutoff, constraints=None
    )
    restraint = mm.CustomTorsionForce("k*(1-cos(theta-centre))")
    restraint.addPerTorsionParameter("k")
    restraint.addPerTorsionParameter("centre")
    for atoms in (*ANGLES, *OMEGAS):
        restraint.addTorsion(*atoms, [0.0, np.pi])
    system.addForce(restraint)
    integrator = mm.LangevinMiddleIntegrator(300.0, 10.0, 0.0005)
    integrator.setRandomNumberSeed(1)
    return mm.Context(system, integrator, mm.Platform.getPlatformByName("Reference")), restraint


def positions(context: mm.Context) -> NDArray[np.float64]:
    """Å, with the centre at the origin."""
    state = context.getState(getPositions=True)
    x = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    return x - x.mean(axis=0)


def main() -> None:
    context, restraint = simulation()
    context.setPositions(chain() / 10.0)
    mm.LocalEnergyMinimizer.minimize(context, tolerance=1e-3)
    start = Atoms([a.element.symbol for a in topology(RESIDUES).atoms()], positions(context))
    ase.io.write(HERE / "start.xyz", start, format="extxyz")

    frames = []
    points = qmc.LatinHypercube(d=len(ANGLES), rng=np.random.default_rng(1)).random(FRAMES)
    for k, point in enumerate(points):
        centres = [*(2 * np.pi * point - np.pi), *[np.pi] * len(OMEGAS)]
        context.setPositions(start.positions / 10.0)
        # the angles are turned a little at a time, which takes the chain through fewer clashes
        for part in (0.05, 0.2, 1.0):
            for i, (atoms, centre) in enumerate(zip((*ANGLES, *OMEGAS), centres, strict=True)):
                strength = HOLD if i < len(ANGLES) else TRANS
                restraint.setTorsionParameters(i, *atoms, [part * strength, centre])
            restraint.updateParametersInContext(context)
            mm.LocalEnergyMinimizer.minimize(context, tolerance=100.0, maxIterations=300)
        context.setVelocitiesToTemperature(300.0, k + 1)
        context.getIntegrator().step(1000)
        frames.append(Atoms(start.numbers, positions=positions(context)))
    write_testset(HERE, frames, most_force=15.0)


if __name__ == "__main__":
    main()
