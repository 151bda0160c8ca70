"""Which walks cross a value of a collective variable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyubias.analysis.collective_variables import collective_variables
from pyubias.config.schema import CollectiveVariable
from pyubias.errors import UserError
from pyubias.lammps.walk import Walk
from pyubias.lammps.walker import values_of_walker

__all__ = ["Threshold", "conditions"]


@dataclass(frozen=True)
class Threshold:
    """A value of a collective variable, written ``volume=1200``."""

    variable: str
    value: float

    @classmethod
    def parse(cls, text: str) -> "Threshold":
        """Read the notation of the command line.

        Raises:
            UserError: the text is not a name and a number.
        """
        name, _, value = text.partition("=")
        try:
            return cls(name.strip(), float(value))
        except ValueError:
            raise UserError(f"--above wants NAME=VALUE such as volume=1200, got '{text}'") from None

    def variable_among(self, variables: Sequence[CollectiveVariable]) -> CollectiveVariable:
        """The collective variable that the threshold is about.

        Raises:
            UserError: it is not among them.
        """
        for variable in variables:
            if variable.name == self.variable:
                return variable
        known = ", ".join(variable.name for variable in variables) or "none"
        raise UserError(f"no collective variable is called '{self.variable}', there are: {known}")

    def crossed_by(self, walk: Walk, variable: CollectiveVariable) -> bool | None:
        """Whether a walk got above the value; None if it began above."""
        above = collective_variables(walk.frames(), [variable])[:, 0] > self.value
        return None if above[:1].any() else bool(above.any())


def conditions(variables: Mapping[str, Any], n_walkers: int) -> list[str]:
    """The conditions of each walker, such as ``temperature 300.0, pressure -2500.0``.

    Args:
        variables: of the walkers' script. Those with a list of values differ between walkers;
            without one, conditions are empty.
        n_walkers: number of walkers.
    """
    lists = {name: value for name, value in variables.items() if isinstance(value, list)}
    return [
        ", ".join(f"{name} {value}" for name, value in values_of_walker(lists, walker).items())
        for walker in range(n_walkers)
    ]
