"""Ways of calibration, on finished campaigns: the coverage that each would have had.

python tests/benchmarks/calibration.py RUN... [--test FILE] [--every 4] [--first 3] [--last 99]
    [--regularisation 0.01 0.2 [--growth 1]] [--json FILE]

No model is trained. Each way gives the models of a run new conformal factors from what was labelled
before the next batch: the scores of earlier models on their next batches, and the calibration
split. "newest 2/α" takes the last batches that hold 2/α structures together, "split" the
calibration split alone. The way that is shipped takes the split, the total scores of all batches
and the atomic ones of the newest with 2/α structures. With --regularisation, heads are fitted again
with each λ, in place of that of the run; with --growth g that of n training structures is
λ (n/64)^g. The table has the number of structures that
calibrate, the coverages of the next batch and of the test set, the mean calibrated uncertainty
over the mean error of the test set (u/error), and the rank correlation of both, which no factor
changes (Spearman). Numbers are means over the iterations from --first to --last (counted from 0,
as their folders), then over the runs. A control arm is a run:
RUN/control.

The ways with γ are adaptive conformal inference (Gibbs and Candès, arXiv:2106.00170) on top of the
shipped one. The quantile of iteration t is that of α_t in place of α, for total and atomic each:

    α_0 = α,   α_{t+1} = α_t + γ (α - m_t)

where m_t is the fraction of residuals on the next batch that the calibrated uncertainties of
iteration t do not cover: one update a batch. For α_t ≤ 0, where the source covers everything, the
factor is the largest score.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from common import arguments, save, show
from numpy.typing import NDArray
from scipy.stats import spearmanr

from pyubias import Model, read_frames
from pyubias.analysis.residuals import residuals_of
from pyubias.campaign.label_store import LabelStore
from pyubias.campaign.run_folder import RunFolder
from pyubias.errors import UserError
from pyubias.training.batches import make_sample
from pyubias.training.checkpoint import load_trained
from pyubias.training.export import export
from pyubias.training.labels import FORCES
from pyubias.training.scores import Scores, factors_of, join, of_batches, scores_of

COLUMNS = {
    "batch_total": "next batch: total",
    "batch_atomic": "atomic",
    "test_total": "test set: total",
    "test_atomic": "atomic",
    "width_total": "u/error: total",
    "width_atomic": "atomic",
    "rank_total": "rank correlation: total",
    "rank_atomic": "atomic",
}
Array = NDArray[np.float64]
# of the scores of the batches before, those of the calibration split, and α
Way = Callable[[Sequence[Scores], Scores, float], Scores]


@dataclass(frozen=True)
class Errors:
    """The errors of a model on labelled structures.

    Attributes:
        scores: |residual|/u, with uncalibrated u.
        widths: mean uncalibrated u over mean |residual|, by name; None without labels.
        ranks: Spearman's ρ of u and |residual|, by name; None if it is not defined.
    """

    scores: Scores
    widths: dict[str, float | None]
    ranks: dict[str, float | None]


@dataclass(frozen=True)
class Iteration:
    """The model of one iteration, on its calibration split, the next batch and the test set.

    `batch` is None if the next batch has no labels, `test` without a test set.
    """

    number: int
    n_labels: int
    split: Errors
    batch: Errors | None
    test: Errors | None


def shipped(batches: Sequence[Scores], split: Scores, alpha: float) -> Scores:
    return join([of_batches(batches, alpha), split])


def newest_of(multiple: float) -> Way:
    """The newest batches that hold multiple/α structures together."""

    def way(batches: Sequence[Scores], _: Scores, alpha: float) -> Scores:
        chosen: list[Scores] = []
        for batch in reversed(batches):
            if sum(len(scores.total) for scores in chosen) >= multiple / alpha:
                break
            chosen.insert(0, batch)
        return join(chosen)

    return way


SHIPPED = "as shipped"
# the scores that each way calibrates with, and γ
WAYS: dict[str, tuple[Way, float]] = {
    SHIPPED: (shipped, 0.0),
    "split": (lambda _, split, __: split, 0.0),
    "newest 1/α": (newest_of(1.0), 0.0),
    "newest 2/α": (newest_of(2.0), 0.0),
    "newest 4/α": (newest_of(4.0), 0.0),
    "all batches": (lambda batches, _, __: join(batches), 0.0),
    "shipped, γ = 0.02": (shipped, 0.02),
    "shipped, γ = 0.05": (shipped, 0.05),
}


def errors_on(model: Model, frames: Sequence[Atoms]) -> Errors:
    found = residuals_of(frames, model.predict(frames))
    # a factor is 0 or None if nothing was calibrated
    factors = model.metadata.total_factor or 1.0, model.metadata.atomic_factor or 1.0
    pairs = {
        "total": (np.abs(found.energy), found.total_uncertainty / factors[0]),
        "atomic": (found.atomic, found.atomic_uncertainty / factors[1]),
    }
    n_with_forces = sum(FORCES in atoms.arrays for atoms in frames)
    return Errors(
        Scores(*(scores_of(errors, u) for errors, u in pairs.values()), n_with_forces),
        {k: float(u.mean() / e.mean()) if len(e) else None for k, (e, u) in pairs.items()},
        {k: rank_correlation(e, u) for k, (e, u) in pairs.items()},
    )


def rank_correlation(errors: Array, uncertainties: Array) -> float | None:
    """Spearman's ρ; None for fewer than two values, or where one side is constant."""
    if len(errors) < 2 or np.ptp(errors) == 0.0 or np.ptp(uncertainties) == 0.0:
        return None
    return float(spearmanr(errors, uncertainties).statistic)


def refitted(checkpoint: Path, frames: Sequence[Atoms], regularisation: float) -> Model:
    """The model of a checkpoint, with an uncalibrated head of another λ."""
    trained = load_trained(checkpoint)
    potential = trained.potential
    changes = {"regularisation": regularisation}
    potential.uncertainty = potential.uncertainty.model_copy(update=changes)
    samples = [make_sample(atoms, potential.cutoff, potential.elements) for atoms in frames]
    potential.fit_head([sample.graph for sample in samples])
    with tempfile.TemporaryDirectory() as folder:
        export(trained, Path(folder, "model.pt"))
        return Model(Path(folder, "model.pt"))


def iterations_of(
    folder: RunFolder,
    test: Sequence[Atoms],
    regularisation: float | None = None,
    growth: float = 0.0,
) -> list[Iteration]:
    """Of a run, in order, but those whose model no label had trained or calibrated."""
    frames = [f for f in LabelStore(folder.labels).frames() if not f.failed]
    found = []
    for number, each in enumerate(folder.iterations()):
        known = [f for f in frames if f.iteration <= number]
        if not each.model.is_file() or not known:
            continue
        if regularisation is None:
            model = Model(each.model)
        else:
            trained_on = [f.atoms for f in known if f.split == "train"]
            grown = regularisation * (len(trained_on) / 64.0) ** growth
            model = refitted(each.checkpoint, trained_on, grown)
        batch = [f.atoms for f in frames if f.iteration == number + 1]
        split = [f.atoms for f in known if f.split == "calibration"]
        found.append(
            Iteration(
                number,
                len(known),
                errors_on(model, split),
                errors_on(model, batch) if batch else None,
                errors_on(model, test) if test else None,
            )
        )
        print(f"{folder.path}: iteration {number}, {len(known)} labels", flush=True)
    return found


def calibrated(
    iterations: Sequence[Iteration], way: Way, gamma: float, alpha: float
) -> list[dict[str, Any]]:
    """For each iteration: levels α_t, factors, coverages and widths; None where there is none."""
    rows = []
    levels = {"total": alpha, "atomic": alpha}
    batches: list[Scores] = []
    for iteration in iterations:
        scores = way(batches, iteration.split.scores, alpha)
        row: dict[str, Any] = {
            "iteration": iteration.number,
            "n_labels": iteration.n_labels,
            "structures": len(scores.total),
        }
        for name, level in levels.items():
            row |= of_kind(name, iteration, scores, level)
            if row[f"batch_{name}"] is not None:
                levels[name] += gamma * (alpha - (1.0 - row[f"batch_{name}"]))
        rows.append(row)
        if iteration.batch is not None:
            batches.append(iteration.batch.scores)
    return rows


def of_kind(name: str, iteration: Iteration, scores: Scores, level: float) -> dict[str, Any]:
    """Level, factor, coverages and width of the total or of the atomic uncertainty."""
    if not len(getattr(scores, name)):  # a factor of 1 would be no calibration
        names = ("factor", "batch", "test", "width", "rank")
        return {f"level_{name}": level, **{f"{each}_{name}": None for each in names}}
    factor = getattr(factors_of(scores, float(np.clip(level, 1e-9, 1.0 - 1e-9))), name)

    def covered(errors: Errors | None) -> float | None:
        new = () if errors is None else getattr(errors.scores, name)
        return float(np.mean(new <= factor)) if len(new) else None

    width = None if iteration.test is None else iteration.test.widths[name]
    return {
        f"level_{name}": level,
        f"factor_{name}": factor,
        f"batch_{name}": covered(iteration.batch),
        f"test_{name}": covered(iteration.test),
        f"width_{name}": None if width is None else factor * width,
        f"rank_{name}": None if iteration.test is None else iteration.test.ranks[name],
    }


def records_of(
    run: Path, test: Path | None, every: int, regularisations: Sequence[float], growth: float
) -> list[dict[str, Any]]:
    """The rows of all ways and iterations of a run."""
    folder = RunFolder(run)
    config = folder.read_config()
    if not folder.labels.is_file():
        raise UserError(f"'{run}' has no {folder.labels.name}")
    file = test or config.evaluation.test
    frames = read_frames(file, index=f"::{every}")[0] if file else []
    return [
        {"run": str(run), "way": name + suffix(regularisation), **row}
        for regularisation in regularisations or [None]
        for iterations in [iterations_of(folder, frames, regularisation, growth)]
        for name, (way, gamma) in WAYS.items()
        for row in calibrated(iterations, way, gamma, config.uncertainty.alpha)
    ]


def suffix(regularisation: float | None) -> str:
    return "" if regularisation is None else f", λ = {regularisation:g}"


def mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--test", type=Path, metavar="FILE", help="default: that of each campaign")
    parser.add_argument("--every", type=int, default=1, help="take every so manyth test frame")
    parser.add_argument("--first", type=int, default=3, help="iteration from which means are taken")
    parser.add_argument("--last", type=int, default=999, help="iteration to which they are taken")
    parser.add_argument("--regularisation", type=float, nargs="+", default=[], metavar="LAMBDA")
    parser.add_argument("--growth", type=float, default=0.0, help="power of n; default: λ is fixed")
    options = parser.parse_args()
    if not all(value > 0.0 for value in options.regularisation):
        parser.error(f"--regularisation must be positive, got {options.regularisation}")
    if options.growth and not options.regularisation:
        parser.error("--growth is that of --regularisation, which is missing")
    records = []
    for run in options.runs:
        try:
            found = records_of(
                run, options.test, options.every, options.regularisation, options.growth
            )
        except UserError as error:
            raise SystemExit(str(error)) from error
        if not any(r["iteration"] >= options.first for r in found):
            raise SystemExit(f"'{run}' has no model from iteration {options.first} on: see --first")
        records += found

    def cell(way: str, column: str) -> str:
        rows = [
            r
            for r in records
            if r["way"] == way and options.first <= r["iteration"] <= options.last
        ]
        value = mean([mean([r[column] for r in rows if r["run"] == str(k)]) for k in options.runs])
        return "–" if value is None else f"{value:{'.3f' if column in COLUMNS else '.1f'}}"

    ways = dict.fromkeys(r["way"] for r in records)
    rows = [[way, cell(way, "structures"), *(cell(way, c) for c in COLUMNS)] for way in ways]
    title = f"means over {len(options.runs)} runs, iterations {options.first} to {options.last}"
    show(title, ["way of calibration", "structures", *COLUMNS.values()], rows)
    save(options.json, records)


if __name__ == "__main__":
    main()
