import re

import numpy as np
import pytest
from structures import copper, molecule
from walks import breathing, swinging, walk_of

from pyubias.model.prediction import Prediction
from pyubias.report.campaign import cell_figures
from pyubias.report.errors import errors_over_volume


def shaken(n):
    frames = breathing(n)
    for k, atoms in enumerate(frames):
        atoms.rattle(0.1, seed=k)
    return frames


def test_periodic_walkers_have_volumes_and_a_memory_of_them():
    walks = {"biased": [[walk_of(shaken(9)), walk_of(shaken(5))], []], "unbiased": []}
    sections = cell_figures(walks)
    assert [section.heading for section in sections] == [
        "Volumes of the walkers",
        "How long walkers remember",
    ]
    course, _ = sections[0].figure.axes
    assert len(course.lines) == 2
    np.testing.assert_allclose(
        course.lines[0].get_ydata(), [a.get_volume() / 4 for a in breathing(9)]
    )
    volume, positions = sections[1].figure.axes
    assert volume.get_title() == "volume"
    assert positions.get_title() == "positions in the mean cell"


def test_the_caption_has_the_noise_with_which_half_a_sine_wave_is_drawn():
    """Volumes swing with noise of half an amplitude, positions only shake."""
    walks = [walk_of(swinging(seed=k)) for k in range(40)]
    _, section = cell_figures({"biased": [walks]})
    found = re.search(r"biased, volume: s = (\d\.\d\d) \(0\.\d\d\)", section.caption)
    assert found is not None
    assert float(found[1]) == pytest.approx(0.5, abs=0.1)
    assert re.search(r"positions in the mean cell: s > 5 \(0\.\d\d\)\.$", section.caption)
    volume, positions = section.figure.axes
    for axis, text in ((volume, f"s = {found[1]}"), (positions, "s > 5")):
        assert [t.get_text() for t in axis.get_legend().texts] == [f"half a sine wave, {text}"]
        measured, model = (line.get_ydata() for line in axis.lines[:2])
        assert np.sqrt(np.mean((measured - model) ** 2)) < 0.1


def test_without_a_fit_the_caption_has_no_noise_and_the_picture_no_model():
    _, section = cell_figures({"biased": [[walk_of(shaken(5))]]})
    assert section.caption.endswith("over the walkers.")
    assert [len(axis.lines) for axis in section.figure.axes] == [2, 2]  # the curve and zero


def test_crystals_that_stand_still_or_wrote_one_frame_have_no_empty_panel():
    still = [breathing(1)[0]] * 6
    assert cell_figures({"biased": [[walk_of(breathing(1))]]}) == []
    assert [section.heading for section in cell_figures({"biased": [[walk_of(still)]]})] == []


def test_molecules_have_neither():
    assert cell_figures({"biased": [[walk_of([molecule(), molecule(1)])]]}) == []
    assert errors_over_volume([], []) is None


def test_errors_over_volume_are_those_of_the_labels():
    frames = copper(12)
    predictions = [
        Prediction(
            energy=a.info["REF_energy"] + 0.004,
            energies=np.zeros(4),
            forces=a.arrays["REF_forces"] + 0.05,
            stress=a.info["REF_stress"] - 0.001,
            total_uncertainty=1.0,
            atomic_uncertainty=np.ones(4),
            features=np.ones(3),
        )
        for a in frames
    ]
    figure = errors_over_volume(frames, predictions)
    for axis, wanted in zip(figure.axes, (1.0, 50.0, 1.0), strict=True):
        values = axis.lines[0].get_ydata()
        np.testing.assert_allclose(values[np.isfinite(values)], wanted)
