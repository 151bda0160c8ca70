"""A walker is one LAMMPS run of a plain script; what it leaves behind are whole, finite frames."""

import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from campaigns import ALA2
from toys import LennardJones, save_toy

from pyubias.config.exploration import ExplorationConfig
from pyubias.errors import UserError
from pyubias.lammps.data_file import write_structure
from pyubias.lammps.dumps import without_flips
from pyubias.lammps.library import LammpsError
from pyubias.lammps.walk import Walk, load_walk, load_walks
from pyubias.lammps.walker import run_walker, script_variables
from pyubias.model.prediction import Model

ELEMENTS = ["C", "H", "N", "O"]
SCRIPT = """
units metal
atom_style atomic
read_data ${structure}
pair_style ubias
pair_coeff * * ${model} ${elements}
velocity all create 30 ${seed}
fix move all npt temp 30 30 0.1 tri 0 0 1.0
dump t all custom ${every} ${trajectory} id element xu yu zu
dump_modify t element ${elements} sort id format float %.15g
run ${steps}
"""


def test_flips_of_the_cell_are_undone() -> None:
    """Cells that tilt ever further, as LAMMPS writes them: each tilt within half a vector."""
    start = np.array([[10.0, 0.0, 0.0], [1.0, 8.0, 0.0], [-2.0, 3.0, 6.0]])
    steps = np.linspace(0.0, 1.0, 40)[:, None, None]
    tilted = start + steps * np.array([[0, 0, 0], [12.0, 0.5, 0], [-17.0, 11.0, 0]])
    written = tilted.copy()
    for cell in written:
        cell[2] -= np.round(cell[2, 1] / cell[1, 1]) * cell[1]
        cell[2] -= np.round(cell[2, 0] / cell[0, 0]) * cell[0]
        cell[1] -= np.round(cell[1, 0] / cell[0, 0]) * cell[0]
    assert np.abs(written - tilted).max() > 5.0
    turned = start @ np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    for first in (start, turned if np.linalg.det(turned) > 0 else -turned):
        np.testing.assert_allclose(without_flips(written, first), tilted, atol=1e-12)


@pytest.fixture
def c7eq() -> Atoms:
    return ase.io.read(ALA2 / "c7eq.xyz")


def config(**changes: object) -> ExplorationConfig:
    fields = {"input": ALA2 / "explore.in", "steps": 20, "every": 5, "threshold": 1e6, "tau": 0.0}
    return ExplorationConfig(**(fields | changes))


def walk(
    settings: ExplorationConfig, model: Path, structure: Atoms, folder: Path, seed: int = 1
) -> Walk:
    folder.mkdir(exist_ok=True)
    return run_walker(settings, 0, model, ELEMENTS, structure, seed, folder)


def test_a_walker_writes_a_frame_every_so_often_and_the_start_first(
    model_file: Path, c7eq: Atoms, tmp_path: Path
) -> None:
    result = walk(config(), model_file, c7eq, tmp_path)
    assert result.timesteps.tolist() == [0, 5, 10, 15, 20]
    assert (result.steps, result.crossed, result.failure) == (20, False, "")
    frames = result.frames()
    for atoms in frames:
        assert atoms.get_chemical_symbols() == c7eq.get_chemical_symbols()
        assert not atoms.pbc.any()
        assert atoms.cell.rank == 0
    distances = frames[0].get_all_distances()
    np.testing.assert_allclose(distances, c7eq.get_all_distances(), rtol=0, atol=1e-6)


def test_a_walker_stops_at_its_threshold_and_keeps_the_frame_that_crossed(
    model_file: Path, c7eq: Atoms, tmp_path: Path
) -> None:
    hot = config(every=1, steps=60, variables={"temperature": 2000.0})
    free = walk(hot, model_file, c7eq, tmp_path / "free")
    # the start itself may be above: fix halt looks at it no sooner than after the first step
    uncertainty = [p.atomic_uncertainty.max() for p in Model(model_file).predict(free.frames())]
    peak = int(np.argmax(uncertainty[2:])) + 2
    threshold = 0.5 * (max(uncertainty[1:peak]) + uncertainty[peak])
    assert max(uncertainty[1:peak]) < threshold < uncertainty[peak]

    hot = hot.model_copy(update={"every": 100, "threshold": float(threshold)})
    stopped = walk(hot, model_file, c7eq, tmp_path / "stopped")
    assert stopped.crossed
    assert stopped.steps == peak
    assert stopped.timesteps.tolist() == [0, peak]
    np.testing.assert_allclose(
        stopped.frames()[-1].get_all_distances(),
        free.frames()[peak].get_all_distances(),
        rtol=0,
        atol=1e-6,
    )


def test_same_seed_same_walk_and_another_seed_another(
    model_file: Path, c7eq: Atoms, tmp_path: Path
) -> None:
    a, b, c = (
        walk(config(), model_file, c7eq, tmp_path / str(k), seed)
        for k, seed in enumerate((1, 1, 2))
    )
    np.testing.assert_array_equal(a.positions, b.positions)
    assert np.abs(a.positions[-1] - c.positions[-1]).max() > 1e-3


def test_the_script_of_a_walker_also_runs_by_hand(
    model_file: Path, c7eq: Atoms, tmp_path: Path
) -> None:
    result = walk(config(tau=0.25), model_file, c7eq, tmp_path / "walker", seed=7)
    values = {
        "model": model_file,
        "structure": tmp_path / "walker" / "structure.data",
        "steps": 20,
        "every": 5,
        "seed": 7,
        "threshold": 1e6,
    }
    command = [Path(sys.executable).parent / "lmp", "-in", ALA2 / "explore.in", "-log", "none"]
    command += [x for name, value in values.items() for x in ("-var", name, str(value))]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    frames = ase.io.read(tmp_path / "trajectory.dump", index=":", format="lammps-dump-text")
    by_hand = np.array([atoms.positions for atoms in frames])
    np.testing.assert_allclose(by_hand, result.positions, rtol=0, atol=1e-8)


def test_a_walker_that_fails_says_why_and_keeps_its_frames(
    model_file: Path, c7eq: Atoms, tmp_path: Path
) -> None:
    script = tmp_path / "broken.in"
    text = (ALA2 / "explore.in").read_text()
    script.write_text(text.replace("run ${steps}", "run 10\nnonsense 1"))
    result = walk(config(input=script), model_file, c7eq, tmp_path)
    assert result.failure.startswith("Unknown command: nonsense 1")
    assert "\n" not in result.failure
    assert result.timesteps.tolist() == [0, 5, 10]
    assert result.steps == 10


def test_a_model_that_cannot_be_read_is_a_failure_of_the_walker(
    c7eq: Atoms, tmp_path: Path
) -> None:
    (tmp_path / "model.pt").write_bytes(b"no model")
    result = walk(config(), tmp_path / "model.pt", c7eq, tmp_path)
    assert "model.pt" in result.failure
    assert len(result.positions) == 0


def test_frames_that_are_not_finite_are_dropped(
    model_file: Path, c7eq: Atoms, tmp_path: Path
) -> None:
    """What an exploding run wrote before it was stopped."""
    script = tmp_path / "explodes.in"
    text = (ALA2 / "explore.in").read_text()
    script.write_text(text.replace("run ${steps}", "run 5\ndisplace_atoms all move 1e8 0 0\nrun 5"))
    result = walk(config(input=script), model_file, c7eq, tmp_path)
    assert np.isfinite(result.positions).all()
    assert np.abs(result.positions).max() < 1e6
    assert len(result.positions) == len(result.cells) == len(result.timesteps) >= 1


def test_a_dump_with_other_elements_is_refused(
    model_file: Path, c7eq: Atoms, tmp_path: Path
) -> None:
    script = tmp_path / "wrong.in"
    text = (ALA2 / "explore.in").read_text()
    script.write_text(text.replace("trajectory element ${elements}", "trajectory element H C N O"))
    with pytest.raises(LammpsError, match="the elements differ from those of the start structure"):
        walk(config(input=script), model_file, c7eq, tmp_path)


def test_a_periodic_walker_keeps_cells_and_elements(tmp_path: Path) -> None:
    """Energies along the walk, from positions and cells that were read back, are LAMMPS' own."""
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True) * (2, 2, 2)
    shear = np.array([[0, 0.3, 0.1], [0.2, 0, 0.4], [0.1, 0.3, 0]])
    atoms.set_cell(atoms.cell.array + shear, scale_atoms=True)
    model = save_toy(tmp_path / "lj.pt", LennardJones())
    script = tmp_path / "npt.in"
    script.write_text(SCRIPT + "variable e equal pe\nprint $(pe:%.14g) file ${here}/energy\n")
    settings = config(input=script, steps=30, every=10)
    result = run_walker(settings, 0, model, ["Ar", "Ne"], atoms, 1, tmp_path)
    assert result.failure == ""
    frames = result.frames()
    assert all(frame.pbc.all() for frame in frames)
    assert abs(frames[-1].get_volume() - atoms.get_volume()) > 1e-3
    lengths = frames[0].cell.cellpar()
    np.testing.assert_allclose(lengths, atoms.cell.cellpar(), rtol=0, atol=1e-6)
    (prediction,) = Model(model).predict([frames[-1]])
    energy = float((tmp_path / "energy").read_text())
    assert prediction.energy == pytest.approx(energy, rel=1e-9)


@pytest.mark.law("exploration.guard.volume_ratio")
def test_a_walker_that_leaves_its_guard_is_cut_back_and_reported(tmp_path: Path) -> None:
    save_toy(tmp_path / "toy.pt", LennardJones())
    (tmp_path / "npt.in").write_text(SCRIPT)
    argon = bulk("Ar", a=5.0) * 3
    whole, cut = (
        run_walker(
            config(input=tmp_path / "npt.in", steps=200, every=20, guard={"volume_ratio": ratio}),
            0,
            tmp_path / "toy.pt",
            ["Ar", "Ne"],
            argon,
            1,
            tmp_path,
        )
        for ratio in (3.0, 1.02)
    )
    assert whole.failure == ""
    ratios = np.abs(np.linalg.det(whole.cells)) / argon.get_volume()
    n = int(np.argmax((ratios > 1.02) | (ratios < 1 / 1.02)))
    assert 0 < n < len(ratios)
    assert cut.failure.startswith(f"cut back from step {20 * n}, where the volume is ")
    np.testing.assert_array_equal(cut.positions, whole.positions[:n])
    assert cut.steps == 200


@pytest.mark.parametrize("periodic", [False, True])
def test_a_data_file_holds_the_structure_in_the_order_of_the_elements(
    tmp_path: Path, c7eq: Atoms, periodic: bool
) -> None:
    atoms = c7eq
    if periodic:
        cell = [[4, 0.2, 0], [1, 5, 0.3], [0.5, 1, 6]]
        inside = 0.4 * np.eye(4)[:, :3]
        atoms = Atoms("OCNH", scaled_positions=inside, cell=cell, pbc=True)
    before = atoms.copy()
    write_structure(tmp_path / "x.data", atoms, ELEMENTS)
    assert atoms == before
    read = ase.io.read(tmp_path / "x.data", format="lammps-data", atom_style="atomic")
    assert read.get_chemical_symbols() == atoms.get_chemical_symbols()
    distances = atoms.get_all_distances(mic=periodic)
    read.pbc = periodic
    np.testing.assert_allclose(read.get_all_distances(mic=periodic), distances, rtol=0, atol=1e-6)


def test_lists_of_variables_are_cycled_over_the_walkers() -> None:
    settings = config(variables={"temperature": [300, 600], "pressure": 1.0, "tau": [0.0, 0.1, 1]})
    chosen = [script_variables(settings, k) for k in range(4)]
    assert [c["temperature"] for c in chosen] == [300, 600, 300, 600]
    assert [c["pressure"] for c in chosen] == [1.0] * 4
    # one of our own may be set for each walker, too
    assert [c["tau"] for c in chosen] == [0.0, 0.1, 1, 0.0]
    assert all(c["steps"] == 20 and c["every"] == 5 for c in chosen)


def made_up(frames: int) -> Walk:
    return Walk(
        numbers=np.array([1, 8]),
        pbc=np.array([True, True, False]),
        positions=np.random.default_rng(frames).normal(size=(frames, 2, 3)),
        cells=np.tile(np.eye(3) * 4, (frames, 1, 1)),
        timesteps=np.arange(frames),
        steps=frames,
        crossed=frames > 2,
        failure="" if frames else "Lost atoms: original 2 current 1",
        time_step=0.0005,
    )


@pytest.mark.parametrize("frames", [0, 1, 3])
def test_a_walk_comes_back_as_it_was_saved(tmp_path: Path, frames: int) -> None:
    saved = made_up(frames)
    saved.save(tmp_path / "00.npz")
    loaded = load_walk(tmp_path / "00.npz")
    for name, value in vars(saved).items():
        np.testing.assert_array_equal(getattr(loaded, name), value, err_msg=name)
    assert [str(a.symbols) for a in loaded.frames()] == ["HO"] * frames


def test_a_walk_of_an_earlier_version_has_an_unknown_time_step(tmp_path: Path) -> None:
    fields = vars(made_up(3))
    del fields["time_step"]
    np.savez_compressed(tmp_path / "00.npz", **fields)
    assert np.isnan(load_walk(tmp_path / "00.npz").time_step)


def test_a_walk_has_the_time_step_of_its_script(tmp_path: Path) -> None:
    save_toy(tmp_path / "toy.pt", LennardJones())
    script = SCRIPT.replace("tri 0 0", "iso 0 0").replace("run ", "timestep 0.00025\nrun ")
    (tmp_path / "walk.in").write_text(script)
    settings = config(input=tmp_path / "walk.in", steps=5)
    atoms = Atoms("Ar2", [[0, 0, 0], [0, 0, 4]], cell=[20.0] * 3, pbc=True)
    walk = run_walker(settings, 0, tmp_path / "toy.pt", ["Ar", "Ne"], atoms, 1, tmp_path)
    assert (walk.failure, walk.time_step) == ("", 0.00025)


def test_walks_come_in_the_order_of_the_walkers_and_only_when_complete(tmp_path: Path) -> None:
    for k in (100, 2, 11):
        made_up(k % 7).save(tmp_path / f"{k:02d}.npz")
    (tmp_path / ".03.npz.tmp.npz").write_bytes(b"half")
    assert [w.steps for w in load_walks(tmp_path)] == [2, 11 % 7, 100 % 7]


def test_a_walker_whose_script_has_other_units_than_its_threshold_is_refused(
    tmp_path: Path,
) -> None:
    save_toy(tmp_path / "toy.pt", LennardJones())
    (tmp_path / "real.in").write_text(SCRIPT.replace("units metal", "units real"))
    with pytest.raises(UserError, match=r"real.in': units must be metal, got real") as raised:
        run_walker(
            config(input=tmp_path / "real.in", steps=5),
            0,
            tmp_path / "toy.pt",
            ["Ar", "Ne"],
            bulk("Ar", a=5.0) * 3,
            1,
            tmp_path,
        )
    # it ends the campaign, where a failed walk would not
    assert not isinstance(raised.value, LammpsError)


@pytest.mark.parametrize("worst", [1e30, -1e9, float("nan"), float("inf")])
def test_a_structure_with_absurd_coordinates_never_reaches_lammps(
    tmp_path: Path, worst: float
) -> None:
    argon = bulk("Ar", a=5.0) * 2
    argon.positions[3, 1] = worst
    with pytest.raises(UserError, match=r"Ar8: coordinates must be within 10000 Å, got"):
        write_structure(tmp_path / "x.data", argon, ["Ar"])
