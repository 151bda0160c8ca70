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

import ase.io
import numpy as np
from ase import Atoms

from pyubias.analysis import evaluate
from pyubias.calculator import Model
from pyubias.config import CampaignConfig, control_arm
from pyubias.datasets import read_frames, split_frames
from pyubias.errors import UserError
from pyubias.exploration import Walk, load_walks, run_walker
from pyubias.exporting import export
from pyubias.labelling import LabelError, Reference, label_frame, open_reference
from pyubias.parallel import Ranks
from pyubias.progress import Progress, live_table, wants_live_table
from pyubias.records import Bookkeeper, describe
from pyubias.selection import select
from pyubias.state import (
    LabelStore,
    check_settings,
    copy_file,
    read_json,
    write_json,
    write_with,
)
from pyubias.training import load_trained, train

__all__ = ["Arm", "arms_of", "read_structures", "run_campaign"]

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
    main = Arm("biased" if config.exploration.tau > 0 else "unbiased", config, folder)
    if config.control is None:
        return [main]
    other = control_arm(config)
    name = "biased" if other.exploration.tau > 0 else "unbiased"
    return [main, Arm(name if name != main.name else "control", other, folder / "control")]


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
    """One arm while it runs: what its stages share. Every method is called by all its ranks."""

    def __init__(self, arm: Arm, ranks: Ranks, progress: Progress) -> None:
        self.config = arm.config
        self.folder = arm.folder
        self.ranks = ranks
        self.progress = progress
        # one rank makes the database, then all open it
        ranks.on_root(lambda: LabelStore(arm.folder / "labels.db").keys())
        self.labels = LabelStore(arm.folder / "labels.db")
        self.start = ranks.on_root(lambda: read_structures(arm.config.start.structures))
        self.elements = arm.config.elements or sorted(
            {s for atoms in self.start for s in atoms.get_chemical_symbols()}
        )
        self.bookkeeper = Bookkeeper(arm.config, arm.folder)
        test = arm.config.evaluation.test
        self.test = ranks.on_root(lambda: read_frames(test)[0] if test is not None else [])

    def iterate(self, iteration: int) -> bool:
        """One turn of the loop; False when the campaign is complete."""
        folder = self.folder / "iterations" / f"{iteration:04d}"
        if (folder / "record.json").is_file():
            record = read_json(folder / "record.json")
            if not (record["last"] and self._goes_on(record)):
                return not record["last"]
            self.ranks.on_root((folder / "record.json").unlink)  # the budget was raised
        seconds: dict[str, float] = {}
        self.ranks.on_root(lambda: folder.mkdir(parents=True, exist_ok=True))

        with _timed(folder, "label", seconds, self.ranks):
            self._label(iteration)
        frames = [f for f in self.labels.frames(iteration) if not f.failed]
        if not frames:
            reasons = sorted({f.reason for f in self.labels.frames(iteration)})
            self.ranks.fail(
                UserError(
                    f"the reference labelled none of the start structures: {reasons[0]} (all "
                    f"reasons are in {self.labels.path}; mend it and remove {self.folder})"
                )
            )
        self.progress.update(
            iteration=iteration, labels=len(frames), label_budget=self.config.stop.labels
        )

        with _timed(folder, "train", seconds, self.ranks):
            self._train(folder, iteration, frames)
        with _timed(folder, "evaluate", seconds, self.ranks):
            self.ranks.on_root(lambda: self._evaluate(folder))
        last = not self._goes_on({"n_labels": len(frames), **read_json(folder / "evaluation.json")})
        if not last:
            with _timed(folder, "explore", seconds, self.ranks):
                self._explore(folder, iteration, frames)
            with _timed(folder, "select", seconds, self.ranks):
                self.ranks.on_root(lambda: self._select(folder, iteration, frames))
            with _timed(folder, "label", seconds, self.ranks):
                self._label(iteration + 1)
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

    # --- label ---------------------------------------------------------------------------

    def _label(self, iteration: int) -> None:
        """Label the frames that were selected for an iteration and are not in the database."""
        wanted = self.ranks.on_root(lambda: self._wanted(iteration))
        if not wanted:
            return
        self.progress.stage("label", f"iteration {iteration}: {len(wanted)} frames")
        with contextlib.ExitStack() as stack:
            reference: Reference | None = None

            def label(item: tuple[str, Atoms]) -> UserError | None:
                nonlocal reference
                key, atoms = item
                try:
                    if reference is None:
                        reference = stack.enter_context(open_reference(self.config.reference))
                    self.labels.add(key, atoms, label_frame(reference, atoms))
                except LabelError as error:
                    self.labels.add(key, atoms, None, reason=str(error))
                    self.progress.tell(f"label {key} failed: {error}")
                except UserError as error:
                    return error
                return None

            problems = self.ranks.map(label, wanted, self.folder)
        for problem in problems:
            if problem is not None:
                self.ranks.fail(problem)

    def _wanted(self, iteration: int) -> list[tuple[str, Atoms]]:
        if iteration == 0:
            frames = self._perturbed_start()
        else:
            source = self.folder / "iterations" / f"{iteration - 1:04d}" / "selection.traj"
            frames = ase.io.read(source, index=":") if source.stat().st_size else []
        known = self.labels.keys()
        keyed = [(f"{iteration:04d}-{k:02d}", atoms) for k, atoms in enumerate(frames)]
        return [(key, atoms) for key, atoms in keyed if key not in known]

    def _perturbed_start(self) -> list[Atoms]:
        """Copies of the start structures, displaced by up to ±perturb and strained by ±strain."""
        start, training = self.config.start, self.config.training
        generator = np.random.default_rng([self.config.seed, 0])
        n = min(start.count, self.config.stop.labels)
        splits = split_frames(n, training.validation, training.calibration, self.config.seed)
        frames = []
        for k in range(n):
            atoms = self.start[k % len(self.start)].copy()
            if atoms.pbc.all():
                strain = generator.uniform(-start.strain, start.strain, (3, 3))
                strain = np.eye(3) + 0.5 * (strain + strain.T)
                atoms.set_cell(atoms.cell @ strain, scale_atoms=True)
            atoms.positions += generator.uniform(-1, 1, atoms.positions.shape) * start.perturb
            atoms.info = {"iteration": 0, "split": splits[k], "walker": -1}
            frames.append(atoms)
        return frames

    # --- train and evaluate --------------------------------------------------------------

    def _train(self, folder: Path, iteration: int, frames: list[Any]) -> None:
        checkpoint, model = folder / "potential.ckpt", folder / "model.pt"
        config = self.config
        if not self.ranks.on_root(checkpoint.is_file):
            self.progress.stage("train", f"iteration {iteration}: {len(frames)} labels")
            ensemble = config.uncertainty.kind == "ensemble"
            n_ranks = config.uncertainty.members if ensemble else config.training.ranks
            self.ranks.together(lambda: self._fit(checkpoint, frames, self.ranks.first(n_ranks)))

        def export_model() -> None:
            if not model.is_file():
                export(load_trained(checkpoint), model, config.exploration.dtype)
            copy_file(model, self.folder / "model.pt")

        self.ranks.on_root(export_model)

    def _fit(self, checkpoint: Path, frames: list[Any], ranks: Ranks | None) -> None:
        """Train on some ranks, while the others wait."""
        if ranks is None:
            return
        training = self.config.training
        trained = train(
            [f.atoms for f in frames],
            self.config.model,
            training.model_copy(update={"seed": self.config.seed + training.seed}),
            self.config.uncertainty,
            elements=self.elements,
            splits=[f.split for f in frames],
            progress=lambda epoch, epochs, mae: self.progress.update(done=epoch, total=epochs),
            ranks=ranks,
        )
        if ranks.is_root:
            trained.save(checkpoint)

    def _evaluate(self, folder: Path) -> None:
        output = folder / "evaluation.json"
        if output.is_file():
            return
        self.progress.stage("evaluate")
        write_json(output, evaluate(Model(folder / "model.pt"), self.test) if self.test else {})

    # --- explore -------------------------------------------------------------------------

    def _explore(self, folder: Path, iteration: int, frames: list[Any]) -> None:
        config = self.config.exploration
        walkers = folder / "walkers"
        self.ranks.on_root(lambda: walkers.mkdir(exist_ok=True))
        todo = [k for k in range(config.walkers) if not (walkers / f"{k:02d}.npz").is_file()]
        if not todo:
            return
        newest = max(f.iteration for f in frames)
        starts = [f.atoms for f in frames if f.iteration == newest]
        self.progress.stage(
            "explore",
            f"iteration {iteration}: {len(todo)} walkers, up to {config.steps} steps each",
        )

        def walk(k: int, group: Ranks) -> None:
            own = walkers / f"{k:02d}"
            if group.is_root:
                own.mkdir(exist_ok=True)
            result = run_walker(
                config,
                k,
                folder / "model.pt",
                self.elements,
                starts[k % len(starts)],
                _seed(self.config.seed, iteration, k),
                own,
                group.communicator if group.size > 1 else None,
                group.is_root,
            )
            if group.is_root:
                result.save(walkers / f"{k:02d}.npz")
                for dump in own.glob("*.dump"):
                    dump.unlink()
                done = len(list(walkers.glob("*.npz")))
                self.progress.update(done=done, total=config.walkers)
                ending = "crossed" if result.crossed else "ended"
                self.progress.tell(
                    f"walker {k}: {result.steps} steps, "
                    + (f"failed: {result.failure}" if result.failure else ending)
                )

        self.ranks.map(
            lambda k: walk(k, self.ranks),
            todo,
            self.folder,
            min(config.ranks_per_walker, self.ranks.size),
            walk if self.ranks.size > 1 else None,
        )

    def _walks(self, folder: Path) -> list[Walk]:
        return load_walks(folder / "walkers")

    # --- select --------------------------------------------------------------------------

    def _select(self, folder: Path, iteration: int, frames: list[Any]) -> None:
        """The most informative frames of the pool; all labelled frames count as known."""
        output = folder / "selection.traj"
        if output.is_file():
            return
        config = self.config.selection
        pool = self._pool(self._walks(folder))
        self.progress.stage("select", f"iteration {iteration}: from {len(pool)} frames")
        model = Model(folder / "model.pt")
        picked = select(
            config.method,
            model.mean_features(pool),
            model.mean_features([f.atoms for f in frames]),
            min(config.batch_size, self.config.stop.labels - len(frames)),
            regularisation=self.config.uncertainty.regularisation,
            seed=_seed(self.config.seed, iteration, 10**6),
        )
        chosen = [pool[k] for k in picked]
        training = self.config.training
        splits = split_frames(
            len(chosen),
            training.validation,
            training.calibration,
            self.config.seed,
            n_before=len(self.labels.keys()),
        )
        for atoms, split in zip(chosen, splits, strict=True):
            atoms.info.update(iteration=iteration + 1, split=split)
        write_with(output, lambda p: ase.io.write(p, chosen) if chosen else p.touch())

    def _pool(self, walks: list[Walk]) -> list[Atoms]:
        """Frames of all walkers, thinned evenly to `max_pool`; crossing frames always stay."""
        stride = max(1, -(-sum(len(w.positions) for w in walks) // self.config.selection.max_pool))
        pool = []
        for k, walk in enumerate(walks):
            frames = walk.frames()
            last = len(frames) - 1
            for i, atoms in enumerate(frames):
                if i % stride == 0 or (walk.crossed and i == last):
                    atoms.info = {"walker": k, "timestep": int(walk.timesteps[i])}
                    pool.append(atoms)
        if not pool:
            failures = sorted({w.failure for w in walks if w.failure})
            raise UserError(
                "the walkers wrote no frame" + (f"; LAMMPS said: {failures[0]}" if failures else "")
            )
        return pool

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


def read_structures(path: Path) -> list[Atoms]:
    try:
        frames = ase.io.read(path, index=":")
    except Exception as error:
        raise UserError(f"start structures '{path}' cannot be read: {error}") from error
    if not frames:
        raise UserError(f"start structures '{path}': the file holds none")
    return [Atoms(a.numbers, positions=a.positions, cell=a.cell, pbc=a.pbc) for a in frames]


def _seed(*numbers: int) -> int:
    """A positive seed that LAMMPS accepts, from campaign seed, iteration and walker."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0] % 900_000_000) + 1


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
