"""`pyubias run FILE --dry-run`: every stage once, on a small scale, and the cost of the whole."""

import itertools
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ase import Atoms
from rich.console import Console
from rich.table import Table

from pyubias.analysis.residuals import evaluate
from pyubias.campaign.arms import arms_of
from pyubias.campaign.cost import Seconds, seconds_of_campaign
from pyubias.campaign.dry_run_walks import Walked, timed, try_walks
from pyubias.campaign.former_defaults import with_former_defaults
from pyubias.campaign.inputs import Inputs, read_inputs, with_given
from pyubias.campaign.kept_labels import keep_tried_label, read_tried_label
from pyubias.campaign.label_store import LabelStore
from pyubias.campaign.run_folder import RunFolder
from pyubias.campaign.run_state import describe_run
from pyubias.campaign.structures import perturbed
from pyubias.config.schema import CampaignConfig, FilesReference
from pyubias.config.trainer import BuiltinTrainer, CommandTrainer, PackageTrainer
from pyubias.console import duration
from pyubias.errors import UserError
from pyubias.files import copy_file, read_json
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


class _Labelled(NamedTuple):
    """Labelled frames, where they come from, and the seconds of one label."""

    frames: list[Atoms]
    source: str
    seconds: float


class _Trained(NamedTuple):
    """Labelled frames, a barely trained model, and what its training took."""

    labelled: _Labelled
    frames: list[Atoms]
    model: Path
    sample: float
    preparation: float


def try_stages(config: CampaignConfig, n_ranks: int, runs: Path | None = None) -> None:
    """Label one structure, train, export and walk a little; print what a campaign would cost.

    The label is kept in the run folder for the campaign. Nothing else is kept. If the run has
    begun, it also prints what is there, and the cost is that of the rest. Runs on one rank.

    Args:
        config: from `load_campaign`.
        n_ranks: that the campaign will have, for the estimate.
        runs: folder that the run folder is in; None looks at no run folder and keeps no label.

    Raises:
        UserError: whatever would stop the campaign.
    """
    table = Table(title=f"{config.name}: dry run")
    for column in ("stage", "tried", "one takes"):
        table.add_column(column)
    run = Path() if runs is None else runs.resolve() / config.name
    kept: list[str] = []
    if runs is not None:
        config, kept = with_former_defaults(config, RunFolder(run).settings)
    arms = arms_of(config, run)
    inputs = [read_inputs(arm.config, None if runs is None else arm.folder) for arm in arms]
    remark = without_constraints(inputs[0].start + inputs[0].candidates)
    if remark is not None:
        print(f"warning: {remark}")
    budgets = [with_given(arm, files) for arm, files in zip(arms, inputs, strict=True)]
    for arm, given in zip(arms, budgets, strict=True) if runs is not None else ():
        for line in describe_run(arm, given.config.stop.labels):
            print(line)
    for line in kept:
        print(line)
    trained: _Trained | None = None
    costs = []
    with tempfile.TemporaryDirectory() as name:
        for k, (arm, files) in enumerate(zip(budgets, inputs, strict=True)):
            if trained is None or _potential(arm.config) != _potential(arms[0].config):
                folder = Path(name) / str(k)
                folder.mkdir()
                labelled = _try_label(arm.config, files, None if runs is None else arm.folder)
                trained = _try_potential(arm.config, files, labelled, folder)
                _add_rows(table, trained)
            elif runs is not None:  # the arms label the same copies of start structures
                _share_label(arms[0].folder, arm.folder)
            parts, walked = _try_use(arm.config, files, trained)
            table.add_row(f"explore, {arm.name}", walked.tried, walked.takes)
            known = 0 if runs is None else len(_known_labels(arm.folder))
            share = _ranks_of(k, len(arms), n_ranks)
            costs.append(seconds_of_campaign(arm.config, parts, share, known))
    if inputs[0].test:
        table.add_row("evaluate", f"{len(inputs[0].test)} test structures", f"{parts.test:.3g} s")
    Console().print(table)
    # arms that have ranks of their own run side by side
    total = max(costs) if n_ranks >= len(arms) else sum(costs)
    print(
        f"all is in order; at most about {duration(total)} on {n_ranks} rank"
        f"{'s' if n_ranks > 1 else ''} if no walker crosses the threshold before its "
        f"{config.exploration.steps} steps are over"
    )


def _ranks_of(arm: int, n_arms: int, n_ranks: int) -> int:
    """How many ranks an arm has, as `run_campaign` shares them."""
    if n_ranks < n_arms:
        return n_ranks
    return sum(rank * n_arms // n_ranks == arm for rank in range(n_ranks))


def _add_rows(table: Table, trained: _Trained) -> None:
    seconds, source = trained.labelled.seconds, trained.labelled.source
    table.add_row("label", source, f"{1e3 * seconds:.3g} ms a frame" if seconds else "–")
    sample = f"{1e3 * trained.sample:.3g} ms a sample"
    table.add_row("train", f"{TRIED_EPOCHS} epochs", sample)


def _potential(config: CampaignConfig) -> dict[str, object]:
    """The settings that decide what is labelled and trained."""
    others = {"exploration", "selection", "stop", "evaluation", "resources", "control"}
    return config.model_dump(exclude=others)


def _try_potential(
    config: CampaignConfig, inputs: Inputs, labelled: _Labelled, folder: Path
) -> _Trained:
    good = labelled.frames
    frames = [good[k % len(good)].copy() for k in range(TRIED_FRAMES)]
    splits = ["train"] * (len(frames) - 2) + ["validation", "calibration"]
    if not isinstance(config.trainer, BuiltinTrainer):
        job = Job(
            config.trainer, frames, splits, inputs.elements, config.training, config.uncertainty
        )
        return _try_trainer(job, config.trainer, labelled, folder)
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
    trained, seconds = timed(lambda: short(TRIED_EPOCHS))
    export(trained, folder / "model.pt", config.exploration.dtype)
    epoch = min([b - a for a, b in itertools.pairwise(ends)] or [seconds])
    sample = epoch * config.uncertainty.n_members / trained.n_train
    preparation = max(seconds - epoch * len(ends), 0.0) / len(frames)
    return _Trained(labelled, frames, folder / "model.pt", sample, preparation)


def _try_trainer(
    job: Job, trainer: PackageTrainer | CommandTrainer, labelled: _Labelled, folder: Path
) -> _Trained:
    """Let another package train, and wrap its model; its start is no cost of an epoch."""
    output, frames = folder / "model.pt", list(job.frames)

    def short(epochs: int) -> float:
        changed = trainer
        if isinstance(trainer, PackageTrainer):
            changed = trainer.model_copy(update={"epochs": epochs})
        tried = replace(job, trainer=changed)
        place, foundation = folder / f"{epochs}", folder / "foundation.pt"
        return timed(lambda: train_elsewhere(tried, place, foundation, output, print))[1]

    if not isinstance(trainer, PackageTrainer):
        return _Trained(labelled, frames, output, 0.0, short(1) / len(frames))
    short(2)  # so that what is made once does not count
    one, several = short(1), short(TRIED_EPOCHS)
    each = max(several - one, 0.0) / (TRIED_EPOCHS - 1)
    sample, preparation = each / job.splits.count("train"), max(one - each, 0.0) / len(frames)
    return _Trained(labelled, frames, output, sample, preparation)


def _known_labels(folder: RunFolder) -> list[Atoms]:
    """The labelled frames in the folder of an arm."""
    if not folder.labels.is_file():
        return []
    return [frame.atoms for frame in LabelStore(folder.labels).frames() if not frame.failed]


def _try_label(config: CampaignConfig, inputs: Inputs, folder: RunFolder | None) -> _Labelled:
    """One label, unless there are labels: in the run, in files, or from an earlier dry run."""
    known = [] if folder is None else _known_labels(folder)
    if known:
        tried = f"none, {len(known)} are there"
        return _Labelled(known[:TRIED_FRAMES], tried, _seconds_of_labels(folder, len(known)))
    if isinstance(config.reference, FilesReference):
        known = [a.copy() for a in (inputs.given.frames or inputs.test) if FORCES in a.arrays]
        if not known:
            raise UserError(
                "a dry run needs labels, and reference.kind: files makes none: give start.labels "
                "or evaluation.test"
            )
        return _Labelled(known[:TRIED_FRAMES], "none, they come from files", 0.0)
    first = perturbed(inputs.start, config, len(inputs.given.frames))
    # the largest one, whose times are the longest
    atoms = max(first or inputs.start or inputs.given.frames, key=len).copy()
    tried_label = folder and read_tried_label(folder.tried_label, atoms, config.reference)
    if tried_label:
        tried_label.label.attach_to(atoms)
        return _Labelled([atoms], "kept from a dry run", tried_label.seconds)
    with open_reference(config.reference) as reference:
        try:
            label, seconds = timed(lambda: label_frame(reference, atoms))
        except LabelError as error:
            raise UserError(
                f"the reference labelled no structure: {error} (a campaign would go on with the "
                "others; this was one of its first ones)"
            ) from error
    if folder is not None:
        folder.path.mkdir(parents=True, exist_ok=True)
        keep_tried_label(folder.tried_label, atoms, config.reference, label, seconds)
    label.attach_to(atoms)
    return _Labelled([atoms], "1 frame", seconds)


def _share_label(source: RunFolder, target: RunFolder) -> None:
    if source.tried_label.is_file():
        target.path.mkdir(exist_ok=True)
        copy_file(source.tried_label, target.tried_label)


def _seconds_of_labels(folder: RunFolder | None, n_labels: int) -> float:
    """Mean time of the labels of a run, as its iterations recorded it; 0 without a record."""
    files = [] if folder is None else [iteration.seconds for iteration in folder.iterations()]
    times = [float(read_json(file).get("label", 0.0)) for file in files if file.is_file()]
    return sum(times) / n_labels


def _try_use(config: CampaignConfig, inputs: Inputs, trained: _Trained) -> tuple[Seconds, Walked]:
    """Let walkers, selection and evaluation use the potential."""
    model = Model(trained.model)
    model.mean_features(trained.frames)  # what is loaded once is no cost of a frame
    _, features = timed(lambda: model.mean_features(trained.frames))
    tested = inputs.test[:TRIED_FRAMES]
    _, test = timed(lambda: evaluate(model, tested) if tested else None)
    walked = try_walks(
        config.exploration, [*trained.frames[:1], *inputs.start], inputs.elements, trained.model
    )
    parts = Seconds(
        label=trained.labelled.seconds,
        sample=trained.sample,
        preparation=trained.preparation,
        features=features / len(trained.frames),
        test=test * len(inputs.test) / max(len(tested), 1),
        setup=walked.setup,
        step=walked.step,
    )
    return parts, walked
