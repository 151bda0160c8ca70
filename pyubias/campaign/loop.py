"""The active-learning loop: label, train, calibrate, explore, select, and round again.

Every stage is a function of files to a file (see `run_folder`), so that a campaign that was killed
anywhere continues with the same command and ends with the same result.
"""

import contextlib
import itertools
import shutil
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from pyubias.campaign.arms import Arm, arms_of
from pyubias.campaign.former_defaults import with_former_defaults
from pyubias.campaign.inputs import Inputs, read_inputs, with_given
from pyubias.campaign.lock import locked
from pyubias.campaign.metrics import Metrics
from pyubias.campaign.progress import Progress, live_table, wants_live_table
from pyubias.campaign.record import Record, describe, describe_final
from pyubias.campaign.run_folder import IterationFolder, RunFolder
from pyubias.campaign.run_state import changes_of_settings, is_made_of, made_of
from pyubias.campaign.steps import Steps
from pyubias.config.schema import CampaignConfig
from pyubias.errors import UserError
from pyubias.files import copy_file, read_json, write_json
from pyubias.jobs.pool import Pool, open_pools
from pyubias.jobs.turns import Turns
from pyubias.parallel import Ranks

__all__ = ["run_campaign"]

# a campaign ends after so many batches in a row without one good label
MAX_FAILED_BATCHES = 3


def run_campaign(
    config: CampaignConfig, runs: str | Path = "runs", ranks: Ranks | None = None
) -> Path:
    """Run or resume a campaign; every rank calls it.

    With a control arm and two ranks or more, the arms share the ranks and run side by side. On one
    rank they take turns if they have jobs: one goes on while the other waits. Else the second one
    follows the first.

    Args:
        config: from `load_campaign`.
        runs: folder that the run folder is made in.
        ranks: default: all MPI ranks.

    Returns:
        the run folder.
    """
    ranks = ranks or Ranks()
    folder = Path(runs).resolve() / config.name
    settings = RunFolder(folder).settings
    config, kept = ranks.on_root(lambda: with_former_defaults(config, settings))
    arms = arms_of(config, folder)
    live = ranks.is_root and wants_live_table()
    # before there is a run folder, whose settings could not be changed any more
    inputs = ranks.on_root(lambda: [read_inputs(arm.config, arm.folder) for arm in arms])
    with contextlib.ExitStack() as stack:
        changes = ranks.on_root(lambda: _prepare(arms, stack))
        arms = [with_given(arm, files) for arm, files in zip(arms, inputs, strict=True)]
        stack.enter_context(live_table([arm.folder for arm in arms], live))
        mine, group = list(range(len(arms))), ranks
        if ranks.size >= len(arms):
            mine = [ranks.rank * len(arms) // ranks.size]
            group = ranks.split(mine[0])
        progress = [
            Progress(arm.name, arm.folder, arms[0].folder.log, group.is_root, echo=not live)
            for arm in arms
        ]
        for k in mine:
            for line in kept + changes[k]:
                progress[k].log(line)
        _run_arms([(arms[k], inputs[k], group, progress[k]) for k in mine])
    ranks.wait_for_all()
    return folder


def _prepare(arms: list[Arm], stack: contextlib.ExitStack) -> list[list[str]]:
    """Make and lock the run folder; compare its settings, and remove what a kill left behind.

    Returns:
        for each arm, a line for each setting that changed.
    """
    changes = []
    main = arms[0].folder
    main.path.mkdir(parents=True, exist_ok=True)
    stack.enter_context(locked(main.path))
    main.remove_temporary_files()
    for arm in arms:
        arm.folder.path.mkdir(exist_ok=True)
        lines = changes_of_settings(arm)
        arm.folder.restore_metrics()
        write_json(arm.folder.settings, arm.config.model_dump(mode="json"))
        if any(line.startswith("trainer.") for line in lines):
            arm.folder.foundation.unlink(missing_ok=True)  # it may be another one now
        changes.append(lines)
    return changes


def _run_arms(parts: Sequence[tuple[Arm, Inputs, Ranks, Progress]]) -> None:
    """Run the arms of these ranks: one after the other, or side by side if they have jobs."""
    turns = Turns()
    resources = [arm.config.resources for arm, *_ in parts]
    folders = [arm.folder.jobs for arm, *_ in parts]
    with open_pools(resources, folders, turns.waiting) as pools:
        functions = [
            partial(_run_arm, *part, pool) for part, pool in zip(parts, pools, strict=True)
        ]
        turns.run(functions, side_by_side=any(pool.jobs.stages for pool in pools))


def _run_arm(arm: Arm, inputs: Inputs, ranks: Ranks, progress: Progress, pool: Pool) -> None:
    hours = arm.config.stop.hours
    start = time.monotonic()
    with contextlib.closing(Steps(arm.config, inputs, arm.folder, ranks, progress, pool)) as steps:
        campaign = _Campaign(arm, ranks, progress, steps)
        ranks.on_root(campaign.metrics.renew)
        for iteration in itertools.count():
            if not campaign.iterate(iteration):
                break
            if hours is not None and time.monotonic() - start > 3600 * hours:
                progress.log(f"stop.hours = {hours:g} reached; run the same command to go on")
                return
        campaign.finish(iteration)


class _Campaign:
    """One arm while it runs. All its ranks call every method."""

    def __init__(self, arm: Arm, ranks: Ranks, progress: Progress, steps: Steps) -> None:
        self.config = arm.config
        self.folder = arm.folder
        self.ranks = ranks
        self.progress = progress
        self.steps = steps
        self.labels = steps.labels
        self.metrics = Metrics(arm.config, arm.folder, ranks.size)

    def iterate(self, iteration: int) -> bool:
        """One turn of the loop; False when the campaign is complete."""
        folder = self.folder.iteration(iteration)
        before = self.ranks.on_root(lambda: self._outcome(folder))
        if before is not None:
            return before
        self.ranks.on_root(self._drop_outdated)
        self.ranks.on_root(lambda: folder.keep_settings(self.config))
        seconds: dict[str, float] = {}

        with _timed(folder, "label", seconds, self.ranks):
            labelled = self.steps.label(iteration)
        if not labelled:
            return False
        frames = [f for f in self.labels.frames(iteration) if not f.failed]
        if not frames and not (iteration == 0 and self.config.start.walks_first):
            self.ranks.fail(self._without_labels(iteration))
        self.progress.update(
            iteration=iteration, labels=len(frames), label_budget=self.config.stop.labels
        )

        with _timed(folder, "train", seconds, self.ranks):
            self.steps.train(iteration, frames)
        with _timed(folder, "evaluate", seconds, self.ranks):
            self.steps.evaluate(folder, frames)
        last = not self._goes_on(len(frames), read_json(folder.evaluation).get("forces_rmse"))
        if not last:
            with _timed(folder, "explore", seconds, self.ranks):
                self.steps.explore(iteration, frames)
            with _timed(folder, "select", seconds, self.ranks):
                self.steps.select(iteration, frames)
            with _timed(folder, "label", seconds, self.ranks):
                labelled = self.steps.label(iteration + 1)
            if not labelled:
                return False
        last = last or self._is_exhausted(iteration + 1)
        self.ranks.on_root(lambda: self._record(iteration, last, seconds))
        return not last

    def _outcome(self, folder: IterationFolder) -> bool | None:
        """What completed an iteration before, as `iterate` returns it; None if nothing did.

        The last iteration of a budget that was raised is opened again. For one rank alone: another
        one would see the iteration open already, and go another way.
        """
        if not folder.is_complete:
            return None
        record = folder.read_record()
        if record.last and self._goes_on(record.n_labels, record.forces_rmse):
            folder.reopen()
            return None
        return not record.last

    def finish(self, iteration: int) -> None:
        """The last training, on all labels; what was trained on others is trained again.

        Args:
            iteration: the newest; nothing is done if it waits for labels.
        """
        if self.config.finish is None or not self.folder.iteration(iteration).is_complete:
            return
        frames = [f for f in self.labels.frames() if not f.failed]
        folder = self.folder.final
        self.ranks.on_root(lambda: self._begin(folder))
        seconds: dict[str, float] = {}
        if not self.ranks.on_root(
            lambda: folder.model.is_file() and self.steps.is_evaluated(folder)
        ):
            with _timed(folder, "finish", seconds, self.ranks):
                self.steps.finish(frames)
            self.ranks.on_root(lambda: self._show_final(len(frames)))
        # an iteration that is gone through again leaves its own
        self.ranks.on_root(lambda: copy_file(folder.model, self.folder.model))
        self.progress.stage("done")

    def _show_final(self, n_labels: int) -> None:
        evaluation = read_json(self.folder.final.evaluation)
        errors = {name: evaluation.get(name) for name in ("energy_rmse", "forces_rmse")}
        self.progress.update(force=True, **errors)
        self.progress.log(describe_final(n_labels, evaluation))

    def _begin(self, folder: IterationFolder) -> None:
        """Make the folder of the last training; one of other labels or settings goes."""
        self._drop_outdated()
        folder.keep_settings(self.config)
        write_json(folder.made_of, made_of(self.config, self.labels.frames()))

    def _drop_outdated(self) -> None:
        """Remove the last training unless it is that of the present labels and settings."""
        folder = self.folder.final
        now = made_of(self.config, self.labels.frames())
        if not is_made_of(folder, now):
            shutil.rmtree(folder.path, ignore_errors=True)

    def _without_labels(self, iteration: int) -> UserError:
        reasons = sorted({f.reason for f in self.labels.frames(iteration)})
        walks_first = self.config.start.walks_first
        first = "frames that walkers found" if walks_first else "start structures"
        return UserError(
            f"the reference labelled none of the {first}: {reasons[0]} (all "
            f"reasons are in {self.labels.path}; fix it and remove {self.folder.path}; bonds "
            "of a LAMMPS reference want atoms in the images of its data file, not wrapped)"
        )

    def _goes_on(self, n_labels: int, forces_rmse: float | None) -> bool:
        stop = self.config.stop
        reached = (
            stop.forces_rmse > 0 and forces_rmse is not None and forces_rmse <= stop.forces_rmse
        )
        return n_labels < stop.labels and not reached

    def _is_exhausted(self, iteration: int) -> bool:
        """Whether nothing was selected for this iteration, or labels failed for too long."""
        known = self.labels.frames()
        if not any(f.iteration == iteration for f in known):
            self.progress.log("nothing new was found to label")
            return True
        newest = max((f.iteration for f in known if not f.failed), default=0)
        if iteration - newest < MAX_FAILED_BATCHES:
            return False
        reason = known[-1].reason
        self.progress.log(
            f"the reference failed for the last {MAX_FAILED_BATCHES} batches: {reason}"
        )
        return True

    def _record(self, iteration: int, last: bool, seconds: dict[str, float]) -> None:
        """Write the record of the iteration, and the metrics of all so far."""
        record = self.metrics.record(iteration, last, seconds, self.labels.frames())
        records = [*self.metrics.earlier_again(iteration), record]
        self.folder.write_records(records)
        # it marks the iteration as complete, so it comes last
        write_json(self.folder.iteration(iteration).record, record.to_json())
        left = self.metrics.seconds_left(records)
        self._show(record, left)
        for remark in self.metrics.remarks(iteration):
            self.progress.log(f"iteration {iteration}: {remark}")

    def _show(self, record: Record, seconds_left: float) -> None:
        self.progress.update(
            force=True,
            seconds_left=seconds_left,
            coverage=record.coverage,
            md_steps=record.md_steps,
            energy_rmse=record.energy_rmse,
            forces_rmse=record.forces_rmse,
        )
        if record.last:
            self.progress.stage("done")
        self.progress.log(describe(record, seconds_left))


@contextlib.contextmanager
def _timed(
    folder: IterationFolder, stage: str, seconds: dict[str, float], ranks: Ranks
) -> Iterator[None]:
    """Add the time of a stage; a stage that was done before a restart keeps its time."""
    if folder.seconds.is_file():
        seconds.update(read_json(folder.seconds) | seconds)
    start = time.perf_counter()
    yield
    elapsed = time.perf_counter() - start
    # a stage that only finds its output must not replace the time that making it took
    if elapsed > 0.05 or stage not in seconds:
        seconds[stage] = seconds.get(stage, 0.0) + elapsed
    ranks.on_root(lambda: write_json(folder.seconds, seconds))
