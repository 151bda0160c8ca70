"""Geometries from uncertainty-biased dynamics in LAMMPS, with one potential for all molecules."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from pyubias.config.exploration import ExplorationConfig
from pyubias.config.yaml_settings import validate
from pyubias.diversity.study.config import StudyConfig
from pyubias.diversity.study.plan import Frame
from pyubias.lammps.walker import run_walker
from pyubias.parallel import Ranks, own_communicator
from pyubias.training.export import export
from pyubias.training.train import train

__all__ = ["BiasedWalkers"]


class BiasedWalkers:
    """One walker for each molecule; all ranks make this object, and each walks some molecules.

    Args:
        config: settings of the study, with a section ``pool.biased``.
        folder: folder of the model and of the walkers.
        labelled: labelled structures of the other sources.
        ranks: all ranks; the root trains the potential.
    """

    def __init__(
        self, config: StudyConfig, folder: Path, labelled: Mapping[Frame, Atoms], ranks: Ranks
    ) -> None:
        assert config.pool.biased is not None
        self.config = config
        self.biased = config.pool.biased
        self.folder = folder
        self.model = folder / "walker.pt"
        # by number, so that the potential is trained on as many molecules as possible
        training = (f for f in labelled if f.kind == "train")
        frames = sorted(training, key=lambda f: (f.number, f.molecule))
        # reversed, so that a molecule starts from its first geometry
        self.starts = {f.molecule: labelled[f] for f in reversed(frames)}
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

    def walk(self, molecule: int, frames: Sequence[Frame]) -> Iterator[tuple[Frame, Atoms]]:
        """Geometries for the frames at equal intervals of a walk.

        Raises:
            ValueError: the walk is too short for all frames; those that it is long enough for come
                before.
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
        # frame 0 of the walk is the start, which has a label
        n = min(len(frames), len(walked) - 1)
        picks = np.linspace(0, len(walked) - 1, n + 1).round().astype(int)[1:]
        for frame, k in zip(frames, picks, strict=False):
            yield frame, walked[k]
        if n < len(frames):
            raise ValueError(walk.failure or f"its walk ended after {walk.steps} steps")
