"""Split conformal calibration: factors with which uncertainties cover the true errors.

Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World (2005); Angelopoulos and
Bates, arXiv:2107.07511, section 2. The guarantee holds only if the calibration set serves no other
purpose.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    "attainable_coverage",
    "calibration_remark",
    "conformal_factor",
    "coverage",
    "shortfall",
    "smallest_calibration",
]

# eV or eV/Å: lower bound of errors and uncertainties: no factor makes an uncertainty of zero cover,
# and a factor of zero calibrates nothing
TINY = 1e-12


def conformal_factor(residuals: ArrayLike, uncertainties: ArrayLike, alpha: float) -> float:
    """The factor f with which |residual| ≤ f u holds with probability at least 1 - α.

    Equation (17) of pyubias/README.md, with the sorted scores s = |residual|/u::

        f = s_(⌈(n + 1)(1 - α)⌉)

    Fewer than 1/α - 1 scores cannot guarantee this coverage with a finite factor. The function
    then returns the largest score, which guarantees `attainable_coverage(n, alpha)`.

    Args:
        residuals: (n,) predicted minus true, any sign.
        uncertainties: (n,) uncalibrated, not negative.
        alpha: α, the fraction of residuals that may be larger than f u, between 0 and 1.

    Returns:
        f > 0.

    Raises:
        ValueError: there are no data, their numbers differ, they are not finite, or alpha is out
            of range.
    """
    errors, u = np.maximum(np.abs(np.ravel(residuals)), TINY), np.ravel(uncertainties)
    n = len(errors)
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must be between 0 and 1, got {alpha}")
    if n == 0 or n != len(u):
        raise ValueError(
            f"calibration needs as many uncertainties as residuals and at least one, got {n} "
            f"residuals and {len(u)} uncertainties"
        )
    if not (np.isfinite(errors).all() and np.isfinite(u).all()):
        raise ValueError("calibration got residuals or uncertainties that are not finite")
    scores = np.sort(errors / np.maximum(u, TINY))
    return float(scores[min(_rank(n, alpha), n) - 1])


def _rank(n: int, alpha: float) -> int:
    """⌈(n + 1)(1 - α)⌉."""
    # floating point often makes an integer (n + 1)(1 - α) a little larger, which adds one rank
    return math.ceil(round((n + 1) * (1.0 - alpha), 9))


def attainable_coverage(n: int, alpha: float) -> float:
    """Coverage that n calibration scores guarantee: at most n/(n + 1)."""
    return min(_rank(n, alpha), n) / (n + 1)


def smallest_calibration(alpha: float) -> int:
    """Number of calibration scores that a coverage of 1 - alpha needs, ⌈1/alpha⌉ - 1."""
    return math.ceil(round(1.0 / alpha, 9)) - 1


def shortfall(group: str, n: int, alpha: float) -> str | None:
    """One line if n structures are too few to calibrate a group to 1 - alpha, else None."""
    promised = attainable_coverage(n, alpha)
    if promised >= 1.0 - alpha - 1e-9:
        return None
    return (
        f"{n} calibration structures of {group} molecules promise a coverage of {promised:.3f} at "
        f"most, wanted {1.0 - alpha:.3f}: it takes {smallest_calibration(alpha)}"
    )


def calibration_remark(name: str, attainable: float | None, alpha: float) -> str | None:
    """One line if an uncertainty is not calibrated for a coverage of 1 - alpha, else None.

    Args:
        name: ``total`` or ``atomic``.
        attainable: coverage that the calibration guarantees, 0 without one, None if unknown.
        alpha: α.
    """
    if attainable is None or attainable >= 1.0 - alpha - 1e-9:
        return None
    if attainable == 0.0:
        wanted = {"atomic": " with forces"}.get(name, "")
        return (
            f"the {name} uncertainty is not calibrated: there are no calibration "
            f"structures{wanted}, and {smallest_calibration(alpha)} are wanted"
        )
    return (
        f"the {name} uncertainty is calibrated for a coverage of {attainable:.2f} only, not "
        f"{1.0 - alpha:.2f}: it takes {smallest_calibration(alpha)} calibration structures"
    )


def coverage(residuals: ArrayLike, uncertainties: ArrayLike) -> float:
    """Fraction of residuals that the calibrated uncertainties cover; nan without data."""
    errors, u = np.abs(np.ravel(residuals)), np.ravel(uncertainties)
    return float(np.mean(errors <= u)) if len(errors) else float("nan")
