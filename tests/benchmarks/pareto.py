"""Accuracy against speed over the sizes of the potential: where the defaults come from.

python tests/benchmarks/pareto.py [--frames 100] [--steps 1000] [--json FILE]

Each size is trained with the default schedule on the same frames of alanine dipeptide and tested
on others; its biased dynamics is timed in LAMMPS, in float32 on one core. A star marks what no
other size beats in both.
"""

import tempfile
from pathlib import Path

from common import ALA2, arguments, lammps_seconds_per_step, save, show, training_and_test
from md import BIAS, SCRIPT

from pyubias import (
    ModelConfig,
    TrainingConfig,
    UncertaintyConfig,
    export,
    train,
)
from pyubias.analysis.residuals import evaluate
from pyubias.model.prediction import Model

DEFAULT = {"hidden": [64, 64], "n_radial": 5, "n_basis": 12, "projections": 128}
VARIATIONS = [
    {},
    {"hidden": [32, 32]},
    {"hidden": [128, 128]},
    {"hidden": [128, 64]},
    {"n_radial": 4},
    {"n_radial": 6},
    {"n_radial": 7, "n_basis": 9},
    {"n_basis": 9},
    {"n_basis": 16},
    {"projections": 64},
    {"projections": 256},
    {"projections": 512},
    {"projections": 0},
    {"n_radial": 7, "n_basis": 12},
    {"hidden": [512, 512], "n_radial": 7, "n_basis": 9, "projections": 512},  # the paper's
]


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()
    training, test = training_and_test(options.frames)

    records = []
    for variation in VARIATIONS:
        sizes = DEFAULT | variation
        p = sizes.pop("projections")
        kind = UncertaintyConfig(projections=p) if p else UncertaintyConfig(features="last_layer")
        trained = train(training, ModelConfig(**sizes), TrainingConfig(), kind)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            export(trained, folder / "model.pt", "float32")
            error = evaluate(Model(folder / "model.pt"), test)["forces_rmse"]
            script = SCRIPT.format(
                data=ALA2 / "c7eq.data", bias=BIAS, uncertainty="", steps=options.steps
            )
            seconds = lammps_seconds_per_step(script, folder)
        records.append({**sizes, "projections": p, "error": error, "steps_per_s": 1 / seconds})

    rows = []
    for r in records:
        beaten = any(
            o["error"] < r["error"] and o["steps_per_s"] > r["steps_per_s"] for o in records
        )
        rows.append(
            [
                "-".join(map(str, r["hidden"])),
                str(r["n_radial"]),
                str(r["n_basis"]),
                str(r["projections"] or "last layer"),
                f"{1e3 * r['error']:.1f}",
                f"{r['steps_per_s']:,.0f}",
                "" if beaten else "*",
            ]
        )
    columns = ["hidden", "N_r", "N_b", "p", "force RMSE, meV/Å", "biased steps/s", "front"]
    show(f"sizes of the potential, {options.frames} training frames", columns, rows)
    save(options.json, records)


if __name__ == "__main__":
    main()
