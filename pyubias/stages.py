"""The stages of the active-learning loop: label, train, evaluate, explore, select.

Each is a function of files to a file (see `state`) and does nothing if its output is there.
"""

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms

from pyubias.analysis import evaluate
from pyubias.calculator import Model
from pyubias.candidates import elements_of, open_candidates, read_candidates, read_start
from pyubias.config import CampaignConfig
from pyubias.datasets import read_frames, split_frames
from pyubias.errors import UserError
from pyubias.exploration import AbandonedWalk, Walk, load_walks, run_walker
from pyubias.exporting import export
from pyubias.labelling import LabelError, Reference, label_frame, open_reference
from pyubias.levels import select_on_levels, split_uncertainty
from pyubias.parallel import Ranks
from pyubias.progress import Progress
from pyubias.selection import select
from pyubias.state import LabelledFrame, LabelStore, copy_file, write_json, write_with
from pyubias.training import load_trained, train

__all__ = ["Stages"]


class Stages:
    """The stages of one campaign; every public method is called by all its ranks.

    Args:
        config: of the campaign.
        folder: of the campaign.
        ranks: that share its work.
        progress: told what happens.
    """

    def __init__(
        self, config: CampaignConfig, folder: Path, ranks: Ranks, progress: Progress
    ) -> None:
        self.config = config
        self.folder = folder
        self.ranks = ranks
        self.progress = progress
        # one rank makes the database, then all open it
        ranks.on_root(lambda: LabelStore(folder / "labels.db").keys())
        self.labels = LabelStore(folder / "labels.db")
        self.start = ranks.on_root(lambda: read_start(config))
        self.candidates = ranks.on_root(lambda: read_candidates(config))
        self.elements = ranks.on_root(lambda: elements_of(config, self.start + self.candidates))
        test = config.evaluation.test
        self.test = ranks.on_root(lambda: read_frames(test)[0] if test is not None else [])

    # --- label ---------------------------------------------------------------------------

    def label(self, iteration: int) -> None:
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
            if start.strain > 0.0 and atoms.pbc.all():
                strain = generator.uniform(-start.strain, start.strain, (3, 3))
                strain = np.eye(3) + 0.5 * (strain + strain.T)
                atoms.set_cell(atoms.cell @ strain, scale_atoms=True)
            atoms.positions += generator.uniform(-1, 1, atoms.positions.shape) * start.perturb
            atoms.info.update(iteration=0, split=splits[k], walker=-1)
            frames.append(atoms)
        return frames

    # --- train and evaluate --------------------------------------------------------------

    def train(self, folder: Path, iteration: int, frames: list[Any]) -> None:
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
        changes: dict[str, Any] = {"seed": self.config.seed + training.seed}
        if len(frames) >= self.config.stop.labels:
            changes["max_steps"] = round(training.final_factor * training.max_steps)
        trained = train(
            [f.atoms for f in frames],
            self.config.model,
            training.model_copy(update=changes),
            self.config.uncertainty,
            elements=self.elements,
            splits=[f.split for f in frames],
            progress=lambda epoch, epochs, mae: self.progress.update(done=epoch, total=epochs),
            ranks=ranks,
        )
        if ranks.is_root:
            trained.save(checkpoint)

    def evaluate(self, folder: Path) -> None:
        """Errors of the iteration's model on the test set."""
        self.ranks.on_root(lambda: self._evaluate(folder))

    def _evaluate(self, folder: Path) -> None:
        output = folder / "evaluation.json"
        if output.is_file():
            return
        self.progress.stage("evaluate")
        write_json(output, evaluate(Model(folder / "model.pt"), self.test) if self.test else {})

    # --- explore -------------------------------------------------------------------------

    def explore(self, folder: Path, iteration: int, frames: list[Any]) -> None:
        config = self.config.exploration
        walkers = folder / "walkers"
        self.ranks.on_root(lambda: walkers.mkdir(exist_ok=True))
        todo = [k for k in range(config.walkers) if not (walkers / f"{k:02d}.npz").is_file()]
        if not todo:
            return
        starts = _starts(frames)
        self.progress.stage(
            "explore",
            f"iteration {iteration}: {len(todo)} walkers, up to {config.steps} steps each",
        )

        def walk(k: int, group: Ranks) -> None:
            own = walkers / f"{k:02d}"
            if group.is_root:
                own.mkdir(exist_ok=True)
            try:
                result = run_walker(
                    config,
                    k,
                    folder / "model.pt",
                    self.elements,
                    starts[k % len(starts)].atoms,
                    _seed(self.config.seed, iteration, k),
                    own,
                    group.communicator if group.size > 1 else None,
                    group.is_root,
                )
            except AbandonedWalk as abandoned:
                abandoned.walk.save(walkers / f"{k:02d}.npz")
                # told by this rank alone, the error ends those that wait as well
                raise UserError(
                    f"walker {k} failed on one of its {group.size} ranks ({abandoned}), which no "
                    "other rank can know; it is kept as failed: run the same command to go on"
                ) from abandoned
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

    # --- select --------------------------------------------------------------------------

    def select(self, folder: Path, iteration: int, frames: list[Any]) -> None:
        """The most informative frames of the pool; all labelled frames count as known."""
        self.ranks.on_root(lambda: self._select(folder, iteration, frames))

    def _select(self, folder: Path, iteration: int, frames: list[Any]) -> None:
        output = folder / "selection.traj"
        if output.is_file():
            return
        config = self.config.selection
        pool = self._pool(load_walks(folder / "walkers"), _starts(frames))
        pool += open_candidates(self.candidates, self.labels.frames(iteration))
        self.progress.stage("select", f"iteration {iteration}: from {len(pool)} frames")
        n_wanted = min(config.batch_size, self.config.stop.labels - len(frames))
        seed = _seed(self.config.seed, iteration, 10**6)
        chosen = [pool[k] for k in self._picked(folder, pool, frames, n_wanted, seed)]
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

    def _picked(
        self, folder: Path, pool: list[Atoms], frames: list[Any], n_wanted: int, seed: int
    ) -> Iterable[int]:
        config, regularisation = self.config.selection, self.config.uncertainty.regularisation
        model = Model(folder / "model.pt")
        features = model.mean_features(pool)
        labelled = model.mean_features([f.atoms for f in frames])
        molecules = [atoms.info.get("molecule", "") for atoms in pool]
        if self.config.by_molecule:
            known = {f.molecule for f in frames}
            parts = split_uncertainty(features, molecules, labelled, regularisation)
            between = np.square(parts.molecule).sum() / max(np.square(parts.total).sum(), 1e-300)
            self.progress.tell(
                f"pool: {len(set(molecules))} molecules, {len(set(molecules) - known)} of them "
                f"without a label; {between:.0%} of the total uncertainty (u²) is about molecules, "
                "the rest about their geometries"
            )
        if config.balance is None:
            return select(
                config.method,
                features,
                labelled,
                n_wanted,
                regularisation=regularisation,
                seed=seed,
                groups=molecules,
                per_group=config.per_molecule,
            )
        return select_on_levels(
            config.method,
            features,
            labelled,
            n_wanted,
            pool_molecules=molecules,
            labelled_molecules=[f.molecule for f in frames],
            balance=config.balance,
            per_molecule=config.per_molecule,
            regularisation=regularisation,
            seed=seed,
        )

    def _pool(self, walks: list[Walk], starts: list[LabelledFrame]) -> list[Atoms]:
        """Frames of all walkers, thinned evenly to `max_pool`; crossing frames always stay.

        A frame is of the molecule that its walker started from, however stretched its bonds.
        """
        stride = max(1, -(-sum(len(w.positions) for w in walks) // self.config.selection.max_pool))
        pool = []
        for k, walk in enumerate(walks):
            frames = walk.frames()
            last = len(frames) - 1
            for i, atoms in enumerate(frames):
                if i % stride == 0 or (walk.crossed and i == last):
                    atoms.info = {"walker": k, "timestep": int(walk.timesteps[i])}
                    if self.config.by_molecule:
                        atoms.info["molecule"] = starts[k % len(starts)].molecule
                    pool.append(atoms)
        if not pool:
            failures = sorted({w.failure for w in walks if w.failure})
            raise UserError("; ".join(["the walkers wrote no frame", *failures[:1]]))
        return pool


def _starts(frames: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    """What walkers start from, in turn: the frames that were selected last."""
    newest = max(f.iteration for f in frames)
    return [f for f in frames if f.iteration == newest]


def _seed(*numbers: int) -> int:
    """A positive seed that LAMMPS accepts, from campaign seed, iteration and walker."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0] % 900_000_000) + 1
