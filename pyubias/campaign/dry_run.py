"""`pyubias run FILE --dry-run`: every stage once, on a small scale, and the cost of the whole."""

import itertools
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from ase import Atoms
from rich.console import Console
from rich.table import Table

from pyubias.analysis.residuals import evaluate
from pyubias.campaign.arms import arms_of
from pyubias.campaign.cost import Seconds, seconds_of_campaign
from pyubias.campaign.inputs import Inputs, read_inputs
from pyubias.campaign.structures import perturbed
from pyubias.config.exploration import ExplorationConfig, GuardConfig
from pyubias.config.schema import CampaignConfig, FilesReference
from pyubias.config.trainer import BuiltinTrainer, CommandTrainer, PackageTrainer
from pyubias.console import duration
from pyubias.errors import UserError
from pyubias.lammps.walker import run_walker
from pyubias.model.prediction import Model
from pyubias.reference.label import LabelError, label_frame
from pyubias.reference.open import open_reference
from pyubias.trainers.external import Job, train_elsewhere
from pyubias.training.checkpoint import Trained
from pyubias.training.export import export
from pyubias.training.labels import FORCES
from pyubias.training.structures import without_constraints
from pyubias.training.train import train

__all__ = ["try_stages"]

TRIED_FRAMES = 9
TRIED_EPOCHS = 6
TRIED_STEPS = 50
REPETITIONS = 4  # of which the fastest counts: the machine may be busy for a moment
Result = TypeVar("Result")


class _Trained(NamedTuple):
    """Labelled frames, a barely trained model, and what they took."""

    frames: list[Atoms]
    model: Path
    label: float
    sample: float
    preparation: float


def try_stages(config: CampaignConfig, n_ranks: int) -> None:
    """Label, train, export and walk a little with the settings of a campaign; print the cost.

    Nothing is kept. Runs on one rank.

    Args:
        config: from `load_campaign`.
        n_ranks: that the campaign will have, for the estimate.

    Raises:
        UserError: whatever would stop the campaign.
    """
    table = Table(title=f"{config.name}: dry run")
    for column in ("stage", "tried", "one takes"):
        table.add_column(column)
    arms = arms_of(config, Path())
    inputs = [read_inputs(arm.config) for arm in arms]
    remark = without_constraints(inputs[0].start + inputs[0].candidates)
    if remark is not None:
        print(f"warning: {remark}")
    trained: _Trained | None = None
    total = 0.0
    with tempfile.TemporaryDirectory() as name:
        for k, (arm, files) in enumerate(zip(arms, inputs, strict=True)):
            if trained is None or _potential(arm.config) != _potential(arms[0].config):
                folder = Path(name) / str(k)
                folder.mkdir()
                trained = _try_potential(arm.config, files, folder)
                _add_rows(table, trained)
            parts = _try_use(arm.config, files, trained)
            step = f"{1e3 * parts.step:.3g} ms a step"
            table.add_row(f"explore, {arm.name}", f"{TRIED_STEPS} steps", step)
            total += seconds_of_campaign(arm.config, parts, n_ranks)
    if inputs[0].test:
        table.add_row("evaluate", f"{len(inputs[0].test)} test structures", f"{parts.test:.3g} s")
    Console().print(table)
    print(
        f"all is in order; at most about {duration(total)} on {n_ranks} rank"
        f"{'s' if n_ranks > 1 else ''} if no walker crosses the threshold before its "
        f"{config.exploration.steps} steps are over"
    )


def _add_rows(table: Table, trained: _Trained) -> None:
    label = f"{1e3 * trained.label:.3g} ms a frame"
    table.add_row("label", f"{len(trained.frames)} frames", label)
    sample = f"{1e3 * trained.sample:.3g} ms a sample"
    table.add_row("train", f"{TRIED_EPOCHS} epochs", sample)


def _potential(config: CampaignConfig) -> dict[str, object]:
    """The settings that decide what is labelled and trained."""
    others = {"exploration", "selection", "stop", "evaluation", "resources", "control"}
    return config.model_dump(exclude=others)


def _timed(work: Callable[[], Result]) -> tuple[Result, float]:
    begin = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begin


def _try_potential(config: CampaignConfig, inputs: Inputs, folder: Path) -> _Trained:
    frames, label = _try_labels(config, inputs)
    splits = ["train"] * (len(frames) - 2) + ["validation", "calibration"]
    if not isinstance(config.trainer, BuiltinTrainer):
        return _try_trainer(config, config.trainer, frames, splits, inputs.elements, folder, label)
    ends: list[float] = []

    def short(epochs: int) -> Trained:
        return train(
            frames,
            config.model,
            config.training.model_copy(update={"epochs": epochs}),
            config.uncertainty,
            elements=inputs.elements,
            splits=splits,
            progress=lambda *_: ends.append(time.perf_counter()),
        )

    short(1)  # so that what is loaded once does not count
    ends.clear()
    trained, seconds = _timed(lambda: short(TRIED_EPOCHS))
    export(trained, folder / "model.pt", config.exploration.dtype)
    epoch = min([b - a for a, b in itertools.pairwise(ends)] or [seconds])
    sample = epoch * config.uncertainty.n_members / trained.n_train
    preparation = max(seconds - epoch * len(ends), 0.0) / len(frames)
    return _Trained(frames, folder / "model.pt", label, sample, preparation)


def _try_trainer(
    config: CampaignConfig,
    trainer: PackageTrainer | CommandTrainer,
    frames: list[Atoms],
    splits: list[str],
    elements: list[str],
    folder: Path,
    label: float,
) -> _Trained:
    """Let another package train, and wrap its model; its start is no cost of an epoch."""
    output = folder / "model.pt"

    def short(epochs: int) -> float:
        changed = trainer
        if isinstance(trainer, PackageTrainer):
            changed = trainer.model_copy(update={"epochs": epochs})
        job = Job(changed, frames, splits, elements, config.training, config.uncertainty)
        place, foundation = folder / f"{epochs}", folder / "foundation.pt"
        return _timed(lambda: train_elsewhere(job, place, foundation, output, print))[1]

    if not isinstance(trainer, PackageTrainer):
        return _Trained(frames, output, label, 0.0, short(1) / len(frames))
    short(2)  # so that what is made once does not count
    one, several = short(1), short(TRIED_EPOCHS)
    each = max(several - one, 0.0) / (TRIED_EPOCHS - 1)
    sample, preparation = each / splits.count("train"), max(one - each, 0.0) / len(frames)
    return _Trained(frames, output, label, sample, preparation)


def _try_labels(config: CampaignConfig, inputs: Inputs) -> tuple[list[Atoms], float]:
    """Labelled frames, and the seconds of one label."""
    if isinstance(config.reference, FilesReference):
        known = [a.copy() for a in (inputs.given.frames or inputs.test) if FORCES in a.arrays]
        if not known:
            raise UserError(
                "a dry run needs labels, and reference.kind: files makes none: give start.labels "
                "or evaluation.test"
            )
        return [known[k % len(known)].copy() for k in range(TRIED_FRAMES)], 0.0
    first = perturbed(inputs.start, config) or inputs.start or inputs.given.frames
    copies = first[: TRIED_FRAMES - 1]
    # a candidate is labelled only when it is selected, which may be late in a campaign
    tried = [*copies, *inputs.candidates[:1]]
    good, problem = [], None
    with open_reference(config.reference) as reference:
        begin = time.perf_counter()
        for atoms in tried:
            try:
                label_frame(reference, atoms).attach_to(atoms)
                good.append(atoms)
            except LabelError as error:  # a campaign goes on without this frame
                problem = error
        seconds = (time.perf_counter() - begin) / len(tried)
    if not good:
        raise UserError(f"the reference labelled no structure: {problem}")
    return [good[k % len(good)].copy() for k in range(TRIED_FRAMES)], seconds


def _try_use(config: CampaignConfig, inputs: Inputs, trained: _Trained) -> Seconds:
    """Let walkers, selection and evaluation use the potential."""
    model = Model(trained.model)
    model.mean_features(trained.frames)  # what is loaded once is no cost of a frame
    _, features = _timed(lambda: model.mean_features(trained.frames))
    tested = inputs.test[:TRIED_FRAMES]
    _, test = _timed(lambda: evaluate(model, tested) if tested else None)
    setup, step = _try_walks(config.exploration, inputs, trained)
    return Seconds(
        label=trained.label,
        sample=trained.sample,
        preparation=trained.preparation,
        features=features / len(trained.frames),
        test=test * len(inputs.test) / max(len(tested), 1),
        setup=setup,
        step=step,
    )


def _try_walks(config: ExplorationConfig, inputs: Inputs, trained: _Trained) -> tuple[float, float]:
    """Seconds of a walker before its first step, and per MD step.

    A model that is barely trained may tear the structure apart. The threshold and the limits of
    physical frames are therefore out of reach.
    """
    mine = {k: v for k, v in config.variables.items() if k not in ("steps", "every", "threshold")}
    short = config.model_copy(
        update={
            "variables": mine,
            "every": min(config.every, 10),
            "threshold": 1e12,
            "guard": GuardConfig.model_construct(distance=0.01, volume_ratio=1e12),
        }
    )

    def walk(walker: int, steps: int) -> tuple[float, float]:
        chosen = short.model_copy(update={"steps": steps})
        atoms = trained.frames[walker % len(trained.frames)]
        folder = trained.model.parent
        for dump in folder.glob("*.dump"):
            dump.unlink()
        result, seconds = _timed(
            lambda: run_walker(chosen, walker, trained.model, inputs.elements, atoms, 1, folder)
        )
        problem = result.failure or ("" if len(result.positions) else "it wrote no frame")
        if problem:
            raise UserError(f"walker script '{config.input}': {problem}")
        return _split_time(folder / "log.lammps", seconds, steps)

    # the values of lists, which walkers get in turn
    longest = max((len(v) for v in mine.values() if isinstance(v, list)), default=1)
    for k in range(min(longest, config.walkers)):
        walk(k, 1)
    setups, steps = zip(*(walk(0, TRIED_STEPS) for _ in range(REPETITIONS)), strict=True)
    return min(setups), min(steps)


def _split_time(log: Path, seconds: float, n_steps: int) -> tuple[float, float]:
    """The time of a walk before its first step, and per step, from what LAMMPS wrote."""
    text = log.read_text(errors="replace") if log.is_file() else ""
    loops = re.findall(r"^Loop time of (\S+) on \d+ procs for (\d+) steps", text, re.MULTILINE)
    n = sum(int(n) for _, n in loops)
    if n == 0:  # the script writes its log elsewhere
        return 0.0, seconds / n_steps
    inside = sum(float(loop) for loop, _ in loops)
    return max(seconds - inside, 0.0), inside / n
