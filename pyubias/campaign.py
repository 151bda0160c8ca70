"""The active-learning loop: label, train, calibrate, explore, select, and round again.

Every stage is a function of files to a file (see `state`), so that a campaign that was killed
anywhere continues with the same command and ends with the same result.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyubias.calculator import Model
from pyubias.config import CampaignConfig, control_arm
from pyubias.errors import UserError
from pyubias.parallel import Ranks
from pyubias.progress import Progress, live_table, wants_live_table
from pyubias.records import Bookkeeper, describe
from pyubias.stages import Stages
from pyubias.state import check_settings, read_json, write_json

__all__ = ["Arm", "arms_of", "run_campaign"]

# settings that a resumed campaign may change: they decide when it ends, not what it does;
# the control arm keeps settings of its own
FREE = {"stop", "control"}
# batches in a row without one good label that end a campaign
PATIENCE = 3


@dataclass(frozen=True)
class Arm:
    """One campaign of a run: the main one, or its control."""

    name: str
    config: CampaignConfig
    folder: Path


def arms_of(config: CampaignConfig, folder: Path) -> list[Arm]:
    """The main arm, which lives in the run folder itself, and the control arm below it."""
    main = Arm(_drive(config), config, folder)
    if config.control is None:
        return [main]
    other = control_arm(config)
    name = _drive(other)
    return [main, Arm(name if name != main.name else "control", other, folder / "control")]


def _drive(config: CampaignConfig) -> str:
    """What drives the walkers of a campaign."""
    if config.exploration.metadynamics is not None:
        return "metadynamics"
    return "biased" if config.exploration.is_biased else "unbiased"


def run_campaign(
    config: CampaignConfig, runs: str | Path = "runs", ranks: Ranks | None = None
) -> Path:
    """Run or resume a campaign; every rank calls it.

    With a control arm and two ranks or more, the arms share the ranks and run side by side.

    Args:
        config: from `load_campaign`.
        runs: folder that the run folder is made in.
        ranks: default: all MPI ranks.

    Returns:
        the run folder.
    """
    ranks = ranks or Ranks()
    folder = Path(runs).resolve() / config.name
    arms = arms_of(config, folder)

    def prepare() -> None:
        for arm in arms:
            arm.folder.mkdir(parents=True, exist_ok=True)
            check_settings(arm.folder / "config.json", arm.config.model_dump(mode="json"), FREE)

    ranks.on_root(prepare)
    live = ranks.is_root and wants_live_table()
    with live_table([arm.folder for arm in arms], live):
        if ranks.size < len(arms):
            for arm in arms:
                _run_arm(arm, ranks, _progress(arm, folder, ranks, echo=not live))
        else:
            mine = ranks.rank * len(arms) // ranks.size
            group = ranks.split(mine)
            _run_arm(arms[mine], group, _progress(arms[mine], folder, group, echo=not live))
    ranks.wait_for_all()
    return folder


def _progress(arm: Arm, folder: Path, ranks: Ranks, echo: bool) -> Progress:
    return Progress(arm.name, arm.folder, folder / "log.txt", ranks.is_root, echo)


def _run_arm(arm: Arm, ranks: Ranks, progress: Progress) -> None:
    campaign = _Campaign(arm, ranks, progress)
    deadline = arm.config.stop.hours
    start = time.monotonic()
    iteration = 0
    while campaign.iterate(iteration):
        iteration += 1
        if deadline is not None and time.monotonic() - start > 3600 * deadline:
            progress.say(f"stop.hours = {deadline:g} reached; run the same command to go on")
            break


class _Campaign:
    """One arm while it runs. Every method is called by all its ranks."""

    def __init__(self, arm: Arm, ranks: Ranks, progress: Progress) -> None:
        self.config = arm.config
        self.folder = arm.folder
        self.ranks = ranks
        self.progress = progress
        self.stages = Stages(arm.config, arm.folder, ranks, progress)
        self.labels = self.stages.labels
        self.bookkeeper = Bookkeeper(arm.config, arm.folder)

    def iterate(self, iteration: int) -> bool:
        """One turn of the loop; False when the campaign is complete."""
        folder = self.folder / "iterations" / f"{iteration:04d}"
        if (folder / "record.json").is_file():
            record = read_json(folder / "record.json")
            if not (record["last"] and self._goes_on(record)):
                return not record["last"]
            self.ranks.on_root(lambda: _reopen(folder))  # the budget was raised
        seconds: dict[str, float] = {}
        self.ranks.on_root(lambda: folder.mkdir(parents=True, exist_ok=True))

        with _timed(folder, "label", seconds, self.ranks):
            self.stages.label(iteration)
        frames = [f for f in self.labels.frames(iteration) if not f.failed]
        if not frames:
            reasons = sorted({f.reason for f in self.labels.frames(iteration)})
            self.ranks.fail(
                UserError(
                    f"the reference labelled none of the start structures: {reasons[0]} (all "
                    f"reasons are in {self.labels.path}; mend it and remove {self.folder}; bonds "
                    "of a LAMMPS reference want atoms in the images of its data file, not wrapped)"
                )
            )
        self.progress.update(
            iteration=iteration, labels=len(frames), label_budget=self.config.stop.labels
        )

        with _timed(folder, "train", seconds, self.ranks):
            self.stages.train(folder, iteration, frames)
        with _timed(folder, "evaluate", seconds, self.ranks):
            self.stages.evaluate(folder)
        last = not self._goes_on({"n_labels": len(frames), **read_json(folder / "evaluation.json")})
        if not last:
            with _timed(folder, "explore", seconds, self.ranks):
                self.stages.explore(folder, iteration, frames)
            with _timed(folder, "select", seconds, self.ranks):
                self.stages.select(folder, iteration, frames)
            with _timed(folder, "label", seconds, self.ranks):
                self.stages.label(iteration + 1)
        last = last or self._is_exhausted(iteration + 1)
        self.ranks.on_root(lambda: self._record(folder, iteration, last, seconds))
        return not last

    def _goes_on(self, record: dict[str, Any]) -> bool:
        stop = self.config.stop
        error = record.get("forces_rmse")
        reached = stop.forces_rmse > 0 and error is not None and error <= stop.forces_rmse
        return record["n_labels"] < stop.labels and not reached

    def _is_exhausted(self, iteration: int) -> bool:
        """Nothing was selected for this iteration, or no label came out of it for too long."""
        known = self.labels.frames()
        if not any(f.iteration == iteration for f in known):
            self.progress.say("nothing new was found to label")
            return True
        newest = max(f.iteration for f in known if not f.failed)
        if iteration - newest < PATIENCE:
            return False
        reason = known[-1].reason
        self.progress.say(f"the reference failed for the last {PATIENCE} batches: {reason}")
        return True

    # --- record --------------------------------------------------------------------------

    def _record(self, folder: Path, iteration: int, last: bool, seconds: dict[str, float]) -> None:
        """One record per iteration, and ``metrics.json`` of all so far."""
        record = self.bookkeeper.record(
            folder, iteration, last, seconds, self.labels.frames(), Model(folder / "model.pt")
        )
        records = [*self.bookkeeper.earlier(iteration), record]
        write_json(self.folder / "metrics.json", records)
        # the mark that the iteration is complete, so it comes last
        write_json(folder / "record.json", record)
        left = self.bookkeeper.seconds_left(records)
        shown = ("coverage", "md_steps", "energy_rmse", "forces_rmse")
        self.progress.update(force=True, seconds_left=left, **{k: record[k] for k in shown})
        if last:
            self.progress.stage("done")
        self.progress.say(describe(record, left))


def _reopen(folder: Path) -> None:
    """Forget that an iteration was the last one, and its potential, which was trained as such."""
    for name in ("evaluation.json", "model.pt", "potential.ckpt", "record.json"):
        (folder / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _timed(folder: Path, stage: str, seconds: dict[str, float], ranks: Ranks) -> Iterator[None]:
    """Add the time of a stage; a stage that was done before a restart keeps its time."""
    path = folder / "seconds.json"
    if path.is_file():
        seconds.update(read_json(path) | seconds)
    start = time.perf_counter()
    yield
    elapsed = time.perf_counter() - start
    # stages that only find their output take no time worth keeping
    if elapsed > 0.05 or stage not in seconds:
        seconds[stage] = seconds.get(stage, 0.0) + elapsed
    ranks.on_root(lambda: write_json(path, seconds))
