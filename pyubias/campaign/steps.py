"""The stages of the active-learning loop: label, train, evaluate, explore, select.

Each is a function of files to a file (see `run_folder`) and does nothing if its output exists.
"""

import contextlib
import itertools
from collections.abc import Callable, Sequence

from ase import Atoms

from pyubias.analysis.residuals import evaluate
from pyubias.campaign.bias_schedule import strengths_after
from pyubias.campaign.given_labels import keep_given
from pyubias.campaign.inputs import Inputs
from pyubias.campaign.kept_labels import read_tried_label
from pyubias.campaign.label_store import LabelledFrame, LabelStore
from pyubias.campaign.label_task import LabelTask
from pyubias.campaign.next_batch import scores_before
from pyubias.campaign.progress import Progress
from pyubias.campaign.run_folder import IterationFolder, RunFolder
from pyubias.campaign.seeds import seed_of
from pyubias.campaign.select_stage import SelectStage, read_selection, starts_of
from pyubias.campaign.structures import perturbed
from pyubias.campaign.to_label import remove_frames_to_label, write_frames_to_label
from pyubias.campaign.train_stage import Calibration, TrainStage, TrainTask
from pyubias.campaign.walk_task import WalkTask, stopped_at_once
from pyubias.config.potential import FinishConfig
from pyubias.config.schema import CampaignConfig, FilesReference
from pyubias.errors import UserError
from pyubias.files import copy_file, read_json, write_json
from pyubias.jobs.pool import Pool
from pyubias.model.prediction import Model
from pyubias.parallel import Ranks
from pyubias.reference.label import LabelError, Reference, label_frame
from pyubias.reference.open import open_reference
from pyubias.training.labels import Label, hash_frames
from pyubias.training.scores import Scores
from pyubias.training.structures import without_constraints

__all__ = ["Steps"]


class Steps:
    """The stages of one arm. All its ranks call every public method.

    Args:
        config: of the arm.
        inputs: what its files hold.
        folder: of the arm.
        ranks: that share its work.
        progress: shows what happens.
        pool: of its tasks that run in jobs.
    """

    def __init__(
        self,
        config: CampaignConfig,
        inputs: Inputs,
        folder: RunFolder,
        ranks: Ranks,
        progress: Progress,
        pool: Pool,
    ) -> None:
        self.config = config
        self.inputs = inputs
        self.folder = folder
        self.ranks = ranks
        self.progress = progress
        self.pool = pool
        self._resources = contextlib.ExitStack()
        self._reference: Reference | None = None
        # one rank makes the database, then all open it
        ranks.on_root(self._make_label_store)
        self.labels = LabelStore(folder.labels)
        remark = without_constraints(inputs.start + inputs.candidates)
        for line in inputs.given.remarks:
            progress.log(line)
        if remark is not None:
            progress.log(f"warning: {remark}")

    def close(self) -> None:
        """End the reference of this rank."""
        self._resources.close()

    def _make_label_store(self) -> None:
        store = self.folder.labels
        # the model of walkers that come before all labels was trained on none
        first = self.folder.iteration(1 if self.config.start.walks_first else 0)
        # another package leaves no checkpoint, and a kill may leave one without a model
        trained = first.checkpoint if first.checkpoint.is_file() else first.model
        if trained.is_file() and not (store.is_file() and LabelStore(store).keys()):
            raise UserError(
                f"'{store}' holds no label, but '{trained}' was trained on some: bring the "
                "database back, or remove the run folder to begin anew"
            )
        keep_given(LabelStore(store), self.inputs.given.frames)

    def label(self, iteration: int) -> bool:
        """Label the frames of an iteration that are not in the database.

        Returns:
            whether it is done; not if frames wait for labels from files.
        """
        wanted = self.ranks.on_root(lambda: self._unlabelled(iteration))
        if not wanted:
            line = self.ranks.on_root(lambda: remove_frames_to_label(self.folder))
            if line:
                self.progress.log(line)
            return True
        reference = self.config.reference
        if isinstance(reference, FilesReference):
            line = self.ranks.on_root(lambda: write_frames_to_label(self.folder, wanted, reference))
            self.progress.log(line)
            return False
        self.progress.stage("label", f"iteration {iteration}: {len(wanted)} frames")

        if self.pool.runs("label"):
            self.ranks.on_root(lambda: self._label_in_jobs(iteration, wanted))
            return True

        def label(item: tuple[str, Atoms]) -> Exception | None:
            key, atoms = item
            try:
                self._label(key, atoms)
            except Exception as error:  # a rank that stopped would leave the others waiting
                return error
            return None

        for problem in self.ranks.map(label, wanted, self.folder.path):
            if problem is not None:
                self.ranks.fail(problem)
        return True

    def _label(self, key: str, atoms: Atoms) -> None:
        """Label one frame on this rank; a label that fails is kept with its reason."""
        if self._reference is None:
            # the ranks that label keep their references until the arm ends
            self._reference = self._resources.enter_context(open_reference(self.config.reference))
        try:
            label = label_frame(self._reference, atoms)
        except LabelError as error:
            self._keep(key, atoms, None, str(error))
        else:
            self._keep(key, atoms, label)

    def _label_in_jobs(self, iteration: int, wanted: Sequence[tuple[str, Atoms]]) -> None:
        """Label frames in jobs; each label is kept as soon as it is there."""
        reference = self.config.reference
        assert not isinstance(reference, FilesReference)
        tasks = [LabelTask(key, atoms, reference, self.folder.jobs) for key, atoms in wanted]
        done = itertools.count(1)

        def keep(task: LabelTask) -> None:
            self._keep(task.key, task.atoms, *task.take())
            task.output.unlink()
            self.progress.update(done=next(done), total=len(tasks))

        late = self.pool.run("label", tasks, keep, self._may_be_late(iteration))
        if late:
            folder = self.folder.iteration(iteration)
            folder.path.mkdir(parents=True, exist_ok=True)
            write_json(folder.late, [task.key for task in late])
            self.progress.log(f"{len(late)} labels are late: iteration {iteration + 1} gets them")

    def _may_be_late(self, iteration: int) -> Callable[[Sequence[LabelTask]], bool]:
        """Whether an iteration can go on without labels; late ones of the one before it cannot."""
        batch, stop = self._batch(iteration), self.config.stop
        n_before = len(self.labels.frames(iteration - 1)) + len(self._late(iteration - 1))
        last = n_before + len(batch) >= stop.labels
        allowed = 0 if last else int(stop.stragglers * len(batch))

        def may_be_late(tasks: Sequence[LabelTask]) -> bool:
            return len(tasks) <= allowed and all(task.key in batch for task in tasks)

        return may_be_late

    def _keep(self, key: str, atoms: Atoms, label: Label | None, reason: str = "") -> None:
        self.labels.add(key, atoms, label, reason)
        if label is None:
            self.progress.log_here(f"label {key} failed: {reason}")

    def _use_tried_label(self, wanted: Sequence[tuple[str, Atoms]]) -> list[tuple[str, Atoms]]:
        """Keep the label that a dry run made of one of these frames; the others remain."""
        path, remaining = self.folder.tried_label, []
        for key, atoms in wanted:
            tried = read_tried_label(path, atoms, self.config.reference)
            if tried is None:
                remaining.append((key, atoms))
                continue
            self._keep(key, atoms, tried.label)
            self.progress.log(f"label {key}: the dry run made it")
        return remaining

    def _unlabelled(self, iteration: int) -> list[tuple[str, Atoms]]:
        """Keys and frames, in the order in which they were selected; late ones come first."""
        known = self.labels.keys()
        frames = self._late(iteration - 1)
        not_here = self.folder.iteration(iteration).late_keys()
        frames |= {k: a for k, a in self._batch(iteration).items() if k not in not_here}
        wanted = [(key, atoms) for key, atoms in frames.items() if key not in known]
        return self._use_tried_label(wanted) if iteration == 0 else wanted

    def _batch(self, iteration: int) -> dict[str, Atoms]:
        """The frames that were selected for an iteration, by their keys."""
        if iteration == 0:
            n_given = len(self.inputs.given.frames)
            frames = perturbed(self.inputs.start, self.config, n_given)
        else:
            frames = read_selection(self.folder.iteration(iteration - 1).selection)
        return {f"{iteration:04d}-{k:02d}": atoms for k, atoms in enumerate(frames)}

    def _late(self, iteration: int) -> dict[str, Atoms]:
        """Frames that an iteration did not wait for, as frames of the next one."""
        keys = self.folder.iteration(iteration).late_keys() if iteration >= 0 else []
        frames = {key: self._batch(iteration)[key] for key in keys}
        for atoms in frames.values():
            atoms.info["iteration"] = iteration + 1
        return frames

    def train(self, iteration: int, frames: Sequence[LabelledFrame]) -> None:
        """Train and calibrate a potential on all labels so far, and export it."""
        folder = self.folder.iteration(iteration)
        scores = self._scores(iteration)
        # with those of batches there are more calibration frames, of which the record tells
        with_remarks = len(scores.total) == 0
        self._train("train", f"iteration {iteration}", folder, frames, scores, with_remarks)

    def finish(self, frames: Sequence[LabelledFrame]) -> None:
        """Train once more on all labels, as long as that pays, and evaluate the model."""
        folder, finish, scores = self.folder.final, self.config.finish, self._scores(None)
        self._train("finish", "the last training", folder, frames, scores, True, finish)
        self.evaluate(folder, frames)

    def _scores(self, before: int | None) -> Scores:
        """Of the models before an iteration; the same on all ranks."""
        settings = self.config.model_dump(mode="json")
        return self.ranks.on_root(
            lambda: scores_before(self.folder, before, self.labels.frames(), settings)
        )

    def _train(
        self,
        stage_name: str,
        which: str,
        folder: IterationFolder,
        frames: Sequence[LabelledFrame],
        scores: Scores,
        with_remarks: bool,
        finish: FinishConfig | None = None,
    ) -> None:
        elements, foundation = self.inputs.elements, self.folder.foundation
        stage = TrainStage(
            self.config, elements, frames, folder, foundation, self.inputs.start, finish, scores
        )
        if not self.ranks.on_root(lambda: stage.is_trained):
            self.progress.stage(stage_name, f"{which}: {stage.description}")
            if self.pool.runs("train"):
                calibration = self.ranks.on_root(lambda: self._train_in_job(stage))
            else:
                calibration = stage.train(self.ranks, self.progress)
            self._warn(calibration, with_remarks)

        def export_model() -> None:
            stage.export()
            copy_file(folder.model, self.folder.model)

        self.ranks.on_root(export_model)

    def _train_in_job(self, stage: TrainStage) -> Calibration:
        task = TrainTask(stage, self.progress, self.folder.jobs)
        # of a training that was forgotten since, because the budget was raised
        task.output.unlink(missing_ok=True)
        self.pool.run("train", [task], lambda task: None)
        calibration = task.take()
        task.output.unlink()
        return calibration

    def _warn(self, calibration: Calibration, with_remarks: bool) -> None:
        """Say what calibration cannot promise."""
        for remark in calibration.remarks if with_remarks else []:
            self.progress.log(f"warning: {remark}")
        if calibration.atomic_attainable == 0.0:
            threshold = self.config.exploration.threshold
            self.progress.log(
                f"warning: exploration.threshold = {threshold:g} eV/Å stops walkers by an "
                "uncertainty that is not calibrated"
            )

    @property
    def _test_set(self) -> str | None:
        """Hash of the test set; None without one."""
        return hash_frames(self.inputs.test) if self.inputs.test else None

    def is_evaluated(self, folder: IterationFolder) -> bool:
        """Whether the errors of a model are there, and those on this test set."""
        if not folder.evaluation.is_file():
            return False
        # earlier versions did not keep it
        return bool(read_json(folder.evaluation).get("test", self._test_set) == self._test_set)

    def evaluate(self, folder: IterationFolder, frames: Sequence[LabelledFrame]) -> None:
        """Compare the model in a folder with the test set."""

        def evaluate_model() -> None:
            if self.is_evaluated(folder):
                return
            self.progress.stage("evaluate")
            result = evaluate(Model(folder.model), self.inputs.test) if self.inputs.test else {}
            if not frames:  # on another zero of energies, and not calibrated
                result = {k: v for k, v in result.items() if k.startswith(("forces", "stress"))}
            write_json(folder.evaluation, result | {"test": self._test_set})

        self.ranks.on_root(evaluate_model)

    def explore(self, iteration: int, frames: Sequence[LabelledFrame]) -> None:
        """Run the walkers of an iteration, each on one rank or on a group of ranks."""
        config, folder = self.config.exploration, self.folder.iteration(iteration)
        self.ranks.on_root(lambda: folder.walkers.mkdir(exist_ok=True))
        todo = [k for k in range(config.walkers) if not folder.walk(k).is_file()]
        if not todo:
            return
        starts = starts_of(frames, self.inputs.start)
        self.progress.stage(
            "explore",
            f"iteration {iteration}: {len(todo)} walkers, up to {config.steps} steps each",
        )

        model, elements = folder.model, self.inputs.elements
        in_jobs = self.pool.runs("explore")
        n_ranks = (
            config.ranks_per_walker if in_jobs else min(config.ranks_per_walker, self.ranks.size)
        )
        strengths = self.ranks.on_root(lambda: self._strengths(iteration))
        tasks = []
        for k in todo:
            seed, start = seed_of(self.config.seed, iteration, k), starts[k % len(starts)].atoms
            places = folder.walker(k), folder.walk(k)
            tasks.append(
                WalkTask(
                    *(iteration, k, config, model, elements, start, seed, *places, n_ranks),
                    strength=strengths[k],
                )
            )

        def finished(task: WalkTask) -> None:
            done = len(list(folder.walkers.glob("*.npz")))
            self.progress.update(done=done, total=config.walkers)
            self.progress.log_here(task.describe())

        def walk(task: WalkTask, group: Ranks) -> None:
            task.run(group)
            if group.is_root:
                finished(task)

        if in_jobs:
            self.ranks.on_root(lambda: self.pool.run("explore", tasks, finished))
        else:
            self.ranks.map(
                lambda task: walk(task, self.ranks),
                tasks,
                self.folder.path,
                n_ranks,
                walk if self.ranks.size > 1 else None,
            )
        line = self.ranks.on_root(lambda: stopped_at_once(folder.walks(), config))
        if line:
            self.progress.log(line)

    def _strengths(self, iteration: int) -> list[float]:
        """Factors of the strengths of the bias of each walker."""
        scheduled = self.config.exploration.tau_schedule is not None and iteration > 0
        before = self.folder.iteration(iteration - 1).walks() if scheduled else []
        return strengths_after(before, self.config.exploration)

    def select(self, iteration: int, frames: Sequence[LabelledFrame]) -> None:
        """Pick the most informative frames of the pool, given all labelled frames."""
        folder = self.folder.iteration(iteration)

        def select_frames() -> None:
            if folder.selection.is_file():
                return
            stage = SelectStage(
                self.config,
                iteration,
                frames,
                self.labels.frames(iteration),
                len(self.labels.keys()),
                len(folder.late_keys()),
                self.inputs.start,
                self.inputs.candidates,
                folder,
            )
            pool = stage.pool()
            self.progress.stage("select", f"iteration {iteration}: from {len(pool)} frames")
            stage.select(pool, self.progress.log_here)

        self.ranks.on_root(select_frames)
