"""Geometries from uncertainty-biased dynamics in LAMMPS, of a potential for all molecules."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from pyubias.config.schema import ExplorationConfig
from pyubias.config.yaml_settings import validate
from pyubias.diversity.study.config import StudyConfig
from pyubias.diversity.study.plan import Frame
from pyubias.lammps.walker import run_walker
from pyubias.parallel import Ranks, own_communicator
from pyubias.training.export import export
from pyubias.training.train import train

__all__ = ["BiasedWalkers"]


class BiasedWalkers:
    """One walker for each molecule; every rank makes this, and walks for molecules of its own.

    Args:
        config: of the study, with a section ``pool.biased``.
        folder: for the model and what the walkers leave.
        labelled: frames of the other sources, with labels.
        ranks: all of them.
    """

    def __init__(
        self, config: StudyConfig, folder: Path, labelled: Mapping[Frame, Atoms], ranks: Ranks
    ) -> None:
        assert config.pool.biased is not None
        self.config = config
        self.biased = config.pool.biased
        self.folder = folder
        self.model = folder / "walker.pt"
        # the first geometries of all molecules come before the second ones
        frames = sorted((f for f in labelled if f[1] == "train"), key=lambda f: (f[2], f[0]))
        self.starts = {f[0]: labelled[f] for f in reversed(frames)}
        chosen = [labelled[f] for f in frames[: self.biased.labels]]
        ranks.on_root(lambda: self._train(chosen))

    def _train(self, frames: Sequence[Atoms]) -> None:
        if self.model.is_file():
            return
        config = self.config
        trained = train(
            frames, config.model, config.training, config.uncertainty, elements=config.pool.elements
        )
        export(trained, self.model, "float32")

    def walk(
        self, molecule: int, frames: Sequence[tuple[Frame, str]]
    ) -> Iterator[tuple[Frame, Atoms]]:
        """A geometry for each frame, evenly over the walk.

        Raises:
            ValueError: after those that the walk is long enough for, if it is not for all.
        """
        if molecule not in self.starts:
            raise ValueError("none of its geometries has a label to walk from")
        fields = {
            **self.biased.model_dump(exclude={"labels"}),
            "every": max(1, self.biased.steps // (4 * len(frames))),
            "variables": {"temperature": self.config.pool.temperature},
        }
        exploration: ExplorationConfig = validate(ExplorationConfig, fields, "pool.biased")
        folder = self.folder / "walkers" / f"{molecule:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        walk = run_walker(
            exploration,
            molecule,
            self.model,
            self.config.pool.elements,
            self.starts[molecule],
            1 + (1000 * self.config.seed + molecule) % 900_000_000,
            folder,
            own_communicator(),
        )
        walked = walk.frames()
        # the first frame is the start, which has a label
        n = min(len(frames), len(walked) - 1)
        picks = np.linspace(0, len(walked) - 1, n + 1).round().astype(int)[1:]
        for (frame, _), k in zip(frames, picks, strict=False):
            yield frame, walked[k]
        if n < len(frames):
            raise ValueError(walk.failure or f"its walk ended after {walk.steps} steps")
