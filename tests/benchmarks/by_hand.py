"""Seconds to write, import and select many frames that are labelled outside of a campaign.

python tests/benchmarks/by_hand.py [--frames 10000] [--atoms 20] [--program vasp] [--json FILE]

The labelled file holds the frames in another order, each with its atoms in another order and other
periodic images. The selection takes a batch out of as many frames again with a small model with
random weights. `--program` writes inputs of that program too.
"""

import sys
import tempfile
import time
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from common import ROOT, arguments, save, show

sys.path.extend([str(ROOT / "tests"), str(ROOT / "tests" / "lammps")])
from exactness import save_gmnn
from harness import random_atoms

from pyubias.campaign.by_hand import import_labels
from pyubias.campaign.label_store import LabelStore
from pyubias.campaign.run_folder import RunFolder
from pyubias.campaign.select_stage import SelectStage
from pyubias.campaign.to_label import write_frames_to_label
from pyubias.config.schema import CampaignConfig
from pyubias.files import write_json
from pyubias.lammps.walk import Walk

SETTINGS = {
    "vasp": {"encut": 400, "kspacing": 0.3},
    "espresso": {"pseudopotentials": {"Cu": "Cu.UPF", "Au": "Au.UPF"}},
    "cp2k": {"xc": "PBE"},
}


def perturbed(start: Atoms, n: int, seed: int) -> list[Atoms]:
    generator = np.random.default_rng(seed)
    frames = []
    for _ in range(n):
        atoms = start.copy()
        atoms.positions += generator.normal(0.0, 0.1, atoms.positions.shape)
        atoms.info.update(iteration=0, walker=-1, split="train")
        frames.append(atoms)
    return frames


def labelled(frames: list[Atoms]) -> list[Atoms]:
    """The frames with labels, in another order, with other orders of atoms and other images."""
    generator = np.random.default_rng(1)
    found = []
    for k in generator.permutation(len(frames)):
        atoms = frames[k][generator.permutation(len(frames[k]))]
        atoms.info = {"REF_energy": generator.normal()}
        atoms.arrays["REF_forces"] = generator.normal(0.0, 1.0, atoms.positions.shape)
        atoms.wrap()
        found.append(atoms)
    return found


def config_of(folder: Path, program: str | None, n: int) -> CampaignConfig:
    reference = {"kind": "files"}
    if program:
        reference |= {"program": program, "arguments": SETTINGS[program]}
    return CampaignConfig.model_validate(
        {
            "name": "benchmark",
            "start": {"structures": str(folder / "start.xyz"), "count": n},
            "reference": reference,
            "exploration": {"input": str(folder / "walker.in")},
            "selection": {"batch_size": 100, "max_pool": n},
            "stop": {"labels": 2 * n},
        }
    )


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def since(begin: tuple[float, float]) -> tuple[float, float]:
    """Wall time and CPU time since then, s."""
    wall, cpu = now()
    return wall - begin[0], cpu - begin[1]


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--atoms", type=int, default=20)
    parser.add_argument("--program", choices=sorted(SETTINGS))
    options = parser.parse_args()
    times: dict[str, tuple[float, float]] = {}

    with tempfile.TemporaryDirectory() as name:
        folder = RunFolder(Path(name))
        start = random_atoms("Cu Au", [8.0, 8.0, 9.0], options.atoms, seed=1, min_distance=2.2)
        frames = perturbed(start, options.frames, seed=0)
        config = config_of(folder.path, options.program, options.frames)
        write_json(folder.settings, config.model_dump(mode="json"))
        LabelStore(folder.labels)
        keyed = [(f"0000-{k:02d}", atoms) for k, atoms in enumerate(frames)]
        begin = now()
        write_frames_to_label(folder, keyed, config.reference)
        times["write"] = since(begin)
        ase.io.write(folder.path / "labelled.extxyz", labelled(frames))

        begin = now()
        result = import_labels(folder.path, [folder.path / "labelled.extxyz"])
        times["import"] = since(begin)
        if (result.labelled, result.refused) != (options.frames, []):
            sys.exit(f"{result.labelled} of {options.frames} frames were imported")

        iteration = folder.iteration(0)
        iteration.walkers.mkdir(parents=True)
        save_gmnn(iteration.model, frames[:50], ["Cu", "Au"])
        positions = [atoms.positions for atoms in perturbed(start, options.frames, seed=2)]
        steps = np.arange(options.frames)
        cells = np.repeat(start.cell.array[None], options.frames, axis=0)
        Walk(
            start.numbers, start.pbc, np.stack(positions), cells, steps, options.frames, False, ""
        ).save(iteration.walk(0))
        begin = now()
        known = LabelStore(folder.labels).frames()
        stage = SelectStage(config, 0, known, known, len(known), 0, [start], [], iteration)
        stage.select(stage.pool(), print)
        times["select"] = since(begin)

    times["all"] = tuple(np.sum(list(times.values()), axis=0))
    rows = [[what, *(f"{value:.1f}" for value in values)] for what, values in times.items()]
    columns = ["stage", "seconds", "of this core"]
    show(f"{options.frames} frames of {options.atoms} atoms", columns, rows)
    record = {what: {"wall": wall, "cpu": cpu} for what, (wall, cpu) in times.items()}
    save(options.json, [{"frames": options.frames, "atoms": options.atoms, "seconds": record}])


if __name__ == "__main__":
    main()
