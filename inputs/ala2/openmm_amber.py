"""An ASE calculator of alanine peptides with AMBER ff14SB in OpenMM, for openmm.yaml."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import openmm as mm
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.units import kJ, mol, nm
from openmm import app, unit

# atoms of a residue in the order of c7eq.xyz
ATOMS = {
    "ACE": "H1 CH3 H2 H3 C O",
    "ALA": "N H CA HA CB HB1 HB2 HB3 C O",
    "NME": "N H C H1 H2 H3",
}


def topology(residues: Sequence[str]) -> app.Topology:
    result = app.Topology()
    chain = result.addChain()
    for residue in residues:
        group = result.addResidue(residue, chain)
        for name in ATOMS[residue].split():
            result.addAtom(name, app.Element.getBySymbol(name[0]), group)
    result.createStandardBonds()
    return result


class Amber(Calculator):
    """AMBER in vacuum, without a cutoff and without constraints."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

    def __init__(
        self,
        forcefield: str = "amber14-all.xml",
        residues: Sequence[str] = ("ACE", "ALA", "NME"),
    ) -> None:
        super().__init__()
        system = app.ForceField(forcefield).createSystem(
            topology(residues), nonbondedMethod=app.NoCutoff, constraints=None, rigidWater=False
        )
        platform = mm.Platform.getPlatformByName("Reference")
        self.context = mm.Context(system, mm.VerletIntegrator(0.001), platform)

    def calculate(
        self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        self.context.setPositions(self.atoms.positions / nm)
        state = self.context.getState(getEnergy=True, getForces=True)
        energy = state.getPotentialEnergy() / unit.kilojoule_per_mole
        forces = state.getForces(asNumpy=True) / (unit.kilojoule_per_mole / unit.nanometer)
        self.results = {
            "energy": energy * kJ / mol,
            "forces": np.asarray(forces) * kJ / mol / nm,
        }
