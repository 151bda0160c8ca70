"""Two builds of the LAMMPS plugin against each other, in pairs of runs that alternate.

python tests/benchmarks/builds.py OLD NEW [--ranks 1 2] [--pairs 20] [--json FILE]

OLD and NEW are folders with ubiasplugin.so and its two libraries.
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import ALA2, ROOT, arguments, loop_seconds_per_step, save, show
from md import BIAS
from md import SCRIPT as MOLECULE
from scaling import SCRIPT as ALUMINIUM
from scaling import labelled_aluminium

from pyubias import ModelConfig, TrainingConfig, export, read_frames, train

sys.path.append(str(ROOT / "tests" / "lammps"))
from harness import lmp


def scripts(ranks: int) -> dict[str, str]:
    """Input scripts of a few seconds; ranks that share a core wait for each other in every step."""
    steps = 2000 if ranks <= (os.cpu_count() or 1) else 50
    molecule = {"data": ALA2 / "c7eq.data", "uncertainty": "", "steps": steps}
    metal = ALUMINIUM.format(layout=f"processors {ranks} 1 1", cells=10, steps=20)
    plain = "\n".join(line for line in metal.splitlines() if "ubias tau" not in line)
    return {
        "22 atoms, plain": MOLECULE.format(bias="", **molecule),
        "22 atoms, biased": MOLECULE.format(bias=BIAS, **molecule),
        "4,000 atoms, plain": plain,
        "4,000 atoms, biased": metal,
    }


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("builds", type=Path, nargs=2, metavar="BUILD", help="OLD and NEW")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--only", default="", help="of the scripts, those with this in their name")
    options = parser.parse_args()

    records = []
    with tempfile.TemporaryDirectory() as name:
        folders = {kind: Path(name) / kind for kind in ("22 atoms", "4,000 atoms")}
        for kind, frames in (
            ("22 atoms", read_frames(ALA2 / "testset.extxyz", index="::24")[0]),
            ("4,000 atoms", labelled_aluminium(20)),
        ):
            folders[kind].mkdir()
            trained = train(frames, ModelConfig(), TrainingConfig(epochs=2))
            export(trained, folders[kind] / "model.pt")
        for ranks in options.ranks:
            for what, script in scripts(ranks).items():
                if options.only not in what:
                    continue
                folder = folders[what.split(", p")[0].split(", b")[0]]
                seconds = np.empty((options.pairs, 2))
                for k in range(options.pairs):
                    for side in (0, 1) if k % 2 else (1, 0):
                        plugin = options.builds[side].resolve()
                        run = lmp(script, folder, ranks, plugin=plugin, timeout=600.0)
                        seconds[k, side] = loop_seconds_per_step(run.text)
                records.append({"what": what, "ranks": ranks, "seconds": seconds.tolist()})
                print(" | ".join(row(**records[-1])), file=sys.stderr, flush=True)

    columns = ["run", "ranks", "old, ms/step", "new, ms/step", "new/old", "of fastest runs"]
    show(f"{options.pairs} pairs of runs", columns, [row(**record) for record in records])
    save(options.json, records)


def row(what: str, ranks: int, seconds: list[list[float]]) -> list[str]:
    """Medians; median ratio of the pairs with its standard error; ratio of the fastest runs."""
    old, new = np.array(seconds).T
    ratio = new / old
    # 1.25 σ/√n for normal errors; half the interquartile range is 0.674 σ
    low, middle, high = np.percentile(ratio, [25, 50, 75])
    error = 1.25 * (high - low) / 2 / 0.674 / len(ratio) ** 0.5
    return [
        *(what, str(ranks)),
        *(f"{1e3 * np.median(x):.3f}" for x in (old, new)),
        f"{middle:.3f} ± {error:.3f}",
        f"{new.min() / old.min():.3f}",
    ]


if __name__ == "__main__":
    main()
