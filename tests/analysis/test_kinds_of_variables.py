"""Collective variables of each kind against ASE's own numbers, with nearest images, and by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from campaigns import tiny

from pyubias.analysis.collective_variables import (
    check_variable,
    collective_variables,
    quadtree_coverage,
    remarks_on_range,
)
from pyubias.analysis.coordination import switching
from pyubias.campaign.inputs import read_inputs
from pyubias.config.collective_variables import CollectiveVariable
from pyubias.config.loading import load_campaign
from pyubias.errors import UserError

law = pytest.mark.law


def value(atoms: Atoms, **fields: Any) -> float:
    variable = CollectiveVariable(**({"name": "x", "range": (0.0, 100.0)} | fields))
    return float(collective_variables([atoms], [variable])[0, 0])


def sheared(seed: int = 0) -> Atoms:
    """Five atoms in a triclinic cell, moved to images so that few nearest ones are in the cell."""
    generator = np.random.default_rng(seed)
    cell = [[6.0, 0.0, 0.0], [2.5, 5.5, 0.0], [-1.5, 1.0, 6.5]]
    atoms = Atoms("CHONH", cell=cell, pbc=True)
    atoms.set_scaled_positions(generator.random((5, 3)))
    atoms.positions += generator.integers(-2, 3, (5, 3)) @ atoms.cell.array
    return atoms


@pytest.fixture(params=range(6))
def atoms(request: pytest.FixtureRequest) -> Atoms:
    return sheared(request.param)


@law("evaluation.collective_variables.angle")
def test_angles_are_those_of_ase_at_the_second_atom(atoms: Atoms) -> None:
    found = value(atoms, angle=[4, 1, 3], range=None)
    assert found == pytest.approx(atoms.get_angle(3, 0, 2, mic=True))
    assert found != pytest.approx(atoms.get_angle(3, 0, 2, mic=False))
    assert found != pytest.approx(value(atoms, angle=[1, 4, 3], range=None))
    water = Atoms("HOH", positions=[[1, 0, 0], [0, 0, 0], [0, 2, 0]])
    assert value(water, angle=[1, 2, 3], range=None) == pytest.approx(90.0)


def test_dihedrals_and_distances_are_those_of_ase(atoms: Atoms) -> None:
    dihedral = value(atoms, dihedral=[1, 2, 3, 4], range=None)
    assert dihedral % 360.0 == pytest.approx(atoms.get_dihedral(0, 1, 2, 3, mic=True))
    assert value(atoms, distance=[5, 2]) == pytest.approx(atoms.get_distance(4, 1, mic=True))
    assert value(atoms, volume=True) == pytest.approx(atoms.get_volume())


@law("evaluation.collective_variables.difference")
def test_a_difference_is_that_of_two_distances_which_may_share_an_atom(atoms: Atoms) -> None:
    found = value(atoms, difference=[[1, 2], [3, 2]])
    first, second = (atoms.get_distance(k, 1, mic=True) for k in (0, 2))
    assert found == pytest.approx(first - second)
    assert value(atoms, difference=[[3, 2], [1, 2]]) == pytest.approx(-found)


@law(
    "evaluation.collective_variables.coordination.n",
    "evaluation.collective_variables.coordination.m",
)
@pytest.mark.parametrize(("n", "m"), [(6, 12), (8, 16), (6, 10), (1, 2)])
def test_the_switching_function_is_its_formula_and_n_over_m_at_r0(n: int, m: int) -> None:
    r = np.array([0.0, 0.3, 1.0, 1.49, 1.51, 2.0, 4.0])
    wanted = (1.0 - (r / 1.5) ** n) / (1.0 - (r / 1.5) ** m)
    np.testing.assert_allclose(switching(r, 1.5, n, m), wanted, rtol=1e-12)
    near = switching(np.array([1.5 - 1e-13, 1.5, 1.5 + 1e-13]), 1.5, n, m)
    np.testing.assert_allclose(near, n / m, rtol=1e-11)
    # no number overflows far away
    far = switching(np.array([1e9]), 1e-3, n, m)
    np.testing.assert_allclose(far, 1e12 ** float(n - m), rtol=1e-9)


@law(
    "evaluation.collective_variables.coordination.atoms",
    "evaluation.collective_variables.coordination.neighbors",
    "evaluation.collective_variables.coordination.r0",
)
def test_a_coordination_number_by_hand() -> None:
    """With n = 6 and m = 12 a neighbor counts 1/(1 + (r/r0)^6)."""
    # oxygen 1: hydrogen at r0, at 2 r0, and over the boundary at r0; oxygen 2 sees none near
    positions = [[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 19], [10, 10, 10]]
    atoms = Atoms("OHHHO", positions=positions, cell=[20, 20, 20], pbc=True)
    of_first = {"atoms": [1], "neighbors": [2, 3, 4], "r0": 1.0}
    by_hand = 1 / 2 + 1 / 65 + 1 / 2
    assert value(atoms, coordination=of_first) == pytest.approx(by_hand)
    assert value(atoms, coordination=of_first | {"neighbors": [2]}) == pytest.approx(1 / 2)
    assert value(atoms, coordination=of_first | {"r0": 2.0}) == pytest.approx(2 * 64 / 65 + 1 / 2)
    # by elements: the mean over both oxygens, the second of which has none
    of_both = {"atoms": "O", "neighbors": "H", "r0": 1.0}
    assert value(atoms, coordination=of_both) == pytest.approx(by_hand / 2, abs=1e-5)
    assert value(atoms, coordination=of_both | {"atoms": [1, 5]}) == pytest.approx(
        value(atoms, coordination=of_both)
    )
    # an atom is no neighbor of itself: H 2 sees H 3 at √5 and H 4 at √2
    among = {"atoms": [2], "neighbors": "H", "r0": 1.0}
    assert value(atoms, coordination=among) == pytest.approx(1 / (1 + 5**3) + 1 / (1 + 2**3))
    assert value(atoms, coordination=of_first | {"n": 3, "m": 6}) == pytest.approx(1 + 1 / 9)


def test_a_coordination_number_counts_the_shells_of_a_crystal() -> None:
    """A steep function between the first two shells of fcc copper counts twelve neighbors."""
    copper = bulk("Cu", cubic=True) * (3, 3, 3)
    between = {"atoms": "Cu", "neighbors": "Cu", "r0": 3.05, "n": 48, "m": 96}
    assert value(copper, coordination=between) == pytest.approx(12.0, abs=0.02)


OWN = """
def gyration(atoms):
    return ((atoms.positions - atoms.positions.mean(0)) ** 2).sum(1).mean() ** 0.5

def moves(atoms):
    atoms.positions[:] = 0.0
    return 1

def fails(atoms):
    raise RuntimeError("no bond\\nat all")

def several(atoms):
    return [1.0, 2.0]

constant = 3
"""


@law("evaluation.collective_variables.function", "evaluation.collective_variables.file")
def test_a_function_of_ones_own_gets_the_frames(tmp_path: Path, atoms: Atoms) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    wanted = np.sqrt(((atoms.positions - atoms.positions.mean(0)) ** 2).sum(1).mean())
    assert value(atoms, function="gyration", file=file) == pytest.approx(wanted)
    # from an installed package, by an import path
    assert value(atoms, function="ase.Atoms.get_volume") == pytest.approx(atoms.get_volume())
    # what it does to a frame stays its own
    before = atoms.positions.copy()
    assert value(atoms, function="moves", file=file) == 1.0
    assert np.array_equal(atoms.positions, before)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fails", "fails of '.*own.py' failed: RuntimeError: no bond"),
        ("several", r"several of '.*own.py' must return a number, got \[1.0, 2.0\]"),
        ("constant", "constant of '.*own.py' is a int, wanted a function of Atoms"),
        ("gone", "gone of '.*own.py' cannot be imported: AttributeError"),
    ],
)
def test_a_function_that_cannot_be_used_is_refused_with_its_name(
    tmp_path: Path, name: str, message: str
) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    with pytest.raises(UserError, match=f"'evaluation.collective_variables': 'x': {message}"):
        value(sheared(), function=name, file=file)


def test_a_campaign_tries_the_function_before_a_label_and_finds_it_beside_its_file(
    tmp_path: Path,
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    own = {"name": "own", "function": "gyration", "file": "own.py", "range": [0, 5]}
    config = load_campaign(tiny(tmp_path, {"evaluation": {"collective_variables": [own]}}))
    assert config.evaluation.collective_variables[0].file == tmp_path / "own.py"
    read_inputs(config)
    broken = own | {"function": "fails"}
    config = load_campaign(tiny(tmp_path, {"evaluation": {"collective_variables": [broken]}}))
    with pytest.raises(UserError, match=r"'own': fails of .* failed: RuntimeError"):
        read_inputs(config)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"angle": [1, 2, 6]}, "'x' has atom 6, and the frame has 5 atoms"),
        ({"difference": [[1, 2], [3, 9]]}, "'x' has atom 9, and the frame has 5 atoms"),
        (
            {"coordination": {"atoms": [7], "neighbors": "H", "r0": 1.0}},
            "'x' has atom 7, and the frame has 5 atoms",
        ),
        (
            {"coordination": {"atoms": "Cu", "neighbors": "H", "r0": 1.0}},
            "'x' counts Cu, and the frame has none",
        ),
    ],
)
def test_a_frame_without_the_atoms_of_a_variable_is_refused(
    fields: dict[str, Any], message: str
) -> None:
    variable = CollectiveVariable(**({"name": "x", "range": (0.0, 9.0)} | fields))
    with pytest.raises(UserError, match=message):
        check_variable(variable, sheared(), "the frame")
    with pytest.raises(UserError, match=message.replace("the frame", "a frame")):
        collective_variables([sheared()], [variable])


def test_frames_outside_of_a_range_are_counted_with_their_reach() -> None:
    r = CollectiveVariable(name="r", distance=[1, 2], range=(2.0, 8.0))
    phi = CollectiveVariable(name="phi", dihedral=[1, 2, 3, 4])
    points = np.array([[2.0, 0.0], [8.0, 10.0], [8.5, -180.0], [1.25, 20.0], [np.nan, 180.0]])
    (remark,) = remarks_on_range(points, [r, phi])
    assert remark == (
        "3 of 5 frames lie outside the range [2, 8] of 'r', and reach from 1.25 to 8.5; coverage "
        "does not count them"
    )
    # they are those that coverage leaves out
    bounds = [r.bounds, phi.bounds]
    assert quadtree_coverage(points[:2], bounds) == quadtree_coverage(points, bounds)
    assert remarks_on_range(points[:2], [r, phi]) == []
    assert remarks_on_range(np.zeros((0, 2)), [r, phi]) == []
