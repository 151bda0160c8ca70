"""Compare ways of selection at one budget: write a campaign for each, and a table of the errors.

python arms.py write             # ARM-SEED.yaml, for `pyubias run`
python arms.py table ../../runs  # errors of the final models
"""

import sys
from pathlib import Path

import yaml
from ase import Atoms

from pyubias.analysis.residuals import evaluate
from pyubias.campaign.label_store import LabelStore
from pyubias.model.prediction import Model
from pyubias.training.reading import read_frames

HERE = Path(__file__).parent
ARMS = {
    "random": {"method": "random", "balance": None},
    "one-level": {"balance": None},
    "geometries": {"balance": 0.0},
    "two-level": {"balance": 0.5},
    "molecules": {"balance": 1.0},
}
SEEDS = (1, 2)
TESTS = ("molecules", "conformers")


def write(folder: Path = HERE) -> None:
    """Write a campaign file for each arm and seed."""
    settings = yaml.safe_load((HERE / "campaign.yaml").read_text())
    for arm, changes in ARMS.items():
        for seed in SEEDS:
            arm_settings = settings | {
                "name": f"{arm}-{seed}",
                "seed": seed,
                "selection": settings["selection"] | changes,
            }
            path = folder / f"{arm}-{seed}.yaml"
            path.write_text(yaml.safe_dump(arm_settings, sort_keys=False))
            print(path)


def table(runs: Path) -> None:
    """Print energy errors in meV/atom and force errors in meV/Å, with the seeds side by side."""
    frames, _ = read_frames(HERE / "test.extxyz")
    print("| arm | molecules |", " | ".join(f"F, {t} | E, {t}" for t in TESTS), "|")
    print("|---|---|" + "---|" * 2 * len(TESTS))
    for arm in ARMS:
        rows = [_row(runs / f"{arm}-{seed}", frames) for seed in SEEDS]
        print(
            f"| {arm} |", " | ".join(" / ".join(column) for column in zip(*rows, strict=True)), "|"
        )


def _row(folder: Path, frames: list[Atoms]) -> list[str]:
    labelled = [f for f in LabelStore(folder / "labels.db").frames() if not f.failed]
    row = [str(len({f.molecule for f in labelled}))]
    model = Model(folder / "model.pt")
    for test in TESTS:
        errors = evaluate(model, [a for a in frames if a.info["test"] == test])
        row += [f"{1e3 * errors['forces_rmse']:.0f}", f"{1e3 * errors['energy_rmse']:.1f}"]
    return row


if __name__ == "__main__":
    write() if sys.argv[1] == "write" else table(Path(sys.argv[2]))
