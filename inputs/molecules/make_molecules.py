"""Write molecules.smi: small organic molecules of C, H, N and O, from cores and substituents.

    python make_molecules.py

Cores are rings and chains with one or two places ({a}, {b}) for substituents. All combinations are
made, unstable ones are removed, and a random sample with a fixed seed is kept. No data set is used.
"""

import random
from pathlib import Path

from rdkit import Chem, RDLogger

CORES = [
    "C{a}", "C({a}){b}", "C{a}C{b}", "C{a}CC{b}", "CC({a})C{b}", "C{a}C=CC{b}", "C{a}C#CC{b}",
    "C1C({a})C1{b}", "C1C({a})CC1{b}", "C1CC({a})CC1{b}", "C1CCC({a})CC1{b}", "C1OCC1{b}",
    "C1COCC1{b}", "C1CNC({a})C1", "C1COCC({a})C1", "C1CNCC({a})C1", "C1COCCN1{a}",
    "c1cc({a})cc({b})c1", "c1cc({a})c({b})cc1", "c1cc({a})ccc1{b}", "c1cc({a})cnc1{b}",
    "c1nc({a})ccc1{b}", "c1nc({a})ncc1{b}", "c1c({a})onc1{b}", "c1cc({a})oc1{b}",
    "c1cc({a})[nH]c1{b}", "c1[nH]nc({a})c1{b}", "c1nc({a})[nH]c1{b}", "c1coc({a})n1",
    "c1ccc2c(c1)cc({a})o2", "c1ccc2c(c1)cc({a})[nH]2", "c1ccc2c(c1)ncc({a})n2",
    "C1CC2CC({a})C1C2", "O=C1CCC({a})C1", "O=C1CCC({a})N1", "O=C1CCC({a})O1", "O=C({a})C{b}",
    "O=C({a})CC{b}", "CC(=O)N({a})C", "CC(=O)OC{a}", "C1=CCC({a})CC1", "C1=CC({a})CC1",
]  # fmt: skip
SUBSTITUENTS = ["", "C", "CC", "O", "OC", "N", "CO", "C#N", "C=O", "C=C", "C(C)C", "C(N)=O"]
UNSTABLE = [
    Chem.MolFromSmarts(pattern)
    for pattern in (
        "[OX2,NX3;!$(N-C=O)][CX4][OX2,NX3]",  # acetals and aminals
        "[OX2,NX3][CX3]=,#[CX3,CX2]",  # enols, enamines, ynols
        "[O,N;X2,X3][O,N;X2,X3;!a]",  # peroxides, hydrazines
    )
]
MAX_HEAVY_ATOMS, SAMPLE_SIZE, SEED = 13, 480, 1


def main() -> None:
    RDLogger.DisableLog("rdApp.*")
    found = set()
    for core in CORES:
        for a in SUBSTITUENTS if "{a}" in core else [""]:
            for b in SUBSTITUENTS if "{b}" in core else [""]:
                # parentheses around nothing are not SMILES
                filled = core.replace("{a}", a).replace("{b}", b).replace("()", "")
                molecule = Chem.MolFromSmiles(filled)
                if molecule is not None and is_kept(molecule):
                    found.add(Chem.MolToSmiles(molecule))
    kept = random.Random(SEED).sample(sorted(found), SAMPLE_SIZE)
    kept.sort(key=lambda smiles: (len(smiles), smiles))
    output = Path(__file__).with_name("molecules.smi")
    output.write_text("# by make_molecules.py\n" + "".join(f"{line}\n" for line in kept))
    print(f"{output}: {SAMPLE_SIZE} of {len(found)} molecules")


def is_kept(molecule: Chem.Mol) -> bool:
    """Whether a molecule is stable and of the right size."""
    unstable = any(molecule.HasSubstructMatch(pattern) for pattern in UNSTABLE)
    return 2 <= molecule.GetNumHeavyAtoms() <= MAX_HEAVY_ATOMS and not unstable


if __name__ == "__main__":
    main()
