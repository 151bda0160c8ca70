"""Half sine waves that are fitted to autocorrelations, in a sentence and in a table."""

from collections.abc import Mapping

from pyubias.analysis.half_sine import HalfSine, noise_text

__all__ = ["rows_of_fits", "sentence_of_fits"]

Fits = Mapping[str, Mapping[str, HalfSine]]  # for each arm and quantity


def sentence_of_fits(fits: Fits) -> str:
    """What is dashed, with the noise of each line and what it is off by; empty without fits."""
    found = [
        f"{arm}, {quantity}: {_cell(fit)}"
        for arm, of_arm in fits.items()
        for quantity, fit in of_arm.items()
    ]
    if not found:
        return ""
    return (
        "Dashed lines are those of walks that move like half a sine wave, with noise of a fitted "
        "standard deviation s in amplitudes of the wave (in parentheses the root mean square "
        f"difference): {'; '.join(found)}."
    )


def rows_of_fits(fits: Fits) -> list[list[str]]:
    """A header, and for each arm the noise of each quantity and what the fit is off by."""
    quantities = list(dict.fromkeys(q for of_arm in fits.values() for q in of_arm))
    rows = [
        [arm, *(_cell(of_arm[q]) if q in of_arm else "–" for q in quantities)]
        for arm, of_arm in fits.items()
    ]
    return [["arm", *quantities], *rows]


def _cell(fit: HalfSine) -> str:
    return f"{noise_text(fit.noise)} ({fit.difference:.2f})"
