"""One walker of a campaign, on ranks of the campaign or in a job."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ase import Atoms

from pyubias.campaign.bias_schedule import EARLY, scaled
from pyubias.config.exploration import ExplorationConfig
from pyubias.errors import UserError
from pyubias.interruption import time_limit
from pyubias.lammps.walk import Walk, load_walk
from pyubias.lammps.walker import AbandonedWalk, read_walk, run_walker, script_variables
from pyubias.parallel import Ranks

__all__ = ["WalkTask", "stopped_at_once"]

KEPT_AS_FAILED = "the walk is kept as failed: run the same command to go on"


@dataclass(frozen=True)
class WalkTask:
    """A walk, which depends on nothing but these attributes.

    Attributes:
        iteration: that it belongs to.
        walker: its number.
        config: of the exploration.
        model: file of the potential.
        elements: chemical symbols in type order.
        start: where it begins.
        seed: of LAMMPS' random numbers.
        folder: in which LAMMPS runs.
        output: file of the walk.
        ranks: that share it.
        strength: factor of the strengths of its bias.
    """

    iteration: int
    walker: int
    config: ExplorationConfig
    model: Path
    elements: list[str]
    start: Atoms
    seed: int
    folder: Path
    output: Path
    ranks: int
    strength: float = 1.0

    @property
    def name(self) -> str:
        return f"walk-{self.iteration:04d}-{self.walker:02d}"

    def run(self, ranks: Ranks | None) -> None:
        """Walk and write the output; all ranks of the group call it.

        Raises:
            UserError: one rank of several failed, for which the others wait.
        """
        group = ranks or Ranks()
        limit = self.config.timeout
        if group.is_root:
            self.folder.mkdir(parents=True, exist_ok=True)

        def end_late() -> str:
            failure = f"took longer than exploration.timeout = {limit:g} s"
            self._keep(read_walk(self.start, self.folder, 0, failure, self.config.guard))
            return f"walker {self.walker} {failure}; {KEPT_AS_FAILED}"

        try:
            with time_limit(limit if group.is_root else None, end_late):
                walk = run_walker(
                    scaled(self.config, self.strength),
                    self.walker,
                    self.model,
                    self.elements,
                    self.start,
                    self.seed,
                    self.folder,
                    group.communicator if group.size > 1 else None,
                    group.is_root,
                )
        except AbandonedWalk as abandoned:
            self._keep(abandoned.walk)
            # raised by this rank alone, the error ends the ranks that wait for it as well
            raise UserError(
                f"walker {self.walker} failed on one of its {group.size} ranks ({abandoned}), and "
                f"the others wait for it; {KEPT_AS_FAILED}"
            ) from abandoned
        if group.is_root:
            self._keep(walk)
            for dump in self.folder.glob("*.dump"):
                dump.unlink()

    def _keep(self, walk: Walk) -> None:
        replace(walk, strength=self.strength).save(self.output)

    def describe(self) -> str:
        """How the walk ended."""
        walk = load_walk(self.output)
        bias = "" if self.strength == 1.0 else f", bias × {self.strength:.3g}"
        return f"walker {self.walker}: {walk.steps} steps, {_ending(walk)}{bias}"


def _ending(walk: Walk) -> str:
    if walk.failure:
        return f"failed: {walk.failure}"
    return "crossed" if walk.crossed else "ended"


def stopped_at_once(walks: Sequence[Walk], config: ExplorationConfig) -> str | None:
    """A line on what helps if no walk of an iteration got beyond its first tenth, else None."""
    longest = max((walk.steps for walk in walks), default=0)
    steps = max(script_variables(config, k)["steps"] for k in range(config.walkers))
    failed = sum(bool(walk.failure) for walk in walks)
    crossed = sum(walk.crossed and not walk.failure for walk in walks)
    if not walks or longest >= EARLY * steps or crossed + failed < len(walks):
        return None
    tau = " or a smaller exploration.tau" if config.tau > 0.0 else ""
    helps = []
    if crossed:
        helps.append(
            "usual with few labels, and if it goes on, a larger exploration.threshold"
            f"{tau} lets walkers go farther"
        )
    if failed:
        helps.append(f"walkers that fail need a shorter time step, more labels to start with{tau}")
    return (
        f"all {len(walks)} walkers stopped within {longest} of {steps} steps ({crossed} crossed, "
        f"{failed} failed): {'; '.join(helps)}"
    )
