"""The model of correlated motion: its closed form, its estimator, and the noise that it finds."""

import numpy as np
import pytest

from pyubias.analysis.autocorrelation import (
    Autocorrelation,
    autocorrelation,
    mean_autocorrelation,
)
from pyubias.analysis.half_sine import (
    fit_half_sine,
    half_sine_autocorrelation,
    half_sines,
    noise_text,
)


def waves(n_frames: int, noise: float, n_waves: int, seed: int = 0) -> np.ndarray:
    """(frames, waves): half sine waves of any phase, with noise."""
    random = np.random.default_rng(seed)
    time = np.linspace(0.0, 1.0, n_frames)[:, None]
    phase = random.uniform(0.0, 2.0 * np.pi, n_waves)
    return np.sin(np.pi * time + phase) + noise * random.normal(size=(n_frames, n_waves))


def test_without_noise_the_model_is_the_integral_over_the_wave() -> None:
    """By hand: C(T/2) = -4/(π² - 4), and the other lags by the integral of the products."""
    n_lags = 5000
    found = half_sine_autocorrelation(n_lags, 0.0)
    t = np.arange(n_lags) / (2 * n_lags - 1)
    products = 0.5 * np.cos(np.pi * t) - 2 / np.pi**2 * (np.cos(np.pi * t) + t) / (1 - t)
    np.testing.assert_allclose(found, products / products[0], atol=1e-3)
    assert found[-1] == pytest.approx(-4.0 / (np.pi**2 - 4.0), abs=1e-3)


@pytest.mark.parametrize("noise", [0.0, 0.5, 2.0])
def test_the_model_is_what_the_estimator_makes_of_very_many_waves(noise: float) -> None:
    """Short walks, of which the mean takes off much of the noise."""
    measured = autocorrelation(waves(12, noise, 200_000))
    np.testing.assert_allclose(half_sine_autocorrelation(6, noise), measured, atol=0.01)


@pytest.mark.parametrize("noise", [0.1, 0.4, 1.0, 3.0])
def test_the_fit_finds_the_noise_that_was_put_in(noise: float) -> None:
    fit = fit_half_sine(autocorrelation(waves(100, noise, 3000)))
    assert fit is not None
    assert fit.noise == pytest.approx(noise, rel=0.05, abs=0.02)
    assert fit.difference < 0.02


def test_walks_of_one_component_lead_to_nearly_the_same_noise() -> None:
    """Each is divided by its own variance, which depends on its phase."""
    for noise in (0.2, 0.5, 1.0):
        walks = waves(200, noise, 300)
        fit = fit_half_sine(mean_autocorrelation(list(walks.T))[0])
        assert fit is not None
        assert fit.noise == pytest.approx(noise, abs=0.08)


@pytest.mark.parametrize("noise", [0.0, 0.7, 5.0])
def test_the_curve_of_the_model_leads_back_to_its_noise(noise: float) -> None:
    fit = fit_half_sine(half_sine_autocorrelation(40, noise))
    assert fit is not None
    assert fit.noise == pytest.approx(noise, abs=1e-5)
    assert fit.difference == pytest.approx(0.0, abs=1e-7)


def test_no_other_noise_is_closer_to_the_measured_curve() -> None:
    curve = np.exp(-np.arange(50) / 10.0)
    fit = fit_half_sine(curve)
    assert fit is not None
    np.testing.assert_allclose(fit.curve, half_sine_autocorrelation(50, fit.noise))

    def difference(noise: float) -> float:
        missed = curve - half_sine_autocorrelation(50, noise)
        return float(np.sqrt(np.mean(missed[1:] ** 2)))

    assert fit.difference == pytest.approx(difference(fit.noise))
    scanned = np.linspace(0.0, 5.0, 1001)
    best = scanned[np.argmin([difference(noise) for noise in scanned])]
    assert fit.noise == pytest.approx(best, abs=0.006)


def test_noise_alone_is_a_wave_of_almost_no_amplitude() -> None:
    for seed in range(4):
        noise = np.random.default_rng(seed).normal(size=(200, 30))
        fit = fit_half_sine(autocorrelation(noise))
        assert fit is not None
        assert fit.noise > 8.0
        assert np.abs(fit.curve[1:]).max() < 0.02


def test_a_curve_against_every_wave_has_noise_only() -> None:
    against = -half_sine_autocorrelation(10, 0.0)
    fit = fit_half_sine(against)
    assert fit is not None
    assert fit.noise == np.inf
    # the mean of white noise over 20 frames that was taken off
    assert fit.curve.tolist() == [1.0] + [pytest.approx(-1 / 19)] * 9


def test_a_curve_of_two_lags_has_no_model() -> None:
    assert fit_half_sine(np.array([1.0, 0.5])) is None
    assert fit_half_sine(np.zeros(0)) is None


def test_curves_that_are_too_short_have_no_fit_among_the_others() -> None:
    curve = half_sine_autocorrelation(9, 0.5)
    long = Autocorrelation(np.arange(9.0), curve, np.zeros(9))
    short = Autocorrelation(np.arange(2.0), curve[:2], np.zeros(2))
    fits = half_sines({"biased": {"volume": long, "positions": short}, "other": {"volume": short}})
    assert fits["other"] == {}
    assert list(fits["biased"]) == ["volume"]
    assert fits["biased"]["volume"].noise == pytest.approx(0.5)


def test_noise_is_named_in_amplitudes_up_to_five() -> None:
    assert noise_text(0.4) == "s = 0.40"
    assert noise_text(12.0) == noise_text(np.inf) == "s > 5"
