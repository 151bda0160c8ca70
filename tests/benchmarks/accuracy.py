"""Errors of our potential and of other packages on the same labels, after trainings of one length.

python tests/benchmarks/accuracy.py TRAIN TEST [--mace ENV] [--sevennet ENV] [--nequip ENV]
    [--minutes 2.5] [--epochs mace=60 sevennet=6] [--models default mace] [--json FILE]

Each row is one `pyubias train`, on one core, and its time is the CPU time of that command.
`default` is our potential as it is shipped, with one cycle of training, `folds` the same with all
labels in training and cross-conformal calibration. `finished` is the last training of a campaign
(`finish`), the mean of two potentials with as many cycles as they take within --minutes, and
`single` that of one. `before` is one cycle with the loss of Zaverkin et al., in which energies of
large structures weigh more. The packages train as many epochs as fit in --minutes, which do not
include the start of the package and `wrap`. Two short trainings on a few frames tell how many
those are, unless --epochs does.
"""

import argparse
import resource
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ase.io
import numpy as np
import yaml
from ase import Atoms
from common import (
    ONE_THREAD,
    PROGRAMS,
    add_environments,
    arguments,
    environment_of,
    save,
    show,
)

from pyubias import Model, read_frames
from pyubias.analysis.residuals import residuals_of, summarise

FOLDS = 5
OURS = {
    "before": "pyubias, one cycle, ΔE² in the loss",
    "default": "pyubias, one cycle",
    "folds": f"pyubias, one cycle, calibrated by {FOLDS} folds",
    "single": "pyubias, finished, one potential",
    "finished": "pyubias, finished",
}
PACKAGES: dict[str, dict[str, Any]] = {
    "mace": {"kind": "mace"},
    "sevennet": {"kind": "sevennet", "foundation": "7net-0"},
    "nequip": {"kind": "nequip"},
}
# epochs of the two short trainings: an epoch of the foundation model takes as long as ten others
TRIALS = {"mace": (2, 12), "sevennet": (1, 3), "nequip": (2, 12)}
TRIAL_FRAMES = 20
TITLES = OURS | {
    "mace": "MACE",
    "sevennet": "SevenNet, from 7net-0",
    "nequip": "NequIP",
}
ERRORS = {
    "energy_rmse": "E, meV/atom",
    "forces_rmse": "F, meV/Å",
    "stress_rmse": "σ, meV/Å³",
    "total_mean": "mean u, meV/atom",
    "atomic_mean": "mean u_i, meV/Å",
}
COVERAGES = {"total_coverage": "coverage, E", "atomic_coverage": "coverage, F"}
MANY = 10**6  # steps, more than any training here has


def settings_of(
    name: str, epochs: int | None, environment: Path | None, minutes: float, n_atoms: float
) -> dict[str, Any]:
    """The file that `pyubias train --config` gets; our potential has epochs of its own."""
    if name not in OURS:
        return {"trainer": {**PACKAGES[name], "python": str(environment), "epochs": epochs}}
    training = {} if epochs is None else {"epochs": epochs, "max_steps": MANY}
    if name == "before":  # undoes the (20/N)² of the loss
        training["energy_weight"] = max(1.0, n_atoms / 20.0) ** 2
    if name == "folds":
        training["folds"] = FOLDS
    if name == "finished":
        return {"training": training, "finish": {"minutes": minutes}}
    if name == "single":
        return {"training": training, "finish": {"minutes": minutes / 2, "members": 1}}
    return {"training": training, "finish": None}


def cpu_seconds() -> float:
    """Of all processes that ended so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(program: str, *words: str | Path, folder: Path) -> None:
    command = [str(PROGRAMS / program), *map(str, words)]
    done = subprocess.run(command, cwd=folder, env=ONE_THREAD, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{program} {words[0]} failed: {done.stdout[-1000:]}{done.stderr[-2000:]}")


def trained(name: str, data: Path, settings: Mapping[str, Any], folder: Path) -> tuple[Path, float]:
    """A model file, and the CPU seconds of its training."""
    folder.mkdir()
    (folder / "train.yaml").write_text(yaml.safe_dump(dict(settings)))
    before = cpu_seconds()
    output = "trained.ckpt" if name in OURS else "model.pt"
    run("pyubias", "train", data, "--config", "train.yaml", "-o", output, folder=folder)
    seconds = cpu_seconds() - before
    if name in OURS:
        run("pyubias", "export", output, "model.pt", "--dtype", "float32", folder=folder)
    return folder / "model.pt", seconds


def epochs_within(
    minutes: float, name: str, frames: Sequence[Atoms], environment: Path | None, folder: Path
) -> int:
    """Epochs that take so many minutes, from the difference of two trainings on a few frames."""
    step = max(1, len(frames) // TRIAL_FRAMES)
    few = frames[::step]
    ase.io.write(folder / f"{name}-few.extxyz", few)
    first, second = (
        trained(
            name,
            folder / f"{name}-few.extxyz",
            settings_of(name, epochs, environment, minutes, 1.0),
            folder / f"{name}-{epochs}",
        )[1]
        for epochs in TRIALS[name]
    )
    of_few = max(1e-3, (second - first) / (TRIALS[name][1] - TRIALS[name][0]))
    return max(1, int(60.0 * minutes / (of_few * len(frames) / len(few))))


def measure(
    name: str,
    data: Path,
    frames: Sequence[Atoms],
    test: Sequence[Atoms],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """One row: epochs, CPU minutes and errors on the test frames."""
    environment = None if name in OURS else environment_of(name, options)
    epochs = options.epochs.get(name)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if epochs is None and name in PACKAGES:
            epochs = epochs_within(options.minutes, name, frames, environment, folder)
        n_atoms = float(np.mean([len(atoms) for atoms in frames]))
        settings = settings_of(name, epochs, environment, options.minutes, n_atoms)
        model, seconds = trained(name, data, settings, folder / "whole")
        residuals = residuals_of(test, Model(model).predict(test))
    errors: dict[str, Any] = summarise(residuals)
    for name_of_mean, uncertainties in (
        ("total_mean", residuals.total_uncertainty),
        ("atomic_mean", residuals.atomic_uncertainty),
    ):
        errors[name_of_mean] = float(np.mean(uncertainties)) if len(uncertainties) else None
    found = {k: None if errors[k] is None else 1e3 * float(errors[k]) for k in ERRORS}
    found |= {k: errors[k] for k in COVERAGES}
    return {"model": name, "epochs": epochs, "minutes": seconds / 60.0} | found


def epochs_of(text: str) -> tuple[str, int]:
    """NAME=NUMBER of the command line."""
    name, _, number = text.partition("=")
    if name not in TITLES or not number.isdecimal() or int(number) < 1:
        wanted = f"one of {', '.join(TITLES)}, '=' and a positive number"
        raise argparse.ArgumentTypeError(f"got '{text}', wanted {wanted}")
    return name, int(number)


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("train", type=Path, metavar="TRAIN", help="labelled structures")
    parser.add_argument("test", type=Path, metavar="TEST", help="other labelled structures")
    parser.add_argument("--models", nargs="+", choices=TITLES, default=list(TITLES))
    parser.add_argument("--minutes", type=float, default=2.5, help="CPU time of the epochs")
    parser.add_argument(
        "--epochs", type=epochs_of, nargs="+", default=[], metavar="MODEL=N", help="in its place"
    )
    parser.add_argument("--at-most", type=int, default=200, help="test structures, evenly spaced")
    add_environments(parser)
    options = parser.parse_args()
    options.epochs = dict(options.epochs)

    frames, sentence = read_frames(options.train)
    print(sentence)
    test, sentence = read_frames(options.test)
    print(sentence)
    test = test[:: max(1, -(-len(test) // options.at_most))]
    records = []
    for name in options.models:
        if name in PACKAGES and environment_of(name, options) is None:
            continue
        records.append(measure(name, options.train.absolute(), frames, test, options))
        print(records[-1], flush=True)

    def cells(record: Mapping[str, Any]) -> list[str]:
        values = [record[key] for key in ERRORS]
        return [
            TITLES[record["model"]],
            str(record["epochs"] or "as shipped"),
            f"{record['minutes']:.1f}",
            *("-" if v is None else f"{v:.1f}" for v in values),
            *("-" if record[key] is None else f"{record[key]:.2f}" for key in COVERAGES),
        ]

    title = f"{len(frames)} labels of {options.train.name}, RMSE on {len(test)} of "
    columns = ["model", "epochs", "training, min", *ERRORS.values(), *COVERAGES.values()]
    show(title + options.test.name, columns, [cells(record) for record in records])
    save(options.json, records)


if __name__ == "__main__":
    main()
