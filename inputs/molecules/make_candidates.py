"""Make start.xyz, candidates.xyz and test.xyz from the SMILES below, then label the test set:

    python make_candidates.py
    pyubias label test.xyz campaign.yaml --output test.extxyz

Geometries are conformers from distance geometry (ETKDG), relaxed with MMFF94. Those of the test set
are then moved by 100 fs of dynamics at 500 K with GFN2-xTB.
"""

from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers
from tblite.ase import TBLite

HERE = Path(__file__).parent
START = "CCC CCO CCN CC(N)=O"
CANDIDATES = """
    CCCC CC(C)C C=CC C=CC=C CC#C C1CC1 C1CCCCC1 c1ccccc1 Cc1ccccc1
    CO CCCO CC(C)O OCCO COC CCOCC C1CCOC1 C1COCCO1 c1ccoc1 Oc1ccccc1
    CC=O CC(C)=O C=CC=O OC=O CC(=O)O COC=O COC(C)=O CC(=O)C(C)=O
    CN CNC CN(C)C NCCN C1CCNC1 c1cc[nH]c1 c1ccncc1 Nc1ccccc1 CC#N
    NC=O CNC(C)=O NC(N)=O NCC(=O)O CC(N)C(=O)O
"""
UNSEEN = """
    CCCCC CC(C)CO C1CCC1 OCC(O)CO CCC(C)=O C1CCNCC1 C1COCCN1 c1c[nH]cn1 Cc1ccccn1 COc1ccccc1
    CC(=O)N(C)C NCCO CC(O)C(=O)O CCC#N C=CC(=O)O O=Cc1ccccc1
"""
TEMPERATURE, STEPS = 500.0, 200


def conformers(smiles: str, n: int, seed: int) -> list[Atoms]:
    """Up to n relaxed geometries, which differ by 0.3 Å or more when they are embedded."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed
    parameters.pruneRmsThresh = 0.3
    rdDistGeom.EmbedMultipleConfs(molecule, n, parameters)
    rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(molecule)
    numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
    return [Atoms(numbers, positions=c.GetPositions()) for c in molecule.GetConformers()]


def heat(atoms: Atoms, generator: np.random.Generator) -> Atoms:
    """The geometry after 100 fs of dynamics at 500 K."""
    moving = atoms.copy()
    moving.calc = TBLite(method="GFN2-xTB", verbosity=0)
    MaxwellBoltzmannDistribution(moving, temperature_K=TEMPERATURE, rng=generator)
    Langevin(
        moving,
        0.5 * units.fs,
        temperature_K=TEMPERATURE,
        friction=0.05 / units.fs,
        rng=generator,
    ).run(STEPS)
    return Atoms(moving.numbers, positions=moving.positions - moving.positions.mean(0))


def test_frames(smiles: str, n: int, name: str, generator: np.random.Generator) -> list[Atoms]:
    """n hot geometries of a molecule, for the test of this name."""
    # another seed than that of the start and the candidates, which may share the molecule
    cold = conformers(smiles, n, seed=2)
    frames = [heat(cold[k % len(cold)], generator) for k in range(n)]
    for atoms in frames:
        atoms.info = {"smiles": smiles, "test": name}
    return frames


def write(name: str, frames: list[Atoms]) -> None:
    ase.io.write(HERE / name, frames, format="extxyz", columns=["symbols", "positions"])
    print(f"{name}: {len(frames)} structures")


def main() -> None:
    generator = np.random.default_rng(1)
    write("start.xyz", [a for s in START.split() for a in conformers(s, 1, seed=1)])
    write("candidates.xyz", [a for s in CANDIDATES.split() for a in conformers(s, 2, seed=1)])
    known = START.split() + CANDIDATES.split()
    test = [a for s in known for a in test_frames(s, 2, "conformers", generator)]
    test += [a for s in UNSEEN.split() for a in test_frames(s, 4, "molecules", generator)]
    write("test.xyz", test)


if __name__ == "__main__":
    main()
