"""The alanine dipeptide inputs are AMBER ff14SB and start at its C7eq minimum."""

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path

import ase.io
import mpi4py.MPI  # noqa: F401  (LAMMPS shares this MPI, so it must come first)
import numpy as np
import pytest
from ase import Atoms
from lammps import lammps
from peptide import PHI, PSI, conformations

from pyubias.config.loading import load_campaign, load_training

INPUTS = Path(__file__).parents[2] / "inputs" / "ala2"
OMEGAS = ((1, 4, 6, 8), (8, 14, 16, 18))
RESIDUES = {
    "ACE": "H1 CH3 H2 H3 C O",
    "ALA": "N H CA HA CB HB1 HB2 HB3 C O",
    "NME": "N H C H1 H2 H3",
}
KJ = 1.0 / 96.48533212331  # eV
KCAL = 4.184 * KJ

Evaluate = Callable[[np.ndarray], tuple[float, np.ndarray]]


@pytest.fixture
def in_lammps() -> Iterator[Evaluate]:
    """Evaluates the energy and the forces in LAMMPS, in eV and eV/A."""
    lmp = lammps(cmdargs=["-screen", "none", "-log", "none", "-nocite"])
    lmp.command(f'variable data index "{INPUTS / "ala2.data"}"')
    lmp.file(str(INPUTS / "reference.in"))

    def evaluate(positions: np.ndarray) -> tuple[float, np.ndarray]:
        flat = np.ascontiguousarray(positions, dtype=float)
        lmp.scatter_atoms("x", 1, 3, flat.ctypes.data_as(ctypes.POINTER(ctypes.c_double)))
        lmp.command("run 0 post no")
        forces = np.array(lmp.gather_atoms("f", 1, 3)).reshape(-1, 3)
        return lmp.get_thermo("pe") * KCAL, forces * KCAL

    yield evaluate
    lmp.close()


@pytest.fixture
def in_openmm() -> Evaluate:
    """Evaluates the energy and the forces in OpenMM, in eV and eV/A."""
    mm = pytest.importorskip("openmm")
    app = pytest.importorskip("openmm.app")
    unit = pytest.importorskip("openmm.unit")
    top = app.Topology()
    chain = top.addChain()
    for residue, names in RESIDUES.items():
        group = top.addResidue(residue, chain)
        for name in names.split():
            top.addAtom(name, app.Element.getBySymbol(name[0]), group)
    top.createStandardBonds()
    system = app.ForceField("amber14-all.xml").createSystem(
        top, nonbondedMethod=app.NoCutoff, constraints=None, rigidWater=False
    )
    context = mm.Context(
        system, mm.VerletIntegrator(0.001), mm.Platform.getPlatformByName("Reference")
    )

    def evaluate(positions: np.ndarray) -> tuple[float, np.ndarray]:
        context.setPositions(np.asarray(positions) / 10.0)
        state = context.getState(getEnergy=True, getForces=True)
        energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
        forces = state.getForces(asNumpy=True).value_in_unit(
            unit.kilojoule_per_mole / unit.angstrom
        )
        return energy * KJ, forces * KJ

    return evaluate


@pytest.fixture
def c7eq() -> Atoms:
    """The minimised structure."""
    return ase.io.read(INPUTS / "c7eq.xyz")


def is_l(atoms: Atoms) -> bool:
    """Tells whether CA is L, by the sign of the volume that its N, C and CB span."""
    to_n, to_c, to_cb = atoms.positions[[6, 14, 10]] - atoms.positions[8]
    return float(np.dot(to_n, np.cross(to_c, to_cb))) > 0.0


def turn(angle: float, target: float) -> float:
    """Returns the smallest turn from target to angle, in degrees without a sign."""
    return abs((angle - target + 180.0) % 360.0 - 180.0)


def test_lammps_energy_and_forces_equal_openmm_amber14(
    in_lammps: Evaluate, in_openmm: Evaluate, c7eq: Atoms
) -> None:
    """LAMMPS has the absolute energy and the forces of OpenMM's ff14SB.

    They differ by 2e-8 eV and 1e-8 eV/A (below 1e-11 of the largest force where atoms clash):
    that is the Coulomb constant, of which LAMMPS keeps eight digits (relative difference 1e-8).
    """
    for atoms in [c7eq, *conformations(c7eq, 20)]:
        energy, forces = in_lammps(atoms.positions)
        expected_energy, expected_forces = in_openmm(atoms.positions)
        largest = np.abs(expected_forces).max()
        assert energy == pytest.approx(expected_energy, rel=1e-9, abs=1e-7)
        assert np.abs(forces - expected_forces).max() < 1e-7 + 1e-9 * largest


def test_the_data_file_is_the_neutral_l_molecule_at_c7eq(c7eq: Atoms) -> None:
    """ala2.data holds L-alanine dipeptide, uncharged, trans and at (-75, 54) degrees."""
    atoms = ase.io.read(INPUTS / "ala2.data", format="lammps-data", atom_style="full", units="real")
    assert str(atoms.symbols) == "HCH2CONHCHCH3CONHCH3"
    assert atoms.get_initial_charges().sum() == pytest.approx(0.0, abs=1e-12)
    assert turn(atoms.get_dihedral(*PHI), -75.05) < 0.01
    assert turn(atoms.get_dihedral(*PSI), 53.95) < 0.01
    assert all(turn(atoms.get_dihedral(*omega), 180.0) < 1.0 for omega in OMEGAS)
    assert is_l(atoms)
    assert list(c7eq.symbols) == list(atoms.symbols)
    np.testing.assert_allclose(c7eq.positions, atoms.positions, rtol=0.0, atol=1e-9)


def test_c7eq_xyz_is_an_unlabelled_free_molecule(c7eq: Atoms) -> None:
    """c7eq.xyz is not periodic and carries positions alone."""
    assert not c7eq.pbc.any()
    assert c7eq.calc is None
    assert c7eq.info == {}
    assert set(c7eq.arrays) == {"numbers", "positions"}


def test_c7eq_is_stationary(in_lammps: Evaluate, c7eq: Atoms) -> None:
    """No force is left at the minimum."""
    _, forces = in_lammps(c7eq.positions)
    assert np.abs(forces).max() < 1e-6


def test_the_energy_does_not_depend_on_where_the_molecule_is(
    in_lammps: Evaluate, c7eq: Atoms
) -> None:
    """A molecule far outside the data file's box loses no atom and no interaction."""
    energy, _ = in_lammps(c7eq.positions)
    moved, _ = in_lammps(c7eq.positions + np.array([500.0, -300.0, 40.0]))
    assert moved == pytest.approx(energy, rel=0.0, abs=1e-9)


def test_testset_frames_lie_at_the_cell_centres_l_and_trans(
    tmp_path: Path, in_lammps: Evaluate
) -> None:
    """Each frame is its cell's: (phi, psi) held, chirality and peptide bonds kept, no explosion."""
    n, dump = 3, tmp_path / "testset.dump"
    args = ["-screen", "none", "-log", "none", "-nocite"]
    for name, value in {"n": n, "seed": 5, "dir": INPUTS, "dump": dump}.items():
        args += ["-var", name, str(value)]
    lmp = lammps(cmdargs=args)
    lmp.file(str(INPUTS / "testset.in"))
    lmp.close()

    frames = ase.io.read(dump, index=":", format="lammps-dump-text")
    centres = -180.0 + 360.0 * (np.arange(n) + 0.5) / n
    cells = [(phi, psi) for phi in centres for psi in centres]
    assert len(frames) == len(cells)
    for atoms, (phi, psi) in zip(frames, cells, strict=True):
        assert turn(atoms.get_dihedral(*PHI), phi) < 12.0
        assert turn(atoms.get_dihedral(*PSI), psi) < 12.0
        assert all(turn(atoms.get_dihedral(*omega), 180.0) < 60.0 for omega in OMEGAS)
        assert is_l(atoms)
        energy, forces = in_lammps(atoms.positions)
        assert -0.946 < energy < 2.0
        assert np.abs(forces).max() < 15.0


def test_finished_models_differ_from_those_of_the_campaigns_in_their_size() -> None:
    file, campaign = load_training(INPUTS / "finish.yaml"), load_campaign(INPUTS / "biased.yaml")
    assert file.model == campaign.model.model_copy(update={"n_radial": 7})
    assert file.training == campaign.training.model_copy(update={"seed": 1, "ranks": 1})
    assert file.uncertainty == campaign.uncertainty
    assert file.finish == campaign.finish


def test_the_quarter_is_the_study_with_two_hot_walkers() -> None:
    quarter, study = (load_campaign(INPUTS / f"{name}.yaml") for name in ("quarter", "biased"))
    temperatures = quarter.exploration.variables["temperature"]
    assert temperatures == [study.exploration.variables["temperature"]] * 6 + [600.0] * 2
    exploration = study.exploration.model_copy(update={"variables": {"temperature": temperatures}})
    stop = study.stop.model_copy(update={"labels": study.stop.labels // 4})
    changes = {"name": quarter.name, "exploration": exploration, "stop": stop}
    assert quarter == study.model_copy(update=changes)
