from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from walks import breathing, walk_of

from pyubias.analysis.autocorrelation import (
    autocorrelation,
    autocorrelation_of_walks,
    autocorrelation_over_seeds,
    mean_autocorrelation,
    positions_in_mean_cell,
)
from pyubias.analysis.volume import rmse_by_volume, volumes


def test_volumes_are_those_of_the_frames():
    frames = breathing()
    np.testing.assert_allclose(volumes(walk_of(frames)), [a.get_volume() for a in frames])


def test_breathing_and_drifting_move_no_atom():
    positions = positions_in_mean_cell(walk_of(breathing()))
    np.testing.assert_allclose(positions, np.broadcast_to(positions[0], positions.shape))


def test_a_cosine_is_correlated_with_itself_like_a_cosine():
    t = np.arange(4000)
    found = autocorrelation(np.cos(2 * np.pi * t / 100))
    assert len(found) == 2000
    np.testing.assert_allclose(found[:1000], np.cos(2 * np.pi * t[:1000] / 100), atol=0.02)


def test_autocorrelation_is_what_its_definition_says():
    x = np.random.default_rng(0).normal(size=(40, 3, 2))
    d = (x - x.mean(0)).reshape(40, -1)
    wanted = [np.mean([d[i] @ d[i + t] for i in range(40 - t)]) for t in range(20)]
    np.testing.assert_allclose(autocorrelation(x), np.array(wanted) / wanted[0], atol=1e-12)


def test_noise_forgets_and_a_constant_has_no_memory_to_speak_of():
    noise = autocorrelation(np.random.default_rng(1).normal(size=20000))
    assert noise[0] == 1.0
    assert np.abs(noise[1:100]).max() < 0.05
    assert np.isnan(autocorrelation(np.full(201, 1234.567))).all()
    assert len(autocorrelation(np.zeros(0))) == 0


def test_walkers_of_different_length_are_averaged_where_they_are():
    series = [np.cos(0.1 * np.arange(n)) for n in (100, 200, 300)] + [np.ones(50)]
    mean, spread = mean_autocorrelation(series)
    assert len(mean) == len(spread) == 100
    assert mean[0] == pytest.approx(1.0)
    assert spread[0] == pytest.approx(0.0)
    assert [len(x) for x in mean_autocorrelation([np.ones(4)])] == [0, 0]


def test_memory_of_an_arm_is_the_mean_and_the_spread_of_its_seeds():
    # the second seed has one walk more, which must not count for two; the third has none to use
    walks = [[walk_of(breathing(9))], [walk_of(breathing(7)), walk_of(breathing(8))]]
    seeds = [autocorrelation_of_walks(of_seed) for of_seed in [*walks, [walk_of(breathing(1))]]]
    lags, mean, spread = autocorrelation_over_seeds(seeds)["volume"]
    one, two = (seeds[k]["volume"][1] for k in (0, 1))
    n = min(len(one), len(two))
    assert lags.tolist() == list(range(n))
    np.testing.assert_allclose(mean, 0.5 * (one[:n] + two[:n]))
    np.testing.assert_allclose(spread, np.abs(one[:n] - two[:n]) / np.sqrt(2.0))
    assert np.isnan(autocorrelation_over_seeds(seeds[:1])["volume"][2]).all()
    assert len(autocorrelation_over_seeds(seeds[2:])["volume"][1]) == 0


def test_the_frame_that_crossed_has_no_part_in_memory():
    frames = breathing(9)
    whole, cut = walk_of(frames), replace(walk_of([*frames, frames[0]]), crossed=True)
    for quantity, curves in autocorrelation_of_walks([whole]).items():
        np.testing.assert_allclose(autocorrelation_of_walks([cut])[quantity][1], curves[1])


def test_errors_go_to_the_interval_of_their_volume():
    frames = [Atoms("Ar2", cell=[v, 2.0, 1.0], pbc=True) for v in (10.0, 10.5, 19.0, 20.0)]
    residuals = [np.array([1.0, 1.0]), np.array([7.0]), np.array([3.0]), np.array([4.0])]
    centres, rmse = rmse_by_volume(list(zip(frames, residuals, strict=True)), n_bins=4)
    np.testing.assert_allclose(centres, [11.25, 13.75, 16.25, 18.75])
    np.testing.assert_allclose(rmse, [np.sqrt(51 / 3), np.nan, np.nan, np.sqrt(12.5)])
