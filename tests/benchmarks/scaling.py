"""Biased dynamics of periodic aluminium: cost per atom over system size, and over ranks.

python tests/benchmarks/scaling.py [--ranks 1 2] [--cells 6 10 16 20] [--json FILE]
"""

import tempfile
from pathlib import Path

from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from common import arguments, lammps_seconds_per_step, save, show

from pyubias import ModelConfig, TrainingConfig, export, train

SCRIPT = """\
units metal
{layout}
lattice fcc 4.05
region box block 0 {cells} 0 {cells} 0 {cells}
create_box 1 box
create_atoms 1 box
mass 1 26.98
pair_style ubias
pair_coeff * * model.pt Al
velocity all create 600 1 loop geom
fix bias all ubias tau 0.25 window 2
fix move all nve
thermo_modify norm no
run 5
run {steps}
"""


def labelled_aluminium(n: int) -> list[Atoms]:
    """Perturbed cells with energies and forces of ASE's effective medium theory."""
    frames = [bulk("Al", a=4.05, cubic=True) * (2, 2, 2) for _ in range(n)]
    for k, atoms in enumerate(frames):
        atoms.rattle(0.1, seed=k)
        atoms.calc = EMT()
        atoms.info["REF_energy"] = atoms.get_potential_energy()
        atoms.arrays["REF_forces"] = atoms.get_forces()
    return frames


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--cells", type=int, nargs="+", default=[6, 10, 16, 20])
    options = parser.parse_args()

    records = []
    with tempfile.TemporaryDirectory() as folder:
        trained = train(labelled_aluminium(20), ModelConfig(), TrainingConfig(epochs=20))
        export(trained, Path(folder) / "model.pt")
        for cells in options.cells:
            n_atoms = 4 * cells**3
            for ranks in options.ranks:
                layout = f"processors {ranks} 1 1"
                steps = max(5, 60_000 // n_atoms)
                script = SCRIPT.format(layout=layout, cells=cells, steps=steps)
                seconds = lammps_seconds_per_step(script, Path(folder), ranks)
                records.append({"atoms": n_atoms, "ranks": ranks, "seconds": seconds})

    one = {r["atoms"]: r["seconds"] for r in records if r["ranks"] == options.ranks[0]}
    first = next(iter(one))
    rows = [
        [
            f"{r['atoms']:,}",
            str(r["ranks"]),
            f"{1e3 * r['seconds']:.1f}",
            f"{1e6 * r['seconds'] / r['atoms']:.1f}",
            f"{(one[r['atoms']] / r['atoms']) / (one[first] / first):.2f}",
            f"{one[r['atoms']] / r['seconds']:.2f}",
        ]
        for r in records
    ]
    columns = ["atoms", "ranks", "ms/step", "µs/atom", "cost/atom, ratio", "speed-up"]
    show("biased dynamics of aluminium, default model, float64", columns, rows)
    save(options.json, records)


if __name__ == "__main__":
    main()
