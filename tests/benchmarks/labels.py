"""What the labels of finished campaigns hold, and where on the test set their models err.

python tests/benchmarks/labels.py RUN... [--test FILE] [--parts 3] [--labels N] [--json FILE]

The first table has a row for each run: the labels, the range and the quartiles of its first
collective variable, the share of twenty equal parts of the test set's range that hold a label, and
the root mean squares of forces, stresses, and energies about their mean. The second has the force
errors of the finished model (that of the last iteration without one) on equal parts of the test set
in the order of that variable. --labels takes the first so many labels of each run, in the first
table only. A control arm is a run: RUN/control.
"""

from pathlib import Path
from typing import Any

import numpy as np
from common import arguments, save, show

from pyubias import Model, read_frames
from pyubias.analysis.collective_variables import collective_variables
from pyubias.analysis.residuals import evaluate
from pyubias.campaign.label_store import LabelStore
from pyubias.campaign.run_folder import RunFolder
from pyubias.errors import UserError
from pyubias.training.labels import ENERGY, FORCES, STRESS

BINS = 20


def rms(values: Any) -> float | None:
    values = np.asarray(values, dtype=float).ravel()
    return float(np.sqrt(np.mean(values**2))) if len(values) else None


def record_of(run: Path, test: Path | None, parts: int, n_labels: int | None) -> dict[str, Any]:
    folder = RunFolder(run)
    config = folder.read_config()
    variable = config.evaluation.collective_variables[:1]
    if not variable:
        raise SystemExit(f"'{run}' has no collective variable")
    labelled = [f.atoms for f in LabelStore(folder.labels).frames() if not f.failed][:n_labels]
    file = test or config.evaluation.test
    if file is None:
        raise SystemExit(f"'{run}' has no test set: name one with --test")
    frames, _ = read_frames(file)
    values, tested = (collective_variables(x, variable)[:, 0] for x in (labelled, frames))
    edges = np.linspace(tested.min(), tested.max(), BINS + 1)
    per_atom = np.array([atoms.info[ENERGY] / len(atoms) for atoms in labelled])
    model = Model(folder.path / "model.pt")
    order = np.array_split(np.argsort(tested), parts)
    return {
        "run": str(run),
        "labels": len(labelled),
        "variable": np.quantile(values, [0.0, 0.25, 0.5, 0.75, 1.0]).tolist(),
        "held": float(np.mean(np.histogram(values, edges)[0] > 0)),
        "forces": 1e3 * (rms(np.concatenate([a.arrays[FORCES] for a in labelled])) or 0.0),
        "stress": rms([a.info[STRESS] for a in labelled if STRESS in a.info]),
        "energies": 1e3 * (rms(per_atom - per_atom.mean()) or 0.0),
        "errors": [
            [
                tested[part[0]],
                tested[part[-1]],
                1e3 * evaluate(model, [frames[i] for i in part])["forces_rmse"],
            ]
            for part in order
        ],
    }


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--test", type=Path, metavar="FILE", help="default: that of each campaign")
    parser.add_argument("--parts", type=int, default=3, help="of the test set")
    parser.add_argument("--labels", type=int, metavar="N", help="the first so many of each run")
    options = parser.parse_args()
    try:
        records = [
            record_of(run, options.test, options.parts, options.labels) for run in options.runs
        ]
    except UserError as error:
        raise SystemExit(str(error)) from error

    def row(record: dict[str, Any]) -> list[str]:
        stress = "–" if record["stress"] is None else f"{1e3 * record['stress']:.2f}"
        return [
            "/".join(Path(record["run"]).parts[-2:]),
            str(record["labels"]),
            " ".join(f"{value:.4g}" for value in record["variable"]),
            f"{record['held']:.2f}",
            f"{record['forces']:.0f}",
            stress,
            f"{record['energies']:.1f}",
        ]

    columns = ["run", "labels", "min, quartiles, max", "parts with a label", "F, meV/Å"]
    columns += ["σ, meV/Å³", "E, meV/atom"]
    show("labels", columns, [row(record) for record in records])
    spans = [f"{low:.4g} to {high:.4g}" for low, high, _ in records[0]["errors"]]
    errors = [[row(r)[0], *(f"{error:.1f}" for _, _, error in r["errors"])] for r in records]
    show("force errors on parts of the test set, meV/Å", ["run", *spans], errors)
    save(options.json, records)


if __name__ == "__main__":
    main()
