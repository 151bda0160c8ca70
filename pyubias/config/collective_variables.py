"""Collective variables: the coordinates of the space whose coverage is reported."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pyubias.config.values import DrawnName, Positive, Range
from pyubias.config.yaml_settings import Section

__all__ = ["CollectiveVariable", "CoordinationNumber"]

# of each kind, with the unit of its values
UNITS = {
    "angle": "°",
    "coordination": "",
    "difference": "Å",
    "dihedral": "°",
    "distance": "Å",
    "function": "",
    "volume": "Å³",
}
# lowest and highest value of kinds that have both
LIMITS = {"angle": (0.0, 180.0), "dihedral": (-180.0, 180.0)}
POSITIVE = ("coordination", "distance", "volume")


def _differ(atoms: list[int]) -> list[int]:
    if len(set(atoms)) < len(atoms):
        raise ValueError("its atoms must differ")
    return atoms


# strict, because true would be atom 1 in lists of lists
Atom = Annotated[int, Field(strict=True, gt=0, le=10**9)]
Pair = Annotated[list[Atom], Field(min_length=2, max_length=2), AfterValidator(_differ)]
Triple = Annotated[list[Atom], Field(min_length=3, max_length=3), AfterValidator(_differ)]
Quadruple = Annotated[list[Atom], Field(min_length=4, max_length=4), AfterValidator(_differ)]


def _is_group(value: Any) -> Any:
    from ase.data import chemical_symbols  # takes a moment, and not every command needs it

    numbers = isinstance(value, list) and len(value) > 0 and all(type(k) is int for k in value)
    if not numbers and value not in chemical_symbols[1:]:
        raise ValueError("wanted a list of atoms, counted from 1, or a chemical symbol")
    return _differ(value) if numbers else value


# one check, because the message about a union would name its members
Group = Annotated[list[Atom] | str, BeforeValidator(_is_group)]
Exponent = Annotated[int, Field(strict=True, gt=0, le=100)]


class CoordinationNumber(Section):
    """How many neighbors atoms have, with a smooth switching function of the distance r.

    A neighbor counts (1 - (r/r0)^n)/(1 - (r/r0)^m): 1 at r = 0, n/m at r = r0, and less than a
    hundredth beyond 2.2 r0 with n = 6 and m = 12. It counts once, at its nearest image.
    """

    atoms: Group = Field(
        description="atoms whose neighbors are counted, or a chemical symbol for all atoms of an "
        "element; of several atoms the mean is taken"
    )
    neighbors: Group = Field(description="atoms that are counted, or a chemical symbol")
    r0: Positive = Field(description="distance at which a neighbor counts n/m, Å")
    n: Exponent = Field(6, description="exponent of the numerator, less than `m`")
    m: Exponent = Field(12, description="exponent of the denominator")

    @model_validator(mode="after")
    def _decays(self) -> "CoordinationNumber":
        if self.n >= self.m:
            raise ValueError(f"n must be less than m, got n = {self.n} and m = {self.m}")
        return self


class CollectiveVariable(Section):
    """One coordinate of the space whose coverage is reported.

    It has one of `angle`, `coordination`, `difference`, `dihedral`, `distance`, `function` and
    `volume`. Atoms are counted from 1; in periodic cells, nearest images count. Variables may
    change at any time: coverage and report follow from frames that are kept.
    """

    name: DrawnName = Field(
        description="its name in tables and pictures, without $, which begins a formula there"
    )
    angle: Triple | None = Field(None, description="the angle of three atoms, at the second one")
    coordination: CoordinationNumber | None = None
    difference: Annotated[list[Pair], Field(min_length=2, max_length=2)] | None = Field(
        None,
        description="the distance of two atoms minus that of two others, as [[1, 2], [3, 2]] of a "
        "proton 2 between 1 and 3",
    )
    dihedral: Quadruple | None = Field(None, description="the dihedral angle of four atoms")
    distance: Pair | None = Field(None, description="the distance of two atoms")
    function: Annotated[str, Field(min_length=1, max_length=1000)] | None = Field(
        None,
        description="import path of a Python function that takes ASE's Atoms and returns a number; "
        "its name where `file` is given",
    )
    file: Path | None = Field(None, description="Python file that defines the function")
    volume: bool = Field(False, description="the volume of the cell")
    range: Range | None = Field(
        None,
        description="lowest and highest value, in degrees, Å or Å³, beyond which frames do not "
        "count; [0, 180] of an angle, [-180, 180] of a dihedral",
    )

    @model_validator(mode="after")
    def _one_kind(self) -> "CollectiveVariable":
        if len(self._kinds()) != 1:
            raise ValueError(f"give exactly one of {', '.join(UNITS)}")
        if self.file is not None and self.function is None:
            raise ValueError("file holds a function: give function")
        if self.range is None and self.kind not in LIMITS:
            raise ValueError("give its range as [low, high]")
        low, high = self.bounds
        least, most = LIMITS.get(self.kind, (low, high))
        if low < least or high > most:
            raise ValueError(
                f"values of this kind lie within [{least:g}, {most:g}], got the range "
                f"[{low:g}, {high:g}]"
            )
        if self.kind in POSITIVE and high <= 0.0:
            raise ValueError(f"no {self.kind} lies in the range [{low:g}, {high:g}]")
        return self

    def _kinds(self) -> list[str]:
        return [kind for kind in UNITS if getattr(self, kind) not in (None, False)]

    @property
    def kind(self) -> str:
        """The key that it has, such as ``dihedral``."""
        return self._kinds()[0]

    @property
    def label(self) -> str:
        """Its name in pictures, with the unit of its values if they have one."""
        symbol = {"phi": "φ", "psi": "ψ"}.get(self.name, self.name)
        return f"{symbol} ({UNITS[self.kind]})" if UNITS[self.kind] else symbol

    @property
    def atoms(self) -> list[int]:
        """The atoms that it depends on by number, counted from 1."""
        if self.coordination is not None:
            groups = (self.coordination.atoms, self.coordination.neighbors)
            return [k for group in groups if not isinstance(group, str) for k in group]
        if self.difference is not None:
            return [k for pair in self.difference for k in pair]
        return self.angle or self.dihedral or self.distance or []

    @property
    def bounds(self) -> tuple[float, float]:
        return self.range or LIMITS.get(self.kind, (0.0, 0.0))
