"""`pyubias run FILE --dry-run`: every stage once, on a small scale, and the cost of the whole."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ase import Atoms
from rich.console import Console
from rich.table import Table

from pyubias.campaign.arms import arms_of
from pyubias.campaign.structures import elements_of, read_candidates, read_start
from pyubias.config.schema import CampaignConfig, GuardConfig
from pyubias.console import duration
from pyubias.errors import UserError
from pyubias.lammps.walker import run_walker
from pyubias.reference.label import label_frame
from pyubias.reference.open import open_reference
from pyubias.training.checkpoint import Trained
from pyubias.training.export import export
from pyubias.training.reading import read_frames
from pyubias.training.train import train

__all__ = ["try_stages"]

TRIED_FRAMES = 9
TRIED_EPOCHS = 5
TRIED_STEPS = 50
Result = TypeVar("Result")


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
    start = read_start(config)
    elements = elements_of(config, start + read_candidates(config))
    test = [] if config.evaluation.test is None else read_frames(config.evaluation.test)[0]

    frames, per_label = _try_label(config, start)
    table.add_row("label", f"{len(frames)} frames", f"{1e3 * per_label:.3g} ms a frame")
    with tempfile.TemporaryDirectory() as folder:
        per_sample = _try_train(config, frames, elements, Path(folder))
        table.add_row("train", f"{TRIED_EPOCHS} epochs", f"{1e3 * per_sample:.3g} ms a sample")
        per_step = [
            _try_walk(arm.config, frames[0], elements, Path(folder))
            for arm in arms_of(config, Path())
        ]
    for arm, seconds in zip(arms_of(config, Path()), per_step, strict=True):
        table.add_row(
            f"explore, {arm.name}", f"{TRIED_STEPS} steps", f"{1e3 * seconds:.3g} ms a step"
        )
    if test:
        table.add_row("evaluate", f"{len(test)} test structures", "")
    Console().print(table)

    total = sum(
        _estimate(arm.config, per_label, per_sample, seconds, n_ranks)
        for arm, seconds in zip(arms_of(config, Path()), per_step, strict=True)
    )
    print(
        f"all is in order; at most about {duration(total)} on {n_ranks} rank"
        f"{'s' if n_ranks > 1 else ''} if no walker crosses the threshold before its "
        f"{config.exploration.steps} steps are over"
    )


def _timed(work: Callable[[], Result]) -> tuple[Result, float]:
    begin = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begin


def _try_label(config: CampaignConfig, start: list[Atoms]) -> tuple[list[Atoms], float]:
    frames = [start[k % len(start)].copy() for k in range(TRIED_FRAMES)]
    with open_reference(config.reference) as reference:
        labels, seconds = _timed(lambda: [label_frame(reference, atoms) for atoms in frames])
    for atoms, label in zip(frames, labels, strict=True):
        label.attach_to(atoms)
    return frames, seconds / len(frames)


def _try_train(
    config: CampaignConfig, frames: list[Atoms], elements: list[str], folder: Path
) -> float:
    """Seconds per training structure and epoch; leaves ``model.pt`` in the folder."""
    splits = ["train"] * (len(frames) - 1) + ["calibration"]

    def short(epochs: int) -> Trained:
        return train(
            frames,
            config.model,
            config.training.model_copy(update={"epochs": epochs}),
            config.uncertainty,
            elements=elements,
            splits=splits,
        )

    short(1)  # so that what is loaded once does not count as the cost of an epoch
    _, once = _timed(lambda: short(1))
    trained, seconds = _timed(lambda: short(1 + TRIED_EPOCHS))
    export(trained, folder / "model.pt")
    return max(seconds - once, 1e-6) / (TRIED_EPOCHS * (len(frames) - 1))


def _try_walk(config: CampaignConfig, atoms: Atoms, elements: list[str], folder: Path) -> float:
    """Seconds per MD step.

    A model that is barely trained may tear the structure apart. The threshold and the limits of
    physical frames are therefore out of reach.
    """
    exploration = config.exploration.model_copy(
        update={
            "steps": TRIED_STEPS,
            "threshold": 1e12,
            "guard": GuardConfig(distance=0.01, volume_ratio=1e12),
        }
    )

    def walk(steps: int) -> float:
        chosen = exploration.model_copy(update={"steps": steps})
        result, seconds = _timed(
            lambda: run_walker(chosen, 0, folder / "model.pt", elements, atoms, 1, folder)
        )
        if result.failure:
            raise UserError(f"walker script '{config.exploration.input}': {result.failure}")
        return seconds

    setup = walk(1)
    return max(walk(1 + TRIED_STEPS) - setup, 1e-6) / TRIED_STEPS


def _estimate(
    config: CampaignConfig, per_label: float, per_sample: float, per_step: float, n_ranks: int
) -> float:
    """Seconds of a campaign whose walkers all run to their end."""
    budget, batch = config.stop.labels, config.selection.batch_size
    first = min(config.start.count, budget)
    sizes = [*list(range(first, budget, batch)), budget]
    most = config.training.max_steps * config.training.batch_size
    samples: float = sum(min(n * config.training.epochs, most) for n in sizes[:-1])
    samples += min(budget * config.training.epochs, config.training.final_factor * most)
    training = per_sample * samples
    steps = (len(sizes) - 1) * config.exploration.walkers * config.exploration.steps
    return training + (budget * per_label + steps * per_step) / n_ranks
