"""Conformal scores: errors of models on labels that they had not seen, over their uncertainties."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyubias.files import read_json, write_json
from pyubias.training.conformal import TINY, attainable_coverage, conformal_factor

__all__ = ["Factors", "Scores", "factors_of", "join", "of_batches", "scores_of"]

Array = NDArray[np.float64]


class Scores(NamedTuple):
    """Scores |residual|/u with uncalibrated uncertainties u.

    Attributes:
        total: (structures,), of energies per atom.
        atomic: (atoms,), of the root mean square force error of each atom; none without labels.
        n_with_forces: structures that the atoms belong to. Atoms of one structure are no
            independent scores, so that the structures count.
    """

    total: Array = np.zeros(0)
    atomic: Array = np.zeros(0)
    n_with_forces: int = 0

    def write(self, path: Path) -> None:
        """Write JSON; the file appears only when it is complete."""
        total, atomic = self.total.tolist(), self.atomic.tolist()
        write_json(path, {"total": total, "atomic": atomic, "n_with_forces": self.n_with_forces})

    @classmethod
    def read(cls, path: Path) -> "Scores":
        values = read_json(path)
        total, atomic = np.array(values["total"]), np.array(values["atomic"])
        return cls(total, atomic, values["n_with_forces"])


class Factors(NamedTuple):
    """What calibrates a head, and what that promises.

    Attributes:
        total, atomic: conformal factors; 1 without scores.
        total_attainable, atomic_attainable: coverages that so many structures can promise at most;
            0 of an uncertainty that is not calibrated.
    """

    total: float
    atomic: float
    total_attainable: float
    atomic_attainable: float


def scores_of(residuals: Array, uncertainties: Array) -> Array:
    """|residual|/u, each (n,)."""
    return np.abs(residuals) / np.maximum(uncertainties, TINY)


def join(several: Sequence[Scores]) -> Scores:
    """All scores, in their order."""
    if not several:
        return Scores()
    return Scores(
        np.concatenate([scores.total for scores in several]),
        np.concatenate([scores.atomic for scores in several]),
        sum(scores.n_with_forces for scores in several),
    )


def of_batches(batches: Sequence[Scores], alpha: float) -> Scores:
    """The scores of all batches of a campaign that calibrate its next model.

    Total scores are of all batches: the newest batches may be alike, and their errors then say
    little about other structures. Atomic scores are of the newest batches with 2/α structures:
    those of the first models would make u_i of the last ones too narrow.
    """
    recent = _newest(batches, alpha)
    return Scores(join(batches).total, recent.atomic, recent.n_with_forces)


def _newest(batches: Sequence[Scores], alpha: float) -> Scores:
    """The scores of the last batches that hold 2/α structures together.

    Twice as many as 1 - α needs make the quantile steady.
    """
    chosen: list[Scores] = []
    for batch in reversed(batches):
        if sum(len(scores.total) for scores in chosen) >= 2.0 / alpha:
            break
        chosen.insert(0, batch)
    return join(chosen)


def factors_of(scores: Scores, alpha: float) -> Factors:
    """The conformal factors, equation (17) of pyubias/README.md."""
    n = len(scores.total), scores.n_with_forces if len(scores.atomic) else 0
    factors = [
        conformal_factor(values, np.ones_like(values), alpha) if k else 1.0
        for values, k in zip((scores.total, scores.atomic), n, strict=True)
    ]
    promised = [attainable_coverage(k, alpha) if k else 0.0 for k in n]
    return Factors(*factors, *promised)
