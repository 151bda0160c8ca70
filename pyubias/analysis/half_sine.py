"""The model of a correlated walk: half a sine wave over its length, with noise."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyubias.analysis.autocorrelation import Autocorrelation, autocovariance

__all__ = [
    "HalfSine",
    "fit_half_sine",
    "half_sine_autocorrelation",
    "half_sines",
    "noise_text",
]

Array = NDArray[np.float64]
SHORTEST = 3  # lags; a fit to fewer has no point to miss
LARGEST = 5.0  # noise, above which the wave is less than two percent of the variance


class HalfSine(NamedTuple):
    """The model that is next to an autocorrelation function.

    Attributes:
        noise: standard deviation s of the noise, in amplitudes of the wave; inf without a wave.
        curve: (lags,), the autocorrelation of the model.
        difference: root mean square of measured minus model, without lag 0.
    """

    noise: float
    curve: Array
    difference: float


def half_sine_autocorrelation(n_lags: int, noise: float) -> Array:
    """Autocorrelation of half a sine wave with noise, equation (25) of pyubias/README.md.

    A walk of n frames and length T, whose mean is taken off as in `autocorrelation`, has::

        x(t) = sin(π t/T + φ) + s η(t)
        C(t) = (A(t) - s²/n)/(A(0) + s² (1 - 1/n)),   t > 0

    A is the autocovariance of the wave, which is averaged over its phase φ. η has unit variance,
    and C is the mean of the products over the noise and the phase, divided by that of the squares.
    The 1/n is the part of the noise that its mean takes off.

    Args:
        n_lags: lags, to half the length of the walk: n = 2 n_lags.
        noise: s, in amplitudes of the wave.

    Returns:
        (n_lags,).
    """
    n = 2 * n_lags
    wave = _wave_autocovariance(n)
    found = (wave - noise**2 / n) / (wave[0] + noise**2 * (1.0 - 1.0 / n))
    found[0] = 1.0
    return found


def fit_half_sine(curve: Array) -> HalfSine | None:
    """The noise with which half a sine wave is closest to a measured autocorrelation.

    The sum of squared differences without lag 0 is the least. With b = 1/(n - 1), equation (25) is
    C + b = w (A + b A(0)) with one unknown w = 1/(A(0) + s² (1 - 1/n)), for which least squares has
    a closed form. The curve of a series with one component is a mean over walks that are divided by
    their own variance, not by that of all phases; s is then up to 0.1 too large.

    Args:
        curve: (lags,) from lag 0 to half the length of the walk.

    Returns:
        None for fewer than three lags.
    """
    n_lags = len(curve)
    if n_lags < SHORTEST:
        return None
    n = 2 * n_lags
    wave, b = _wave_autocovariance(n), 1.0 / (n - 1)
    x, y = wave[1:] + b * wave[0], curve[1:] + b
    # noise has a positive variance
    w = min(float(x @ y / (x @ x)), 1.0 / wave[0])
    if w <= 0.0:
        noise, model = np.inf, np.concatenate([[1.0], np.full(n_lags - 1, -b)])
    else:
        noise = float(np.sqrt((1.0 / w - wave[0]) / (1.0 - 1.0 / n)))
        model = half_sine_autocorrelation(n_lags, noise)
    return HalfSine(noise, model, float(np.sqrt(np.mean((curve - model)[1:] ** 2))))


def half_sines(
    curves: Mapping[str, Mapping[str, Autocorrelation]],
) -> dict[str, dict[str, HalfSine]]:
    """The fits to the curves of each arm and quantity; curves that are too short have none."""
    fits = {
        arm: {quantity: fit_half_sine(curve.mean) for quantity, curve in of_arm.items()}
        for arm, of_arm in curves.items()
    }
    return {
        arm: {quantity: fit for quantity, fit in of_arm.items() if fit is not None}
        for arm, of_arm in fits.items()
    }


def noise_text(noise: float) -> str:
    """The noise in amplitudes of the wave, as ``s = 0.40``; a bound where there is no wave."""
    return f"s = {noise:.2f}" if noise <= LARGEST else f"s > {LARGEST:g}"


def _wave_autocovariance(n: int) -> Array:
    """A of equation (25), (n // 2,), by the estimator that the measured curve is made with."""
    angle = np.linspace(0.0, np.pi, n)
    # the mean over φ of sin(x + φ) sin(y + φ) is that of sin x sin y and cos x cos y
    return 0.5 * autocovariance(np.column_stack([np.sin(angle), np.cos(angle)]))
