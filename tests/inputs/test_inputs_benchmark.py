"""The systems of the benchmark are complete, and test sets have the labels of the reference."""

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

import mpi4py.MPI  # noqa: F401  (LAMMPS shares this MPI, so it must come first)
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from toys import save_toy

from pyubias.analysis.collective_variables import collective_variables
from pyubias.campaign.inputs import read_inputs
from pyubias.config.loading import load_campaign
from pyubias.config.schema import CampaignConfig
from pyubias.lammps.library import open_lammps
from pyubias.lammps.walker import run_walker
from pyubias.reference.label import label_frame
from pyubias.reference.open import open_reference
from pyubias.training.reading import read_frames

INPUTS = Path(__file__).parents[2] / "inputs" / "benchmark"
SYSTEMS = sorted(path.parent.name for path in INPUTS.glob("*/campaign.yaml"))
NEEDS = {"proton": "tblite", "peptide": "openmm"}


@cache
def campaign(system: str) -> CampaignConfig:
    return load_campaign(INPUTS / system / "campaign.yaml")


@cache
def frames_of(system: str) -> list[Atoms]:
    return read_frames(INPUTS / system / "testset.extxyz")[0]


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    result = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(result)
    return result


def test_all_systems_are_there() -> None:
    assert SYSTEMS == ["alloy", "liquid", "peptide", "phase", "proton"]


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_files_of_a_campaign_fit_each_other(system: str) -> None:
    config = campaign(system)
    read_inputs(config)
    assert config.name == f"benchmark-{system}"
    command = f"mpirun -n 2 pyubias run inputs/benchmark/{system}/campaign.yaml"
    assert command in (INPUTS / system / "campaign.yaml").read_text()


@pytest.mark.parametrize("system", SYSTEMS)
def test_labels_of_a_test_set_are_those_of_the_reference(system: str) -> None:
    pytest.importorskip(NEEDS.get(system, "ase"))
    frames = frames_of(system)
    with open_reference(campaign(system).reference) as reference:
        for atoms in (frames[0], frames[-1]):
            found = label_frame(reference, atoms)
            assert found.energy == pytest.approx(atoms.info["REF_energy"], abs=2e-5)
            np.testing.assert_allclose(found.forces, atoms.arrays["REF_forces"], atol=5e-4)
            if found.stress is not None:
                np.testing.assert_allclose(found.stress, atoms.info["REF_stress"], atol=1e-6)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_test_set_is_small_and_varied_and_within_what_is_counted(system: str) -> None:
    """Frames are within the ranges of collective variables, and cover the most of each of them."""
    assert (INPUTS / system / "testset.extxyz").stat().st_size < 400_000
    frames = frames_of(system)
    assert 60 <= len(frames) <= 100
    variables = campaign(system).evaluation.collective_variables
    values = collective_variables(frames, variables)
    for variable, column in zip(variables, values.T, strict=True):
        low, high = variable.range or (-180.0, 180.0)
        assert ((column > low) & (column < high)).mean() > 0.95
        assert np.ptp(column) > 0.4 * (high - low), variable.name


def test_water_excludes_pairs_of_one_molecule_in_a_cell_thinner_than_the_cutoff() -> None:
    """LAMMPS leaves out the nearest images only: eight cells have eight times the energy."""
    folder = INPUTS / "liquid"
    script = (folder / "reference.in").read_text()
    energies = []
    for copies in (1, 2):
        replicate = f"replicate {copies} {copies} {copies}\n"
        with open_lammps(variables={"here": folder}) as instance:
            instance.commands_string(script.replace("pair_coeff", replicate + "pair_coeff", 1))
            energies.append(instance.get_thermo("pe") / copies**3)
    assert energies[1] == pytest.approx(energies[0], abs=1e-4)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_bias_of_a_walker_begins_after_its_window(system: str, tmp_path: Path) -> None:
    config = campaign(system)
    elements = config.elements or []
    model = save_toy(tmp_path / "model.pt", elements=tuple(elements))
    start = read_inputs(config).start[0]
    # the toy only repels: pressure collapses a crystal, and without it the volume grows
    variables = {"temperature": 100.0, "pressure": 0.0}
    guard = config.exploration.guard.model_copy(update={"volume_ratio": 1e6})
    walks = []
    for tau in (config.exploration.tau, 0.0):
        changes = {"tau": tau, "tau_stress": 0.0, "steps": 120, "every": 20, "threshold": 1e9}
        changes |= {"variables": variables, "guard": guard}
        settings = config.exploration.model_copy(update=changes)
        folder = tmp_path / str(tau)
        folder.mkdir()
        walks.append(run_walker(settings, 0, model, elements, start, 1, folder))
    assert [walk.failure for walk in walks] == ["", ""]
    apart = np.abs(walks[0].positions - walks[1].positions).max(axis=(1, 2))
    assert apart[:6].max() < 1e-6
    assert apart[6] > 1e-5


def test_a_hop_is_the_distance_from_the_nearest_site() -> None:
    """Wherever the lattice is, and however it is strained."""
    hop = module(INPUTS / "alloy" / "hop.py").hop
    atoms = bulk("Cu", cubic=True, a=4.0) * (2, 2, 2)
    del atoms[0]
    vacancy = np.array([0.3, -0.1, 1.3])
    atoms.positions += vacancy
    assert hop(atoms) == pytest.approx(0.0, abs=1e-9)
    step = np.array([2.0, 2.0, 0.0])
    i = np.linalg.norm(atoms.positions - vacancy - step, axis=1).argmin()
    for part, expected in ((0.25, 0.25), (0.5, 0.5), (0.9, 0.1)):
        moved = atoms.copy()
        moved.positions[i] -= part * step
        moved.set_cell(moved.cell.array @ np.diag([1.1, 1.1, 1.1]), scale_atoms=True)
        # the mean of all atoms moves by a little
        assert hop(moved) == pytest.approx(expected * 1.1 * np.linalg.norm(step), rel=0.05)
