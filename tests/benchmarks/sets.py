"""Five pairs of files with labelled structures, to train on and to test on, for accuracy.py.

python tests/benchmarks/sets.py FOLDER

- ala2: 100 frames of alanine dipeptide at 300 to 600 K; test: every other frame of its test set.
- mil53: every other frame of the test set of MIL-53(Al); test: the others.
- alloy: 40 cells of 107 or 108 atoms of Cu, Au and Ni with EMT, strained and displaced; test: 80.
- molecules: 100 of the geometries of small molecules in inputs/molecules; test: the others.
- silicon: 100 of the configurations that come with KLIFF (LGPL), from PyPI; test: 200 others.
"""

import io
import json
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from common import ALA2, PROGRAMS, arguments

INPUTS = ALA2.parent
KLIFF = "https://pypi.org/pypi/kliff/json"


def ala2(folder: Path) -> tuple[list[Atoms], list[Atoms]]:
    dump = folder / "ala2.dump"
    script = [PROGRAMS / "lmp", "-in", "testset.in", "-log", "none", "-var", "n", "10"]
    script += ["-var", "seed", "2", "-var", "dump", dump]
    subprocess.run(list(map(str, script)), cwd=ALA2, check=True, stdout=subprocess.DEVNULL)
    labelled = folder / "labelled.extxyz"
    label = [PROGRAMS / "pyubias", "label", dump, ALA2 / "quickstart.yaml", "-o", labelled]
    subprocess.run(list(map(str, label)), check=True, stdout=subprocess.DEVNULL)
    return ase.io.read(labelled, ":"), ase.io.read(ALA2 / "testset.extxyz", "1::2")


def mil53(folder: Path) -> tuple[list[Atoms], list[Atoms]]:
    frames = ase.io.read(INPUTS / "mil53" / "testset.extxyz", ":")
    return frames[::2], frames[1::2]


def alloy(folder: Path) -> tuple[list[Atoms], list[Atoms]]:
    generator = np.random.default_rng(7)
    frames = [alloy_cell(generator) for _ in range(120)]
    return frames[:40], frames[40:]


def alloy_cell(generator: np.random.Generator) -> Atoms:
    atoms = bulk("Cu", cubic=True, a=3.8) * (3, 3, 3)
    atoms.symbols = generator.choice(["Cu", "Au", "Ni"], len(atoms), p=[0.5, 0.3, 0.2])
    strain = generator.uniform(-0.04, 0.04, (3, 3))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain + strain.T), scale_atoms=True)
    atoms.rattle(generator.uniform(0.02, 0.15), rng=generator)
    if generator.random() < 0.3:
        del atoms[int(generator.integers(len(atoms)))]
    atoms.calc = EMT()
    labels = {"REF_energy": atoms.get_potential_energy(), "REF_stress": atoms.get_stress()}
    forces = atoms.get_forces()
    atoms.calc = None
    atoms.info, atoms.arrays["REF_forces"] = labels, forces
    return atoms


def molecules(folder: Path) -> tuple[list[Atoms], list[Atoms]]:
    return drawn(ase.io.read(INPUTS / "molecules" / "test.extxyz", ":"), 100, None)


def silicon(folder: Path) -> tuple[list[Atoms], list[Atoms]]:
    with urllib.request.urlopen(KLIFF) as page:
        files = json.load(page)["releases"]["1.0.1"]
    (source,) = (file["url"] for file in files if file["packagetype"] == "sdist")
    with urllib.request.urlopen(source) as page:
        content = io.BytesIO(page.read())
    with tarfile.open(fileobj=content) as package:
        inner = package.extractfile("kliff-1.0.1/examples/Si_training_set.tar.gz")
        with tarfile.open(fileobj=inner) as archive:
            archive.extractall(folder, filter="data")
    frames = []
    for path in sorted(folder.rglob("*.xyz")):
        if not path.name.startswith("._"):
            atoms = ase.io.read(path)
            atoms.arrays["REF_forces"] = atoms.arrays.pop("force")
            atoms.info = {"REF_energy": float(atoms.info["Energy"])}
            frames.append(atoms)
    return drawn(frames, 100, 200)


def drawn(
    frames: Sequence[Atoms], n_train: int, n_test: int | None
) -> tuple[list[Atoms], list[Atoms]]:
    order = np.random.default_rng(0).permutation(len(frames))
    rest = order[n_train:] if n_test is None else order[n_train : n_train + n_test]
    return [frames[k] for k in order[:n_train]], [frames[k] for k in rest]


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="that gets the files")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for make in (ala2, mil53, alloy, molecules, silicon):
        with tempfile.TemporaryDirectory() as scratch:
            train, test = make(Path(scratch))
        for name, frames in (("train", train), ("test", test)):
            ase.io.write(folder / f"{make.__name__}_{name}.extxyz", frames)
        print(f"{make.__name__}: {len(train)} to train on, {len(test)} to test on")


if __name__ == "__main__":
    main()
