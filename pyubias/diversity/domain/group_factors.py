"""Conformal factors of seen and of unseen molecules.

Calibration structures of the molecules in the training set give no guarantee for other molecules.
The two groups are therefore calibrated apart (Mondrian conformal prediction: Vovk, Gammerman and
Shafer, Algorithmic Learning in a Random World (2005), section 4.5), each by equation (17).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyubias.training.conformal import conformal_factor, coverage

__all__ = ["GroupFactors", "fit_factors"]


@dataclass(frozen=True)
class GroupFactors:
    """Conformal factors, without a unit.

    Attributes:
        seen: factor of molecules in the training set; None without calibration structures of them.
        unseen: factor of other molecules; None without calibration structures of them.
        pooled: factor of all calibration structures together.
    """

    seen: float | None
    unseen: float | None
    pooled: float

    def of(self, seen: ArrayLike) -> NDArray[np.float64]:
        """The factor of each structure; the largest factor where its group has none."""
        fallback = max(f for f in (self.seen, self.unseen, self.pooled) if f is not None)
        factors = [self.unseen, self.seen]
        return np.array(
            [fallback if factors[int(s)] is None else factors[int(s)] for s in np.ravel(seen)],
            dtype=np.float64,
        )

    def coverage(self, residuals: ArrayLike, uncertainties: ArrayLike, seen: ArrayLike) -> float:
        """Fraction of residuals that are at most factor times uncertainty; nan without data."""
        return coverage(residuals, self.of(seen) * np.ravel(uncertainties))


def fit_factors(
    residuals: ArrayLike, uncertainties: ArrayLike, seen: ArrayLike, alpha: float
) -> GroupFactors:
    """Fit the factors of both groups and of all structures together.

    Args:
        residuals: (n,), predicted minus true, any sign.
        uncertainties: (n,), not negative, in the unit of the residuals.
        seen: (n,), whether the training set has the molecule.
        alpha: fraction of residuals that may be larger than factor times uncertainty.
    """
    errors, u, mask = np.ravel(residuals), np.ravel(uncertainties), np.ravel(seen).astype(bool)

    def factor(chosen: NDArray[np.bool_]) -> float | None:
        return conformal_factor(errors[chosen], u[chosen], alpha) if chosen.any() else None

    return GroupFactors(factor(mask), factor(~mask), conformal_factor(errors, u, alpha))
