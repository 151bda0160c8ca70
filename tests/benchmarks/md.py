"""Steps per second of alanine dipeptide in LAMMPS, against eager PyTorch through ASE.

python tests/benchmarks/md.py [--json FILE]
"""

import tempfile
from pathlib import Path

import ase.io
from common import ALA2, arguments, default_and_paper, lammps_seconds_per_step, save, show
from eager import seconds_per_step

from pyubias import (
    TrainingConfig,
    export,
    read_frames,
    train,
)

SCRIPT = """\
units metal
boundary s s s
read_data {data}
pair_style ubias
pair_coeff * * model.pt C H N O
neighbor 2.0 nsq
timestep 0.0005
velocity all create 300 1
{bias}
fix bath all langevin 300 300 0.1 1 zero yes
fix move all nve
{uncertainty}
thermo {steps}
run 100
run {steps}
"""
BIAS = "fix bias all ubias tau 0.25 weight H 0.0"
UNCERTAINTY = """\
fix u all pair 1 ubias uncertainty 1
compute umax all reduce max f_u
variable umax equal c_umax
fix stop all halt 1 v_umax > 1e9 error soft
"""
MODES = {
    "plain": ("", ""),
    "with atomic uncertainty": ("", UNCERTAINTY),
    "biased": (BIAS, ""),
    "biased, with atomic uncertainty": (BIAS, UNCERTAINTY),
}


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("--steps", type=int, default=2000)
    options = parser.parse_args()
    frames, _ = read_frames(ALA2 / "testset.extxyz", index="::24")
    atoms = ase.io.read(ALA2 / "c7eq.xyz")

    records = []
    for name, (model, uncertainty) in default_and_paper().items():
        trained = train(frames, model, TrainingConfig(epochs=2), uncertainty)
        with tempfile.TemporaryDirectory() as folder:
            for dtype in ("float64", "float32"):
                export(trained, Path(folder) / "model.pt", dtype)
                for mode, (bias, watch) in MODES.items():
                    script = SCRIPT.format(
                        data=ALA2 / "c7eq.data", bias=bias, uncertainty=watch, steps=options.steps
                    )
                    seconds = lammps_seconds_per_step(script, Path(folder))
                    records.append([name, f"LAMMPS, {dtype}", mode, seconds])
        for mode, biased in (("plain", False), ("biased", True)):
            seconds = seconds_per_step(trained, atoms, biased, max(20, options.steps // 50))
            records.append([name, "eager PyTorch, ASE", mode, seconds])

    eager = {(name, mode): s for name, where, mode, s in records if where.startswith("eager")}

    def ratios(name: str, mode: str, seconds: float) -> list[str]:
        kind = "biased" if mode.startswith("biased") else "plain"
        return [f"{eager[model, kind] / seconds:.1f}" for model in (name, "paper")]

    rows = [
        [f"{name}: {where}", mode, f"{1e3 * s:.3f}", f"{1 / s:,.0f}", *ratios(name, mode, s)]
        for name, where, mode, s in records
    ]
    columns = ["model", "mode", "ms/step", "steps/s", "× eager", "× eager, paper's model"]
    show("alanine dipeptide, 22 atoms, one core", columns, rows)
    keys = ("model", "where", "mode", "seconds")
    save(options.json, [dict(zip(keys, r, strict=True)) for r in records])


if __name__ == "__main__":
    main()
