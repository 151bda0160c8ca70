"""The select stage: from the walks of an iteration to the frames that the next one labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pyubias.campaign.given_labels import is_given
from pyubias.campaign.label_store import LabelledFrame
from pyubias.campaign.molecule_kernel import select_on_levels, split_uncertainty
from pyubias.campaign.run_folder import IterationFolder
from pyubias.campaign.seeds import seed_of
from pyubias.campaign.selection import select
from pyubias.campaign.structures import open_candidates
from pyubias.config.schema import CampaignConfig
from pyubias.errors import UserError
from pyubias.files import write_with
from pyubias.lammps.walk import Walk
from pyubias.model.prediction import Model
from pyubias.training.splits import split_frames

__all__ = ["SelectStage", "read_selection", "starts_of"]

# of `seed_of`; walkers are numbered from 0, so that this seed differs from all of theirs
NUMBER = 10**6


@dataclass(frozen=True)
class SelectStage:
    """One selection of a campaign. It depends on its attributes and the files of its iteration.

    Attributes:
        config: of the arm.
        iteration: whose walks are selected from.
        frames: all labelled frames so far, without those whose label failed.
        tried: the same with those whose label failed.
        n_labels: rows of the label database.
        n_late: frames whose labels are still being made.
        start, candidates: structures that the arm starts from, and further molecules, as `Inputs`
            holds them.
        folder: of the iteration; has the walks and the model, gets the selection.
    """

    config: CampaignConfig
    iteration: int
    frames: Sequence[LabelledFrame]
    tried: Sequence[LabelledFrame]
    n_labels: int
    n_late: int
    start: Sequence[Atoms]
    candidates: Sequence[Atoms]
    folder: IterationFolder

    def pool(self) -> list[Atoms]:
        """The frames to select from: those of the walks, and the candidates without a label.

        Raises:
            UserError: the walkers wrote no frame; their walks are removed.
        """
        walks = self.folder.walks()
        pool = _pool(walks, starts_of(self.frames, self.start), self.config)
        if not pool:
            # they are run again by the same command, when their script is right
            for k in range(len(walks)):
                self.folder.walk(k).unlink(missing_ok=True)
            failures = sorted({w.failure for w in walks if w.failure})
            raise UserError("; ".join(["the walkers wrote no frame", *failures[:1]]))
        return pool + open_candidates(self.candidates, self.tried)

    def select(self, pool: Sequence[Atoms], say: Callable[[str], None]) -> None:
        """Write the most informative frames of the pool, given all labelled frames.

        Args:
            pool: of this stage.
            say: called with a line about the molecules of the pool.
        """
        chosen = [pool[k] for k in self._pick(pool, say)]
        training = self.config.training
        splits = split_frames(
            len(chosen),
            training.validation,
            # all but the first labels calibrate before they are trained on
            0.0 if self.frames else training.calibration,
            self.config.seed,
            n_before=self.n_labels + self.n_late,
        )
        predictions = Model(self.folder.model).predict(chosen)
        for atoms, split, predicted in zip(chosen, splits, predictions, strict=True):
            atoms.info.update(
                iteration=self.iteration + 1,
                split=split,
                uncertainty=float(predicted.total_uncertainty),
            )
        write_with(
            self.folder.selection, lambda p: ase.io.write(p, chosen) if chosen else p.touch()
        )

    def _pick(self, pool: Sequence[Atoms], say: Callable[[str], None]) -> NDArray[np.int64]:
        config, regularisation = self.config.selection, self.config.uncertainty.regularisation
        n_open = self.config.stop.labels - len(self.frames) - self.n_late
        batch_size = max(0, min(config.batch_size, n_open))
        seed = seed_of(self.config.seed, self.iteration, NUMBER)
        model = Model(self.folder.model)
        features = model.mean_features(pool)
        labelled = model.mean_features([f.atoms for f in self.frames])
        molecules = [atoms.info.get("molecule", "") for atoms in pool]
        if self.config.by_molecule and self.frames:
            known = {f.molecule for f in self.frames}
            parts = split_uncertainty(features, molecules, labelled, regularisation)
            between = np.square(parts.molecule).sum() / max(np.square(parts.total).sum(), 1e-300)
            say(
                f"pool: {len(set(molecules))} molecules, {len(set(molecules) - known)} of them "
                f"without a label; {between:.0%} of the total uncertainty (u²) is about molecules, "
                "the rest about their geometries"
            )
        if config.balance is None:
            return select(
                config.method,
                features,
                labelled,
                batch_size,
                regularisation=regularisation,
                seed=seed,
                groups=molecules,
                per_group=config.per_molecule,
            )
        return select_on_levels(
            config.method,
            features,
            labelled,
            batch_size,
            pool_molecules=molecules,
            labelled_molecules=[f.molecule for f in self.frames],
            balance=config.balance,
            per_molecule=config.per_molecule,
            regularisation=regularisation,
            seed=seed,
        )


def _pool(
    walks: Sequence[Walk], starts: Sequence[LabelledFrame], config: CampaignConfig
) -> list[Atoms]:
    """Frames of all walkers, thinned evenly to `max_pool`; crossing frames always stay.

    A frame counts as the molecule that its walker started from, however stretched its bonds.
    """
    n_frames = sum(len(w.positions) for w in walks)
    stride = max(1, -(-n_frames // config.selection.max_pool))
    pool = []
    for k, walk in enumerate(walks):
        frames = walk.frames()
        last = len(frames) - 1
        for i, atoms in enumerate(frames):
            if i % stride == 0 or (walk.crossed and i == last):
                atoms.info = {"walker": k, "timestep": int(walk.timesteps[i])}
                if config.by_molecule:
                    atoms.info["molecule"] = starts[k % len(starts)].molecule
                pool.append(atoms)
    return pool


def starts_of(frames: Sequence[LabelledFrame], start: Sequence[Atoms]) -> list[LabelledFrame]:
    """The structures that walkers start from, in turn: the frames that were selected last.

    Before any is selected, they are the labelled copies of the start structures, else the start
    structures themselves, else the labelled structures that the campaign was given.
    """
    own = [f for f in frames if not is_given(f)]
    if not own and not start:
        several = [f for f in frames if len(f.atoms) > 1]
        # not only the first ones, which may be alike
        order = np.random.default_rng(0).permutation(len(several))
        return [several[k] for k in order]
    if not own:
        molecules = [atoms.info.get("molecule", "") for atoms in start]
        bare = [Atoms(a.numbers, a.positions, cell=a.cell, pbc=a.pbc) for a in start]
        rows = zip(bare, molecules, strict=True)
        return [LabelledFrame("", 0, "", -1, atoms, "", molecule) for atoms, molecule in rows]
    newest = max(f.iteration for f in own)
    return [f for f in own if f.iteration == newest]


def read_selection(path: Path) -> list[Atoms]:
    """The frames that a select stage wrote.

    Raises:
        UserError: the file is damaged.
    """
    if path.stat().st_size == 0:
        return []
    try:
        frames: list[Atoms] = ase.io.read(path, index=":")
    except Exception as error:  # ASE's reader raises whatever it meets
        raise UserError(
            f"'{path}' is damaged ({type(error).__name__}): remove it, and the same command makes "
            "it again"
        ) from error
    return frames
