"""Comparison of a converted model with the ASE calculator of its own package."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pyubias.errors import UserError
from pyubias.model.prediction import Prediction
from pyubias.wrap.convert import Body

__all__ = ["Deviation", "self_test"]

# largest deviation from the package's own calculator, relative to the largest value, or to one
TOLERANCE = {"float64": 1e-7, "float32": 3e-5}


@dataclass(frozen=True)
class Deviation:
    """Largest deviations from the package's own calculator.

    Attributes:
        energy: eV/atom.
        forces: eV/Å.
        stress: eV/Å³; 0 without periodic structures.
    """

    energy: float
    forces: float
    stress: float


def self_test(body: Body, predictions: Sequence[Prediction]) -> Deviation:
    """Compare predictions of the converted model with `body.expected`.

    Raises:
        UserError: they differ by more than rounding.
    """
    worst = {"energy": 0.0, "forces": 0.0, "stress": 0.0}
    for name in worst:
        pairs = [
            _pair(name, predicted, wanted)
            for predicted, wanted in zip(predictions, body.expected, strict=True)
            if predicted.stress is not None or name != "stress"
        ]
        scale = max([1.0, *(float(np.abs(wanted).max()) for _, wanted in pairs)])
        worst[name] = max([0.0, *(float(np.abs(got - wanted).max()) for got, wanted in pairs)])
        # `not <=` because a nan must not pass
        if not worst[name] <= TOLERANCE[body.dtype] * scale:
            raise UserError(
                f"the converted model differs from the ASE calculator of {body.package}: {name} by "
                f"{worst[name]:.2g}, wanted at most {TOLERANCE[body.dtype] * scale:.2g}"
            )
    return Deviation(**worst)


def _pair(
    name: str, predicted: Prediction, wanted: dict[str, object]
) -> tuple[np.ndarray, np.ndarray]:
    found = np.array(getattr(predicted, name), dtype=float)
    expected = np.array(wanted[name], dtype=float)
    if name == "energy":
        n_atoms = len(predicted.energies)
        return found / n_atoms, expected / n_atoms
    return found, expected
