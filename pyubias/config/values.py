"""Types of the values in files of settings, with limits beyond which a run could not go on.

The upper limits are far above what anybody needs, and below what memory, the integers of LAMMPS or
the time of a person allow.
"""

import json
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

__all__ = [
    "Arguments",
    "Count",
    "DrawnName",
    "Elements",
    "NonNegative",
    "Positive",
    "Range",
    "Rate",
    "RunName",
    "Scalars",
    "Seconds",
    "Seed",
    "Steps",
    "Strength",
    "Variables",
]

Count = Annotated[int, Field(gt=0, le=10**6)]
# two in sum fit into the 32-bit integers of LAMMPS
Steps = Annotated[int, Field(gt=0, le=10**9)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
# ratios of a bias to what it biases
Strength = Annotated[float, Field(ge=0.0, le=100.0)]
Positive = Annotated[float, Field(gt=0.0, le=1e12)]
NonNegative = Annotated[float, Field(ge=0.0, le=1e12)]
# learning rates
Rate = Annotated[float, Field(gt=0.0, le=10.0)]
# poll(2) counts milliseconds in 32 bits
Seconds = Annotated[float, Field(gt=0.0, le=2e6)]
LARGEST_VARIABLE = 1e15
LONGEST_TEXT = 1000


def _is_no_dots(name: str) -> str:
    if name.strip(".") == "":
        raise ValueError("a name of dots is another folder than that of the run")
    return name


RunName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=100), AfterValidator(_is_no_dots)
]


def _can_be_drawn(name: str) -> str:
    if not name.strip() or not name.isprintable() or "$" in name:
        raise ValueError("a name is printable and without $, which begins a formula in pictures")
    return name


DrawnName = Annotated[str, Field(max_length=100), AfterValidator(_can_be_drawn)]


def _are_elements(symbols: list[str]) -> list[str]:
    from ase.data import chemical_symbols  # takes a moment, and not every command needs it

    for k, symbol in enumerate(symbols):
        if symbol not in chemical_symbols[1:]:
            raise ValueError(f"{symbol!r} is no chemical symbol")
        if symbol in symbols[:k]:
            raise ValueError(f"'{symbol}' is listed twice")
    return symbols


Elements = Annotated[list[str], Field(min_length=1), AfterValidator(_are_elements)]


def _is_scalar(value: Any) -> None:
    if isinstance(value, bool):
        raise ValueError(f"write '{'yes' if value else 'no'}' in quotes if LAMMPS compares text")
    if isinstance(value, int | float):
        if not abs(value) <= LARGEST_VARIABLE:  # so that nan is refused as well
            raise ValueError(f"a number must lie within ±{LARGEST_VARIABLE:g}")
    elif not isinstance(value, str):
        raise ValueError("wanted a number or text")
    elif not (0 < len(value) <= LONGEST_TEXT and value.isprintable()):
        raise ValueError(f"text must be one line of 1 to {LONGEST_TEXT} characters")


def _scalar(value: Any) -> Any:
    _is_scalar(value)
    return value


def _variable(value: Any) -> Any:
    if value == []:
        raise ValueError("a list must hold one value or more")
    for item in value if isinstance(value, list) else [value]:
        _is_scalar(item)
    return value


# value of a variable of a LAMMPS script
Scalar = Annotated[int | float | str, BeforeValidator(_scalar)]
# the same for all walkers, or in turn
Variable = Annotated[int | float | str | list[int | float | str], BeforeValidator(_variable)]


def _have_names(variables: dict[str, Any]) -> dict[str, Any]:
    for name in variables:
        if not re.fullmatch(r"[A-Za-z0-9_]{1,100}", name):
            raise ValueError(
                f"a variable's name has letters, digits and underscores only, got {name!r}"
            )
    return variables


Scalars = Annotated[dict[str, Scalar], AfterValidator(_have_names)]
Variables = Annotated[dict[str, Variable], AfterValidator(_have_names)]


def _can_be_kept(arguments: dict[str, Any]) -> dict[str, Any]:
    # config.json keeps them, to be compared when the run goes on
    try:
        json.dumps(arguments, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"wanted finite numbers, text, lists and mappings: {error}") from error
    return arguments


Arguments = Annotated[dict[str, Any], AfterValidator(_can_be_kept)]


def _is_ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = bounds
    if not low < high:
        raise ValueError("wanted [low, high] with low < high")
    return bounds


Limit = Annotated[float, Field(ge=-1e9, le=1e9)]
Range = Annotated[tuple[Limit, Limit], AfterValidator(_is_ordered)]
