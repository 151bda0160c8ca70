"""Collective variables, the coverage of their space, and frames within a number of steps."""

import numpy as np
import pytest
from ase import Atoms

from pyubias.analysis.collective_variables import (
    collective_variables,
    frames_within_steps,
    quadtree_coverage,
)
from pyubias.config.schema import CollectiveVariable

SQUARE = [(-180.0, 180.0), (-180.0, 180.0)]


def butane_like(angle):
    """Four atoms with this dihedral, in degrees; IUPAC: cis is 0."""
    x, y = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return Atoms("H4", positions=[[1, 0, 0], [0, 0, 0], [0, 0, 1], [x, y, 1]])


@pytest.mark.law("evaluation.collective_variables.dihedral")
@pytest.mark.parametrize("angle", [0, 60, 179, -179, -120])
def test_dihedrals_lie_between_minus_and_plus_180(angle):
    phi = CollectiveVariable(name="phi", dihedral=[1, 2, 3, 4])
    (value,) = collective_variables([butane_like(angle)], [phi])
    assert abs(value[0]) == pytest.approx(abs(angle))
    (reverse,) = collective_variables([butane_like(-angle)], [phi])
    assert reverse[0] == pytest.approx(-value[0])


def test_a_trans_dihedral_is_within_the_bounds():
    phi = CollectiveVariable(name="phi", dihedral=[1, 2, 3, 4])
    (value,) = collective_variables([butane_like(180)], [phi])
    assert value[0] == pytest.approx(-180)


@pytest.mark.law(
    "evaluation.collective_variables.distance", "evaluation.collective_variables.volume"
)
def test_atoms_are_counted_from_one_and_distances_find_the_nearest_image():
    d = CollectiveVariable(name="d", distance=[1, 2], range=(0, 10))
    v = CollectiveVariable(name="v", volume=True, range=(0, 1000))
    atoms = Atoms("HHO", positions=[[0.5, 0, 0], [9.5, 0, 0], [5, 5, 5]], cell=[10, 10, 8])
    atoms.pbc = True
    np.testing.assert_allclose(collective_variables([atoms], [d, v]), [[1.0, 800.0]])
    atoms.pbc = False
    np.testing.assert_allclose(collective_variables([atoms], [d]), [[9.0]])


def test_no_frames_have_no_values():
    d = CollectiveVariable(name="d", distance=[1, 2], range=(0, 10))
    assert collective_variables([], [d]).shape == (0, 1)


def grid(n):
    """Centres of n × n cells of the square."""
    ticks = -180 + 360 * (np.arange(n) + 0.5) / n
    return np.array([[x, y] for x in ticks for y in ticks])


def test_one_point_covers_0_0666_in_two_dimensions():
    coverage = quadtree_coverage([[12.3, -45.6]], SQUARE)
    assert coverage == pytest.approx((1 / 4 + 1 / 16 + 1 / 64 + 1 / 256 + 1 / 1024) / 5)
    assert coverage == pytest.approx(0.0666, abs=5e-5)


def test_a_full_grid_covers_everything_and_no_point_nothing():
    assert quadtree_coverage(grid(32), SQUARE) == 1.0
    assert quadtree_coverage(np.zeros((0, 2)), SQUARE) == 0.0


def test_a_quarter_is_full_at_one_level_and_a_quarter_of_the_rest():
    quarter = grid(32)[(grid(32) < 0).all(axis=1)]
    assert quadtree_coverage(quarter, SQUARE) == pytest.approx(1 / 4)


def test_the_coarse_grid_fills_the_coarse_levels():
    """4 × 4 points: levels 1 and 2 are full, then 16 cells of 64, 256, 1024."""
    wanted = (1 + 1 + 16 / 64 + 16 / 256 + 16 / 1024) / 5
    assert quadtree_coverage(grid(4), SQUARE) == pytest.approx(wanted)


def test_visiting_again_covers_no_more():
    points = grid(4)
    assert quadtree_coverage(np.vstack([points, points + 1e-3]), SQUARE) == quadtree_coverage(
        points, SQUARE
    )


def test_edges_belong_to_the_square_and_points_outside_do_not_count():
    corners = [[-180.0, -180.0], [180.0, 180.0]]
    assert quadtree_coverage(corners, SQUARE) == pytest.approx(2 * 0.0666, abs=1e-4)
    assert quadtree_coverage([*corners, [181.0, 0.0], [0.0, np.nan]], SQUARE) == quadtree_coverage(
        corners, SQUARE
    )


@pytest.mark.parametrize(("dimensions", "depth"), [(1, 3), (3, 2)])
def test_other_dimensions_and_depths(dimensions, depth):
    wanted = sum(2 ** (-level * dimensions) for level in range(1, depth + 1)) / depth
    found = quadtree_coverage(np.full((1, dimensions), 0.3), [(0.0, 1.0)] * dimensions, depth)
    assert found == pytest.approx(wanted)


def walk(steps, every=10):
    return steps, np.arange(0, steps + 1, every)


def kept(masks):
    return [[int(mask.sum()) for mask in iteration] for iteration in masks]


WALKS = [[walk(100), walk(40)], [walk(50), walk(200)]]  # 140 and 250 steps


@pytest.mark.parametrize(
    ("budget", "frames"),
    [
        (1000, [[11, 5], [6, 21]]),
        (390, [[11, 5], [6, 21]]),
        (140, [[11, 5], [0, 0]]),
        (340, [[11, 5], [6, 16]]),  # 200 left: 50 of the short walk, 150 of the long one
        (200, [[11, 5], [4, 4]]),  # 60 left: 30 each
        (100, [[7, 5], [0, 0]]),  # 40 of the short walk, 60 of the long one
        (0, [[0, 0], [0, 0]]),
    ],
)
def test_walkers_of_an_iteration_are_cut_at_the_same_time(budget, frames):
    assert kept(frames_within_steps(WALKS, budget)) == frames


def test_masks_mark_the_first_frames():
    (mask, _), _ = frames_within_steps(WALKS, 100)
    assert mask.tolist() == [True] * 7 + [False] * 4


def test_walkers_that_made_no_step_are_no_trouble():
    assert kept(frames_within_steps([[walk(0), walk(20)]], 20)) == [[1, 3]]
    assert frames_within_steps([], 100) == []
