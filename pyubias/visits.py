"""Where the walkers of runs got to."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyubias.analysis import collective_variables
from pyubias.config import CollectiveVariable
from pyubias.errors import UserError
from pyubias.exploration import Walk, load_walks, values_of_walker
from pyubias.settings import validate
from pyubias.state import read_json

__all__ = ["Threshold", "conditions", "walks_above", "walks_of"]


@dataclass(frozen=True)
class Threshold:
    """A value of a collective variable, written ``volume=1200``."""

    variable: str
    value: float

    @classmethod
    def parse(cls, text: str) -> "Threshold":
        name, _, value = text.partition("=")
        try:
            return cls(name.strip(), float(value))
        except ValueError:
            raise UserError(f"--above wants NAME=VALUE such as volume=1200, got '{text}'") from None


def walks_of(folder: Path) -> Iterator[list[Walk]]:
    """For each iteration of a run, the walks of its walkers."""
    for iteration in sorted((folder / "iterations").glob("[0-9]*")):
        yield load_walks(iteration / "walkers")


def walks_above(folder: Path, above: Threshold) -> list[list[bool | None]]:
    """For each iteration and walker of a run, whether it got above the threshold.

    None where it began above, because it started from a frame of a walk before.
    """
    settings = read_json(folder / "config.json")["evaluation"]["collective_variables"]
    known = {s["name"]: s for s in settings}
    if above.variable not in known:
        raise UserError(
            f"'{folder}' has no collective variable '{above.variable}', "
            f"it has {', '.join(known) or 'none'}"
        )
    variable = validate(CollectiveVariable, known[above.variable], above.variable)

    def got_above(walk: Walk) -> bool | None:
        flags = collective_variables(walk.frames(), [variable])[:, 0] > above.value
        return None if flags[:1].any() else bool(flags.any())

    return [[got_above(walk) for walk in walkers] for walkers in walks_of(folder)]


def conditions(folder: Path, n_walkers: int) -> list[str]:
    """What tells each walker of a run from others, as ``temperature 300.0, pressure -2500.0``.

    Those variables of its script that have a list of values; empty where none has.
    """
    variables = read_json(folder / "config.json")["exploration"].get("variables", {})
    lists = {name: value for name, value in variables.items() if isinstance(value, list)}
    return [
        ", ".join(f"{name} {value}" for name, value in values_of_walker(lists, walker).items())
        for walker in range(n_walkers)
    ]
