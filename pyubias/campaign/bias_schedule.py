"""Strengths of the bias that follow what the walkers find.

A walker that reaches its last step stays where the potential is sure of itself, and gets a stronger
bias in the next iteration; one that stops at once has no time to explore, and gets a weaker one.
"""

from collections.abc import Sequence
from typing import Any

from pyubias.config.exploration import ExplorationConfig
from pyubias.lammps.walk import Walk
from pyubias.lammps.walker import script_variables

__all__ = ["EARLY", "scaled", "strengths_after"]

# of the steps of a walk: a walker that stops before has hardly left its start
EARLY = 0.1
STRENGTHS = ("tau", "tau_stress")


def strengths_after(walks: Sequence[Walk], config: ExplorationConfig) -> list[float]:
    """Factors of `tau` and `tau_stress` of each walker, after the walks of an iteration.

    Args:
        walks: in the order of their walkers; none before the first iteration.
    """
    known = [_after(walk, k, config) for k, walk in enumerate(walks[: config.walkers])]
    return known + [1.0] * (config.walkers - len(known))


def _after(walk: Walk, walker: int, config: ExplorationConfig) -> float:
    schedule = config.tau_schedule
    if schedule is None:
        return 1.0
    strength, steps = walk.strength, script_variables(config, walker)["steps"]
    if not (walk.crossed or walk.failure):
        strength *= schedule.factor
    elif walk.steps < EARLY * steps:
        strength /= schedule.factor
    return min(max(strength, 1.0 / schedule.largest), schedule.largest)


def scaled(config: ExplorationConfig, strength: float) -> ExplorationConfig:
    """The settings with another strength of the bias, also where each walker has its own."""

    def times(value: Any) -> Any:
        return [strength * x for x in value] if isinstance(value, list) else strength * value

    if strength == 1.0:
        return config
    variables = {
        name: times(value) if name in STRENGTHS else value
        for name, value in config.variables.items()
    }
    changed = {name: strength * getattr(config, name) for name in STRENGTHS}
    return config.model_copy(update={**changed, "variables": variables})
