"""The MIL-53(Al) inputs are the published force field, in any cell, and hold both phases."""

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

from pyubias.config.loading import load_campaign, load_training
from pyubias.config.schema import LammpsReference
from pyubias.reference.label import Label, label_frame
from pyubias.reference.open import open_reference
from pyubias.training.reading import read_frames

INPUTS = Path(__file__).parents[2] / "inputs" / "mil53"
EXAMPLE = os.environ.get("PYUBIAS_MIL53_EXAMPLE")  # examples/PACKAGES/yaff/mil53al/lammps.data
SUPERCELL = (1, 1, 2)


@pytest.fixture(scope="module")
def builder() -> Iterator[ModuleType]:
    sys.path.insert(0, str(INPUTS))
    yield importlib.import_module("make_mil53_data")
    sys.path.remove(str(INPUTS))


def reference(data: Path = INPUTS / "framework.data", supercell=SUPERCELL) -> LammpsReference:
    return LammpsReference(
        kind="lammps",
        input=INPUTS / "reference.in",
        variables={"data": str(data)},
        supercell=supercell,
    )


def label(atoms: Atoms, config: LammpsReference) -> Label:
    with open_reference(config) as method:
        return label_frame(method, atoms)


@pytest.fixture(scope="module")
def rattled() -> Atoms:
    atoms = ase.io.read(INPUTS / "cp.xyz")
    atoms.rattle(0.05, seed=1)
    return atoms


def test_the_data_file_is_what_the_builder_makes(builder):
    assert (INPUTS / "framework.data").read_text() == builder.data_file(
        builder.large_pore() * SUPERCELL
    )


def test_the_data_file_does_not_depend_on_the_order_of_the_neighbor_list(builder, monkeypatch):
    """ASE sorts by an unstable sort: ties come in another order on another processor."""

    def shuffled(*arguments):
        columns = neighbor_list(*arguments)
        order = np.random.default_rng(1).permutation(len(columns[0]))
        return [column[order] for column in columns]

    monkeypatch.setattr(builder, "neighbor_list", shuffled)
    made = builder.data_file(builder.large_pore() * SUPERCELL)
    assert made == (INPUTS / "framework.data").read_text()


@pytest.mark.parametrize("phase", ["lp", "cp"])
def test_every_term_of_the_table_is_found_as_often_as_it_says(builder, phase):
    atoms = ase.io.read(INPUTS / f"{phase}.xyz") * SUPERCELL
    neighbors = builder.neighbors_of(atoms)
    types = builder.types_of(atoms, neighbors)
    field = builder.read_forcefield()
    found = {("atom", (kind,)): types.count(kind) for kind in types}
    for section in builder.SECTIONS:
        for k, _ in builder.terms_of(section, field[section], types, neighbors):
            parameters = field[section][k]
            key = (section, canonical(section, parameters.pattern), parameters.style)
            found[key] = found.get(key, 0) + 1

    wanted: dict = {}
    for row in builder.read_table("forcefield.csv"):
        pattern = tuple(row["pattern"].split("-"))
        key = ("atom", pattern)
        if row["term"] != "atom":
            key = (row["term"], canonical(row["term"], pattern), row["style"])
        wanted[key] = wanted.get(key, 0) + int(row["count_in_152_atoms"])
    assert found == wanted


def canonical(section: str, pattern: tuple[str, ...]) -> tuple[str, ...]:
    if section == "improper":
        return (pattern[0], *sorted(pattern[1:]))
    return min(pattern, pattern[::-1])


@pytest.mark.parametrize("supercell", [(1, 1, 1), (2, 1, 1), (1, 2, 1)])
def test_one_cell_along_c_is_refused(builder, supercell):
    with pytest.raises(SystemExit, match=r"near neighbor of two images .* two cells along c"):
        builder.data_file(builder.large_pore() * supercell)


@pytest.mark.parametrize("scale", [0.85, 1.17, 1.2])
def test_a_geometry_whose_bonds_cannot_be_told_is_refused(builder, scale):
    atoms = ase.io.read(INPUTS / "cp.xyz")
    atoms.set_cell(scale * atoms.cell, scale_atoms=True)
    with pytest.raises(SystemExit, match=r"bonds, wanted .* less deformed"):
        builder.data_file(atoms * SUPERCELL)


def test_labels_do_not_depend_on_the_supercell(builder, rattled, tmp_path):
    (tmp_path / "big.data").write_text(builder.data_file(builder.large_pore() * (1, 2, 2)))
    small = label(rattled, reference())
    big = label(rattled, reference(tmp_path / "big.data", (1, 2, 2)))
    # the k-space sum of either is accurate to 1e-5
    assert big.energy == pytest.approx(small.energy, abs=2e-3)
    np.testing.assert_allclose(big.forces, small.forces, atol=1e-3)
    np.testing.assert_allclose(big.stress, small.stress, atol=1e-5)


def test_labels_are_gradients(rattled):
    step = 1e-3
    with open_reference(reference()) as method:
        found = label_frame(method, rattled)

        def energy(atoms: Atoms) -> float:
            return label_frame(method, atoms).energy

        for atom, direction in ((0, 2), (30, 0), (75, 1)):
            values = []
            for sign in (1, -1):
                moved = rattled.copy()
                moved.positions[atom, direction] += sign * step
                values.append(energy(moved))
            slope = (values[0] - values[1]) / (2 * step)
            assert -slope == pytest.approx(found.forces[atom, direction], abs=3e-3)
        for voigt, (a, b) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
            values = []
            for sign in (1, -1):
                strain = np.eye(3)
                strain[a, b] += 0.5 * sign * step
                strain[b, a] += 0.5 * sign * step
                moved = rattled.copy()
                moved.set_cell(moved.cell @ strain, scale_atoms=True)
                values.append(energy(moved))
            slope = (values[0] - values[1]) / (2 * step) / rattled.get_volume()
            assert slope == pytest.approx(found.stress[voigt], abs=2e-4)


@pytest.mark.parametrize(("phase", "low", "high"), [("lp", 1400, 1520), ("cp", 760, 920)])
def test_both_phases_are_at_rest(phase, low, high):
    atoms = ase.io.read(INPUTS / f"{phase}.xyz")
    assert low < atoms.get_volume() < high
    found = label(atoms, reference())
    assert np.abs(found.forces).max() < 0.15
    assert np.abs(found.stress).max() < 1e-3


@pytest.mark.skipif(not EXAMPLE, reason="PYUBIAS_MIL53_EXAMPLE names no LAMMPS example data file")
def test_labels_are_those_of_the_example_of_lammps(builder, tmp_path):
    atoms = ase.io.read(EXAMPLE, format="lammps-data", atom_style="full", units="real")
    atoms.pbc = True
    (tmp_path / "built.data").write_text(builder.data_file(atoms))
    wanted = label(atoms, reference(Path(EXAMPLE), (1, 1, 1)))
    found = label(atoms, reference(tmp_path / "built.data", (1, 1, 1)))
    assert found.energy == pytest.approx(wanted.energy, abs=1e-8)
    np.testing.assert_allclose(found.forces, wanted.forces, atol=1e-6)
    np.testing.assert_allclose(found.stress, wanted.stress, atol=1e-9)


def test_the_campaigns_differ_in_the_bias_only():
    biased, unbiased, metadynamics = (
        load_campaign(INPUTS / f"{name}.yaml").model_dump(mode="json")
        for name in ("biased", "unbiased", "metadynamics")
    )
    assert biased["exploration"].pop("tau") > 0.0
    assert biased["exploration"].pop("tau_stress") > 0.0
    assert metadynamics["exploration"].pop("metadynamics") is not None
    for other in (unbiased, metadynamics):
        assert other["exploration"].pop("tau") == 0.0
        assert other["exploration"].pop("tau_stress") == 0.0
    assert biased["exploration"].pop("metadynamics") is None
    assert unbiased["exploration"].pop("metadynamics") is None
    names = [campaign.pop("name") for campaign in (biased, unbiased, metadynamics)]
    assert len(set(names)) == 3
    assert biased == unbiased == metadynamics


def test_the_test_set_covers_both_phases_and_the_path_between_evenly():
    frames, _ = read_frames(INPUTS / "testset.extxyz")
    volumes = [atoms.get_volume() for atoms in frames]
    assert np.histogram(volumes, bins=np.arange(750, 1551, 100))[0].min() >= 10


def test_the_test_set_has_the_labels_of_the_reference():
    frames, _ = read_frames(INPUTS / "testset.extxyz", index="::40")
    start = ase.io.read(INPUTS / "cp.xyz")
    for atoms in frames:
        assert atoms.get_chemical_symbols() == start.get_chemical_symbols()
        found = label(atoms, reference())
        assert found.energy == pytest.approx(atoms.info["REF_energy"], abs=1e-5)
        np.testing.assert_allclose(found.forces, atoms.arrays["REF_forces"], atol=2e-5)
        np.testing.assert_allclose(found.stress, atoms.info["REF_stress"], atol=1e-7)


def test_finished_models_differ_from_those_of_the_campaigns_in_what_the_table_names():
    file = load_training(INPUTS / "finish.yaml")
    model, training, uncertainty = file.model, file.training, file.uncertainty
    campaign = load_campaign(INPUTS / "biased.yaml")
    assert model == campaign.model.model_copy(update={"cutoff": 5.0, "n_radial": 7})
    assert training == campaign.training
    assert uncertainty == campaign.uncertainty
