"""Pictures show the numbers that they are made of: laws of the values in their axes."""

from dataclasses import replace

import numpy as np
import pytest
from walks import breathing, walk_of

from pyubias.analysis.autocorrelation import Autocorrelation
from pyubias.analysis.half_sine import HalfSine
from pyubias.analysis.residuals import Residuals
from pyubias.campaign.record import Record
from pyubias.config.schema import CollectiveVariable
from pyubias.lammps.walk import Walk
from pyubias.report import figures

law = pytest.mark.law
RECORDS = [
    Record(
        iteration=k,
        n_labels=10 + 4 * k,
        coverage=0.1 * k + 0.05,
        energy_rmse=None if k == 1 else 0.003 / (k + 1),
        forces_rmse=0.2 / (k + 1),
        stress_rmse=0.004 / (k + 1),
        conformal_coverage=None if k == 2 else 0.9 + 0.01 * k,
        conformal_coverage_total=0.5,
        test_conformal_coverage=0.4,
        seconds={"label": 1.0 + k, "train": 10.0, "evaluate": 0.5, "explore": 20.0, "select": 2.0},
    )
    for k in range(3)
]


def points(line) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]


def test_learning_curves_are_coverage_and_errors_over_labels():
    coverage, energy, forces, stress = figures.learning_figure({"biased": RECORDS}).axes
    assert points(coverage.lines[0]) == [(10, 0.05), (14, pytest.approx(0.15)), (18, 0.25)]
    # the record without an energy error has no point
    assert points(energy.lines[0]) == [(10, pytest.approx(3.0)), (18, pytest.approx(1.0))]
    np.testing.assert_allclose(forces.lines[0].get_ydata(), [200.0, 100.0, 200.0 / 3])
    np.testing.assert_allclose(stress.lines[0].get_ydata(), [4.0, 2.0, 4.0 / 3])
    assert [axis.get_ylabel() for axis in (energy, forces, stress)] == [
        "energy RMSE (meV/atom)",
        "forces RMSE (meV/Å)",
        "stress RMSE (meV/Å³)",
    ]
    assert {axis.get_xlabel() for axis in (coverage, energy, forces, stress)} == {"labels"}


def test_each_arm_has_a_curve_of_its_own_records():
    figure = figures.learning_figure({"biased": RECORDS, "unbiased": RECORDS[:1]})
    first, second = figure.axes[0].lines
    assert (first.get_label(), second.get_label()) == ("biased", "unbiased")
    assert (len(points(first)), len(points(second))) == (3, 1)
    assert first.get_color() != second.get_color()


def test_the_calibration_curve_is_the_coverage_of_the_next_batch_beside_its_aim():
    (axis,) = figures.calibration_figure({"biased": RECORDS}, 0.25).axes
    curve, aim = axis.lines
    assert points(curve) == [(0, 0.9), (1, pytest.approx(0.91))]
    assert list(aim.get_ydata()) == [0.75, 0.75]


def test_bars_are_the_times_of_the_stages_on_top_of_each_other():
    (axis,) = figures.time_figure({"biased": RECORDS}).axes
    bars = {container.get_label(): container.patches for container in axis.containers}
    for stage in figures.STAGES:
        heights = [record.seconds[stage] for record in RECORDS]
        assert [bar.get_height() for bar in bars[stage]] == pytest.approx(heights)
    tops = [bar.get_y() + bar.get_height() for bar in bars[figures.STAGES[-1]]]
    assert tops == pytest.approx([sum(record.seconds.values()) for record in RECORDS])


def test_parity_is_the_model_over_the_reference_in_its_units():
    true = {"energy": np.array([-3.0, -2.0, -1.0]), "forces": np.array([0.5, -0.25])}
    predicted = {"energy": true["energy"] + 0.01, "forces": 2.0 * true["forces"]}
    energy, forces = figures.parity_figure(true, predicted).axes
    np.testing.assert_allclose(energy.lines[0].get_xdata(), [-1000.0, 0.0, 1000.0], atol=1e-9)
    np.testing.assert_allclose(energy.lines[0].get_ydata(), [-990.0, 10.0, 1010.0], atol=1e-9)
    assert points(forces.lines[0]) == [(0.5, 1.0), (-0.25, -0.5)]
    for axis in (energy, forces):
        x, y = axis.lines[1].get_data()
        assert list(x) == list(y), "the line of equal values"


def test_errors_stand_over_their_uncertainties_and_the_title_counts_those_below():
    residuals = Residuals(
        energy=np.array([-0.001, 0.004]),
        total_uncertainty=np.array([0.002, 0.003]),
        forces=np.zeros(9),
        atomic=np.array([0.1, 0.2, 0.9]),
        atomic_uncertainty=np.array([0.3, 0.3, 0.3]),
        stress=np.zeros(0),
    )
    total, atomic = figures.uncertainty_figure(residuals).axes
    assert points(total.lines[0]) == [pytest.approx((2.0, 1.0)), pytest.approx((3.0, 4.0))]
    np.testing.assert_allclose(atomic.lines[0].get_ydata(), [100.0, 200.0, 900.0])
    assert total.get_title() == "50.0% below the conformal line"
    assert atomic.get_title() == "66.7% below the conformal line"


@law("evaluation.collective_variables.name", "evaluation.collective_variables.range")
def test_a_map_counts_the_frames_of_each_cell_between_the_bounds_of_its_variables():
    variables = [
        CollectiveVariable(name="phi", dihedral=[1, 2, 3, 4]),
        CollectiveVariable(name="gap", distance=[1, 2], range=(0.0, 64.0)),
    ]
    visited = np.array([[-180.0, 0.5]] * 10 + [[179.0, 31.5]] + [[0.0, 99.0]])
    axis, bar = figures.visited_figure({"biased": visited}, {"biased": 0.123}, variables).axes
    cells = axis.collections[0].get_array().reshape(64, 64)
    assert float(cells[0, 0]) == 10.0
    assert float(cells[31, 63]) == 1.0  # rows are the second variable
    assert int((~np.ma.getmaskarray(cells)).sum()) == 2
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("φ (°)", "gap (Å)")
    assert axis.get_xlim() == (-180.0, 180.0)
    assert axis.get_ylim() == (0.0, 64.0)
    assert axis.get_title() == "biased: coverage 0.123"
    assert (bar.get_ylabel(), bar.get_yscale()) == ("frames", "log")
    assert bar.get_ylim() == pytest.approx((1.0, 10.0))


def test_the_maps_of_all_arms_have_the_colors_of_one_bar():
    variables = [
        CollectiveVariable(name=name, dihedral=[1, 2, 3, 4], range=(0.0, 64.0)) for name in "ab"
    ]
    visited = {
        "biased": np.full((30, 2), 0.5),
        "unbiased": np.full((70, 2), 0.5),
    }
    *axes, bar = figures.visited_figure(visited, dict.fromkeys(visited, 0.1), variables).axes
    limits = {(c.norm.vmin, c.norm.vmax) for axis in axes for c in axis.collections}
    assert limits == {(1.0, 70.0)}
    assert bar.get_ylim() == pytest.approx((1.0, 70.0))


def test_one_variable_is_a_histogram_of_its_frames():
    variable = CollectiveVariable(name="v", volume=True, range=(0.0, 64.0))
    visited = np.array([[0.5]] * 3 + [[10.5]] * 2)
    (axis,) = figures.visited_figure({"biased": visited}, {"biased": 0.0}, [variable]).axes
    heights = [bar.get_height() for bar in axis.patches]
    assert (heights[0], heights[10], sum(heights)) == (3, 2, 5)
    assert axis.get_xlabel() == "v (Å³)"


def test_volumes_are_courses_and_a_histogram_of_all_walks():
    walks = [(np.array([0.0, 0.5]), np.array([10.0, 11.0])), (np.array([1.0]), np.array([12.0]))]
    course, histogram = figures.volume_figure({"biased": walks}).axes
    assert [points(line) for line in course.lines] == [[(0.0, 10.0), (0.5, 11.0)], [(1.0, 12.0)]]
    corners = histogram.patches[0].get_xy()
    assert corners[:, 0].max() == 1.0  # three volumes, each in a bin of its own
    assert (corners[:, 1].min(), corners[:, 1].max()) == (10.0, 12.0)


def test_autocorrelations_have_their_lags_and_bands_of_one_standard_deviation():
    curve = Autocorrelation(np.array([0.0, 10.0]), np.array([1.0, 0.4]), np.array([0.0, 0.1]))
    (axis,) = figures.autocorrelation_figure({"biased": {"volume": curve}}, {}).axes
    assert points(axis.lines[0]) == [(0.0, 1.0), (10.0, 0.4)]
    band = axis.collections[0].get_paths()[0].vertices
    at_ten = band[band[:, 0] == 10.0][:, 1]
    assert (at_ten.min(), at_ten.max()) == pytest.approx((0.3, 0.5))
    assert axis.get_title() == "volume"
    assert axis.get_xlabel() == "lag (MD steps)"


def test_lags_are_in_ps_where_the_time_step_is_known():
    curve = Autocorrelation(np.array([0.0, 10.0]), np.array([1.0, 0.4]), np.array([0.0, 0.1]))
    (axis,) = figures.autocorrelation_figure({"biased": {"volume": curve}}, {}, 0.0005).axes
    assert points(axis.lines[0]) == [(0.0, 1.0), (0.005, 0.4)]
    band = axis.collections[0].get_paths()[0].vertices
    assert set(band[:, 0]) == {0.0, 0.005}
    assert axis.get_xlabel() == "lag (ps)"


def test_the_model_of_an_autocorrelation_is_dashed_with_its_noise_in_the_legend():
    lags = np.array([0.0, 10.0, 20.0])
    curve = Autocorrelation(lags, np.array([1.0, 0.4, 0.1]), np.zeros(3))
    model = HalfSine(0.4, np.array([1.0, 0.5, 0.2]), 0.1)
    curves = {arm: {"volume": curve, "positions": curve} for arm in ("biased", "unbiased")}
    models = {"biased": {"volume": model}, "unbiased": {}}
    figure = figures.autocorrelation_figure(curves, models, 0.0005)
    volume, positions = figure.axes
    measured, dashed, *_ = volume.lines
    assert points(dashed) == [(0.0, 1.0), (0.005, 0.5), (0.01, 0.2)]
    assert (dashed.get_linestyle(), dashed.get_color()) == ("--", measured.get_color())
    assert [t.get_text() for t in volume.get_legend().texts] == ["half a sine wave, s = 0.40"]
    assert positions.get_legend() is None
    assert [line.get_linestyle() for line in positions.lines] == ["-"] * 3
    # the legend below has the arms only
    assert [t.get_text() for t in figure.legends[0].texts] == ["biased", "unbiased"]


def walk(steps: int, crossed: bool = False, failure: str = "") -> Walk:
    return replace(walk_of(breathing(2)), steps=steps, crossed=crossed, failure=failure)


def test_lengths_of_walks_stand_over_their_iteration_and_tell_how_they_ended():
    walks = {"biased": [[walk(300), walk(40, True)], [walk(10, failure="lost"), walk(200, True)]]}
    for time_step, unit in ((0.002, "ps"), (None, "MD steps")):
        (axis,) = figures.length_figure(walks, time_step).axes
        found = {line.get_label(): points(line) for line in axis.lines}
        wanted = {
            "ended by itself": [(0, 300)],
            "stopped by the threshold": [(0, 40), (1, 200)],
            "failed": [(1, 10)],
        }
        assert found.keys() == wanted.keys()
        for end, places in wanted.items():
            assert [round(x) for x, _ in found[end]] == [x for x, _ in places]
            lengths = [(time_step or 1.0) * y for _, y in places]
            assert [y for _, y in found[end]] == pytest.approx(lengths)
        assert axis.get_ylabel() == f"length of a walk ({unit})"


def test_the_longest_walk_of_any_arm_is_inside_all_axes():
    walks = {"biased": [[walk(10)]], "control": [[walk(500)]], "unbiased": [[walk(0)]]}
    figure = figures.length_figure(walks, None)
    assert {axis.get_ylim() for axis in figure.axes} == {(0.0, 540.0)}
    assert len({axis.lines[0].get_color() for axis in figure.axes}) == 3


def test_what_was_not_measured_has_no_panel():
    unknown = [Record(iteration=0, n_labels=10), Record(iteration=1, n_labels=14)]
    assert figures.learning_figure({"biased": unknown}) is None
    assert figures.calibration_figure({"biased": unknown}, 0.05) is None
    without_forces = [replace(r, forces_rmse=None, coverage=None) for r in RECORDS]
    energy, stress = figures.learning_figure({"biased": without_forces}).axes
    assert energy.get_ylabel().startswith("energy")
    assert stress.get_ylabel().startswith("stress")
    nothing = np.zeros(0)
    (energy,) = figures.parity_figure(
        {"energy": np.ones(2), "forces": nothing}, {"energy": np.ones(2), "forces": nothing}
    ).axes
    assert "energy" in energy.get_xlabel()
    of_energies = Residuals(np.ones(2), np.ones(2), nothing, nothing, nothing, nothing)
    (energy,) = figures.uncertainty_figure(of_energies).axes
    assert energy.get_ylabel() == "energy error (meV/atom)"


def test_errors_by_volume_are_curves_over_the_centres():
    curves = {"energy RMSE (meV/atom)": (np.array([10.0, 11.0]), np.array([2.0, 3.0]))}
    (axis,) = figures.error_by_volume_figure(curves).axes
    assert points(axis.lines[0]) == [(10.0, 2.0), (11.0, 3.0)]
    assert axis.get_ylabel() == "energy RMSE (meV/atom)"
