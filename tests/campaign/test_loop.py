"""A campaign ends with the same labels however often it is killed, and on any number of ranks."""

import re
import signal
import sys
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.emt import EMT
from campaigns import ALA2, metrics, mpirun, shared_commands, tiny

from pyubias.campaign.arms import arms_of
from pyubias.campaign.label_store import LabelledFrame, LabelStore
from pyubias.campaign.loop import run_campaign
from pyubias.config.loading import load_campaign
from pyubias.errors import UserError
from pyubias.files import read_json
from pyubias.lammps.walk import load_walks
from pyubias.model.archive import load
from pyubias.training.checkpoint import load_trained
from pyubias.training.labels import hash_frames
from pyubias.training.structures import read_structures

TESTS = Path(__file__).parents[1]
# in the order in which an iteration writes them
FILES = (
    "potential.ckpt",
    "model.pt",
    "00.npz",
    "selection.traj",
    "record.json",
)


class Unconverged(EMT):
    """A reference that does not converge for some frames, always the same ones."""

    def calculate(self, atoms: Atoms, *arguments: Any) -> None:
        if self.fails(atoms):
            raise RuntimeError("SCF did not converge\n  in 50 steps")
        super().calculate(atoms, *arguments)

    def fails(self, atoms: Atoms) -> bool:
        return int(1e6 * atoms.positions[0, 0]) % 3 == 0


class OnlyAtFirst(Unconverged):
    """A reference that converges for ten frames and never again."""

    n_good = 0

    def fails(self, atoms: Atoms) -> bool:
        OnlyAtFirst.n_good += 1
        return OnlyAtFirst.n_good > 10


class NoEthane(EMT):
    """A reference that cannot do one molecule."""

    def calculate(self, atoms: Atoms, *arguments: Any) -> None:
        if len(atoms) == 8:
            raise RuntimeError("SCF did not converge")
        super().calculate(atoms, *arguments)


def run(folder: Path, changes: dict[str, Any] | None = None) -> Path:
    """A tiny campaign on this rank, without its report."""
    return run_campaign(load_campaign(tiny(folder, changes)), folder / "runs")


def ase_reference(calculator: str) -> dict[str, Any]:
    """Changes that replace the reference by one of ASE; `tiny` drops what is None."""
    return {"kind": "ase", "calculator": calculator, "input": None}


def labels(run_folder: Path) -> list[LabelledFrame]:
    return LabelStore(run_folder / "labels.db").frames()


def assert_same_result(run_folder: Path, other: Path) -> None:
    """The same frames with the same labels, for the same reasons, and the same metrics."""
    ours, theirs = labels(run_folder), labels(other)
    assert [f.key for f in ours] == [f.key for f in theirs]
    for a, b in zip(ours, theirs, strict=True):
        assert (a.iteration, a.split, a.walker) == (b.iteration, b.split, b.walker)
        assert a.failed == b.failed
        np.testing.assert_allclose(a.atoms.positions, b.atoms.positions, rtol=0, atol=1e-8)
        if not a.failed:
            energy, forces = b.atoms.info["REF_energy"], b.atoms.arrays["REF_forces"]
            assert a.atoms.info["REF_energy"] == pytest.approx(energy, rel=0, abs=1e-7)
            np.testing.assert_allclose(a.atoms.arrays["REF_forces"], forces, rtol=0, atol=1e-5)
    for record, wanted in zip(metrics(run_folder), metrics(other), strict=True):
        assert record.keys() == wanted.keys()
        for name, value in wanted.items():
            close = value if value is None else pytest.approx(value, rel=1e-6)
            assert record[name] == close, name


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a campaign on one rank that nothing disturbed."""
    return run(tmp_path_factory.mktemp("uninterrupted"))


def test_a_campaign_labels_up_to_its_budget_and_leaves_a_model(uninterrupted: Path) -> None:
    frames, records = labels(uninterrupted), metrics(uninterrupted)
    assert [r["n_labels"] for r in records] == [10, 14, 18]
    assert [r["last"] for r in records] == [False, False, True]
    assert len(frames) == 18
    assert {f.iteration for f in frames} == {0, 1, 2}
    assert not any(f.failed for f in frames)
    steps = 0
    for iteration in (0, 1):
        walks = load_walks(uninterrupted / "iterations" / f"{iteration:04d}" / "walkers")
        assert len(walks) == 2
        steps += sum(w.steps for w in walks)
        assert records[iteration]["md_steps"] == steps
        assert records[iteration]["walkers_crossed"] == sum(w.crossed for w in walks)
    last = uninterrupted / "iterations" / "0002" / "model.pt"
    assert (uninterrupted / "model.pt").read_bytes() == last.read_bytes()


def test_nothing_is_labelled_twice(uninterrupted: Path) -> None:
    positions = np.array([f.atoms.positions.ravel() for f in labels(uninterrupted)])
    distances = np.abs(positions[:, None] - positions[None]).max(2)
    assert distances[~np.eye(len(positions), dtype=bool)].min() > 1e-6


def test_walkers_restart_from_the_frames_that_were_selected_last(uninterrupted: Path) -> None:
    newest = [f.atoms for f in labels(uninterrupted) if f.iteration == 1]
    walks = load_walks(uninterrupted / "iterations" / "0001" / "walkers")
    for atoms, walk in zip(newest, walks, strict=False):
        first = walk.frames()[0]
        np.testing.assert_allclose(
            first.get_all_distances(), atoms.get_all_distances(), rtol=0, atol=1e-6
        )


def test_the_calibration_split_is_never_redrawn_or_trained_on(uninterrupted: Path) -> None:
    frames = labels(uninterrupted)
    for iteration in range(3):
        known = [f for f in frames if f.iteration <= iteration]
        trained = load_trained(uninterrupted / "iterations" / f"{iteration:04d}" / "potential.ckpt")
        counts = [sum(f.split == s for f in known) for s in ("train", "validation", "calibration")]
        assert [trained.n_train, trained.n_validation, trained.n_calibration] == counts
        assert trained.training_hash == hash_frames([f.atoms for f in known])


def test_same_seed_same_result_and_another_seed_another(
    uninterrupted: Path, tmp_path: Path
) -> None:
    assert_same_result(run(tmp_path), uninterrupted)
    start = run(tmp_path, {"name": "other", "seed": 4, "stop": {"labels": 10}})
    ours, theirs = labels(start)[0].atoms, labels(uninterrupted)[0].atoms
    assert np.abs(ours.positions - theirs.positions).max() > 1e-3


def test_killed_anywhere_and_restarted_it_ends_like_an_uninterrupted_run(
    uninterrupted: Path, tmp_path: Path
) -> None:
    """SIGKILL while labels come in, and just before each kind of file gets its name."""
    file, commands = tiny(tmp_path), shared_commands()
    folder = tmp_path / "runs" / "tiny"

    def n_labels() -> int:
        return len(labels(folder)) if (folder / "labels.db").is_file() else 0

    seen = 0
    # label by label, then just before each kind of file gets its name
    for wanted in ("config.json", "labels.db", 1, 4, *FILES):
        if isinstance(wanted, int):
            command = commands.start(tmp_path, "run", file)
            command.kill_when(lambda w=wanted: n_labels() >= w)
            assert n_labels() >= wanted
        else:
            command = commands.run(tmp_path, "run", file, die_before=wanted)
            assert command.status == -signal.SIGKILL, (wanted, command.output)
        assert n_labels() >= seen
        seen = n_labels()
    # in the middle of the labels of the second iteration, and of its walkers
    command = commands.start(tmp_path, "run", file)
    command.kill_when(lambda: (folder / "iterations/0001/walkers/00.npz").is_file())
    run(tmp_path)
    assert_same_result(folder, uninterrupted)


@pytest.mark.parametrize("name", ["metrics.json", "record.json"])
def test_killed_while_it_writes_its_last_record_it_writes_it_again(
    name: str, tmp_path: Path
) -> None:
    changes = {"stop": {"labels": 10}}
    command = shared_commands().run(tmp_path, "run", tiny(tmp_path, changes), die_before=name)
    assert command.status == -signal.SIGKILL, command.output
    assert [(r["n_labels"], r["last"]) for r in metrics(run(tmp_path, changes))] == [(10, True)]


def test_a_finished_campaign_started_again_does_nothing(uninterrupted: Path) -> None:
    watched = [*uninterrupted.rglob("*.ckpt"), *uninterrupted.rglob("*.npz")]
    watched += [uninterrupted / "labels.db", uninterrupted / "metrics.json"]
    before = {path: path.stat().st_mtime_ns for path in watched}
    run(uninterrupted.parents[1])
    assert {path: path.stat().st_mtime_ns for path in watched} == before


def test_a_raised_label_budget_goes_on_as_if_it_had_been_so_from_the_start(
    uninterrupted: Path, tmp_path: Path
) -> None:
    folder = run(tmp_path, {"stop": {"labels": 14}})
    assert [r["n_labels"] for r in metrics(folder)] == [10, 14]
    run(tmp_path)
    assert_same_result(folder, uninterrupted)


def test_the_last_training_takes_longer_and_is_forgotten_when_the_budget_is_raised(
    tmp_path: Path,
) -> None:
    def epochs(folder: Path) -> list[int]:
        paths = sorted(folder.glob("iterations/*/potential.ckpt"))
        return [load_trained(path).history[-1]["epoch"] for path in paths]

    # 2, 3 and 4 batches an epoch
    short = {"training": {"epochs": 9, "max_steps": 6, "final_factor": 3.0, "validate_every": 1}}
    raised, whole = tmp_path / "raised", tmp_path / "whole"
    for path in (raised, whole):
        path.mkdir()
    folder = run(raised, {**short, "stop": {"labels": 14}})
    assert epochs(folder) == [3, 6]
    run(raised, short)
    assert epochs(folder) == [3, 2, 4]
    assert_same_result(folder, run(whole, short))


def test_the_wall_clock_ends_an_invocation_and_the_next_one_goes_on(
    uninterrupted: Path, tmp_path: Path
) -> None:
    folder = run(tmp_path, {"stop": {"hours": 1e-9}})
    assert [r["n_labels"] for r in metrics(folder)] == [10]
    assert "stop.hours = 1e-09 reached" in (folder / "log.txt").read_text()
    run(tmp_path)
    assert_same_result(folder, uninterrupted)


def test_walkers_run_in_the_precision_asked_for(uninterrupted: Path, tmp_path: Path) -> None:
    folder = run(tmp_path, {"exploration": {"dtype": "float64"}, "stop": {"labels": 10}})
    found = [load(each / "model.pt")[1].dtype for each in (uninterrupted, folder)]
    assert found == ["float32", "float64"]


def test_a_campaign_ends_at_its_target_error(tmp_path: Path) -> None:
    records = metrics(run(tmp_path, {"stop": {"forces_rmse": 1e3}}))
    assert [(r["n_labels"], r["last"]) for r in records] == [(10, True)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 5}, r"made with seed = 3, now it is 5; give the campaign another name"),
        ({"training": {"epochs": 7}}, r"training\.epochs = 6, now it is 7"),
        ({"exploration": {"tau": 0.0}}, r"exploration\.tau = 0\.25, now it is 0\.0"),
        (
            {"exploration": {"variables": {"temperature": 1}}},
            r"made without exploration\.variables\.temperature, now it is 1",
        ),
    ],
)
def test_changed_settings_are_refused(
    uninterrupted: Path, changes: dict[str, Any], message: str
) -> None:
    config = load_campaign(tiny(uninterrupted.parents[1], changes, "changed.yaml"))
    with pytest.raises(UserError, match=message):
        run_campaign(config, uninterrupted.parent)


def test_failed_labels_are_kept_with_their_reason_and_never_trained_on(tmp_path: Path) -> None:
    changes = {"reference": ase_reference("test_loop.Unconverged"), "stop": {"labels": 12}}
    folder = run(tmp_path, changes)

    frames = labels(folder)
    failed = [f for f in frames if f.failed]
    good = [f for f in frames if not f.failed]
    assert len(good) == 12
    assert {f.key for f in failed} == {f.key for f in frames if Unconverged().fails(f.atoms)}
    assert any(f.iteration == 0 for f in failed)
    assert {f.reason for f in failed} == {"RuntimeError: SCF did not converge in 50 steps"}
    assert all("REF_energy" not in f.atoms.info for f in failed)
    record = metrics(folder)[-1]
    assert (record["n_labels"], record["n_failed_labels"]) == (len(good), len(failed))
    last = load_trained(max(folder.rglob("potential.ckpt")))
    assert last.training_hash == hash_frames([f.atoms for f in good])
    log = (folder / "log.txt").read_text()
    assert f"label {failed[0].key} failed: RuntimeError: SCF did not converge in 50 steps" in log


def test_a_reference_that_always_fails_ends_the_campaign_after_three_batches(
    tmp_path: Path,
) -> None:
    OnlyAtFirst.n_good = 0
    changes = {"reference": ase_reference("test_loop.OnlyAtFirst")}
    records = metrics(run(tmp_path, changes))
    assert [r["n_labels"] for r in records] == [10, 10, 10]
    assert [r["last"] for r in records] == [False, False, True]
    log = (tmp_path / "runs" / "tiny" / "log.txt").read_text()
    assert "the reference failed for the last 3 batches: RuntimeError: SCF did not" in log


def test_a_reference_that_fails_for_all_start_structures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"labelled none of the start structures: \|F\| = .*limit"):
        run(tmp_path, {"reference": {"max_force": 1e-6}})


def test_a_reference_with_other_elements_is_an_error(tmp_path: Path) -> None:
    swapped = ase.io.read(ALA2 / "c7eq.xyz")[[1, 0, *range(2, 22)]]
    ase.io.write(tmp_path / "swapped.xyz", swapped)
    message = r"atom 1 is C in the structure and H in reference '.*reference\.in'"
    with pytest.raises(UserError, match=message):
        run(tmp_path, {"start": {"structures": str(tmp_path / "swapped.xyz")}})


def script_that_fails(folder: Path) -> str:
    """The walker script, which stops with an error where the variable `broken` is 1."""
    text = (ALA2 / "explore.in").read_text()
    script = folder / "broken.in"
    script.write_text(text.replace("run ${steps}", 'if "${broken} == 1" then "run -1"\nrun 20'))
    return str(script)


def test_a_walker_that_fails_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    exploration = {"input": script_that_fails(tmp_path), "variables": {"broken": [0, 1]}}
    folder = run(tmp_path, {"exploration": exploration, "stop": {"labels": 14}})
    assert [(r["n_labels"], r["walkers_failed"]) for r in metrics(folder)] == [(10, 1), (14, 0)]
    assert "walker 1: 0 steps, failed: " in (folder / "log.txt").read_text()
    good, bad = load_walks(folder / "iterations" / "0000" / "walkers")
    assert good.failure == ""
    assert "Invalid run command N value: -1" in bad.failure
    assert len(bad.positions) == 0


def test_walkers_that_all_fail_end_the_campaign_with_what_lammps_said(tmp_path: Path) -> None:
    exploration = {"input": script_that_fails(tmp_path), "variables": {"broken": 1}}
    message = "the walkers wrote no frame; Invalid run command N value: -1"
    with pytest.raises(UserError, match=message):
        run(tmp_path, {"exploration": exploration})


def test_start_structures_may_differ_in_composition(tmp_path: Path) -> None:
    starts = [molecule("H2O"), molecule("CH4"), molecule("NH3")]
    ase.io.write(tmp_path / "starts.xyz", starts)
    changes = {
        "start": {"structures": str(tmp_path / "starts.xyz"), "count": 9},
        "reference": ase_reference("ase.calculators.emt.EMT"),
        "exploration": {"walkers": 3},
        "stop": {"labels": 17},
        "evaluation": {"test": None, "collective_variables": []},
    }
    folder = run(tmp_path, changes)
    known = {str(atoms.symbols) for atoms in starts}
    frames = labels(folder)
    assert {str(f.atoms.symbols) for f in frames} <= known
    newest = [f.atoms for f in frames if f.iteration == 1]
    walks = load_walks(folder / "iterations" / "0001" / "walkers")
    for k, walk in enumerate(walks):
        assert str(walk.frames()[0].symbols) == str(newest[k % len(newest)].symbols)


def molecules(folder: Path, **selection: Any) -> dict[str, Any]:
    """Changes: water and methane at the start; ammonia, twice, ethane and methanol to choose."""
    other = molecule("NH3")
    other.rattle(0.1, seed=1)
    ase.io.write(folder / "starts.xyz", [molecule("H2O"), molecule("CH4")])
    candidates = [molecule("NH3"), other, molecule("C2H6"), molecule("CH3OH")]
    ase.io.write(folder / "candidates.xyz", candidates)
    return {
        "start": {"structures": "starts.xyz", "candidates": "candidates.xyz", "count": 8},
        "reference": ase_reference("ase.calculators.emt.EMT"),
        "exploration": {"walkers": 3},
        "selection": {"batch_size": 4, **selection},
        "stop": {"labels": 16},
        "evaluation": {"test": None, "collective_variables": []},
    }


def names_of(frames: list[LabelledFrame]) -> list[str]:
    return [str(f.atoms.symbols) for f in frames]


@pytest.fixture(scope="module")
def over_molecules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a campaign that prefers molecules to geometries."""
    pytest.importorskip("rdkit")
    folder = tmp_path_factory.mktemp("molecules")
    return run(folder, molecules(folder, balance=1.0))


def test_molecules_only_labels_every_candidate_molecule_once_then_geometries(
    over_molecules: Path,
) -> None:
    frames = labels(over_molecules)
    second, third = ([f for f in frames if f.iteration == k] for k in (1, 2))
    new = {str(molecule(name).symbols) for name in ("NH3", "C2H6", "CH3OH")}
    assert set(names_of(second)[:3]) == new
    assert [f.walker for f in second[:3]] == [-1, -1, -1]
    assert len(names_of(second)) == len(names_of(third)) == 4
    assert all(f.walker >= 0 for f in third)


def test_walkers_start_from_molecules_that_were_labelled_last(over_molecules: Path) -> None:
    frames = labels(over_molecules)
    newest = [f for f in frames if f.iteration == 1]
    walks = load_walks(over_molecules / "iterations" / "0001" / "walkers")
    assert [str(w.frames()[0].symbols) for w in walks] == names_of(newest)[:3]
    # and what is selected from them is of the same molecules
    for f in (f for f in frames if f.iteration == 2):
        assert f.molecule == newest[f.walker].molecule


def test_the_record_says_how_many_molecules_are_labelled(over_molecules: Path) -> None:
    frames, records = labels(over_molecules), metrics(over_molecules)
    assert [r["molecules"] for r in records] == [2, 5, 5]
    assert (
        records[-1]["molecules"] == len({f.molecule for f in frames}) == len(set(names_of(frames)))
    )
    log = (over_molecules / "log.txt").read_text()
    assert "8 labels, 2 molecules" in log
    assert "pool: 5 molecules, 3 of them without a label" in log


@pytest.mark.parametrize("name", ["selection.traj", "00.npz", "record.json"])
def test_a_campaign_over_molecules_goes_on_where_it_was_killed(
    over_molecules: Path, tmp_path: Path, name: str
) -> None:
    file = tiny(tmp_path, molecules(tmp_path, balance=1.0))
    command = shared_commands().run(tmp_path, "run", file, die_before=name)
    assert command.status == -signal.SIGKILL, command.output
    folder = run_campaign(load_campaign(file), tmp_path / "runs")
    assert_same_result(folder, over_molecules)
    ours, theirs = labels(folder), labels(over_molecules)
    assert [f.molecule for f in ours] == [f.molecule for f in theirs]


def test_ranks_change_nothing_over_molecules(over_molecules: Path, tmp_path: Path) -> None:
    file = tiny(tmp_path, molecules(tmp_path, balance=1.0))
    result = mpirun(2, tmp_path, sys.executable, TESTS / "campaigns.py", file)
    assert result.returncode == 0, result.stdout + result.stderr
    assert_same_result(tmp_path / "runs" / "tiny", over_molecules)


def test_a_batch_takes_no_more_of_one_molecule_than_the_cap(tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    folder = run(tmp_path, molecules(tmp_path, per_molecule=1))
    for iteration in (1, 2):
        batch = names_of([f for f in labels(folder) if f.iteration == iteration])
        assert len(batch) == len(set(batch))


def test_a_candidate_whose_label_failed_is_not_picked_again(tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    changes = molecules(tmp_path, balance=1.0)
    changes["reference"] = ase_reference("test_loop.NoEthane")
    frames = labels(run(tmp_path, changes))
    failed = [f for f in frames if f.failed]
    assert names_of(failed) == [str(molecule("C2H6").symbols)]


def test_the_control_arm_is_the_campaign_with_the_differences_applied(tmp_path: Path) -> None:
    config = load_campaign(tiny(tmp_path, {"control": {"exploration": {"tau": 0.0}}}))
    main, control = arms_of(config, tmp_path / "x")
    assert (main.name, control.name) == ("biased", "unbiased")
    assert control.folder.path == tmp_path / "x" / "control"
    assert control.config.exploration.tau == 0.0
    same = control.config.model_dump(exclude={"control", "exploration"})
    assert same == main.config.model_dump(exclude={"control", "exploration"})


def test_an_arm_is_named_after_what_drives_its_walkers(tmp_path: Path) -> None:
    gaussians = {"height": 0.1, "width": 40.0, "stride": 100}
    driven = {"exploration": {"tau": 0.0, "metadynamics": gaussians}}
    config = load_campaign(tiny(tmp_path, {"control": driven}))
    assert [arm.name for arm in arms_of(config, tmp_path)] == ["biased", "metadynamics"]


def test_a_walker_that_fails_on_one_of_its_ranks_is_kept_as_failed(tmp_path: Path) -> None:
    """LAMMPS ends such a rank alone; the campaign ends with it, and goes on past the walker."""
    script = (ALA2 / "explore.in").read_text().replace("boundary s s s", "boundary p p p")
    script = re.sub("fix bath .*", "", script)
    fly = "group one id 1\nvariable far atom 1e200*1e200\nvelocity one set v_far NULL NULL\n"
    (tmp_path / "broken.in").write_text(
        script.replace("\nrun ${steps}", f"\nrun 10\n{fly}run ${{steps}}")
    )
    walker = {"input": str(tmp_path / "broken.in"), "ranks_per_walker": 2, "walkers": 1}
    file = tiny(tmp_path, {"exploration": walker, "stop": {"labels": 12}})
    command = (sys.executable, "-c", "from pyubias.cli import main; main()", "run", file)

    first = mpirun(2, tmp_path, *command)
    assert first.returncode == 2, first.stdout + first.stderr
    assert "walker 0 failed on one of its 2 ranks" in first.stderr
    assert "run the same command to go on" in first.stderr
    again = mpirun(2, tmp_path, *command)
    assert again.returncode == 0, again.stdout + again.stderr
    (walk,) = load_walks(tmp_path / "runs" / "tiny" / "iterations" / "0000" / "walkers")
    assert "Non-numeric" in walk.failure
    assert len(walk.positions) >= 1
    assert np.isfinite(walk.positions).all()


def test_ranks_change_no_result_and_may_share_a_walker(uninterrupted: Path, tmp_path: Path) -> None:
    """Two ranks: as one rank does; two ranks per walker; an arm and its control side by side."""
    spread = tiny(tmp_path, {"name": "spread"}, "spread.yaml")
    shared = {"name": "shared", "exploration": {"ranks_per_walker": 2}, "stop": {"labels": 14}}
    control = {
        "name": "both",
        "stop": {"labels": 14},
        "control": {"exploration": {"tau": 0.0}},
    }
    files = [spread, tiny(tmp_path, shared, "shared.yaml"), tiny(tmp_path, control, "both.yaml")]
    result = mpirun(2, tmp_path, sys.executable, TESTS / "campaigns.py", *files)
    assert result.returncode == 0, result.stdout + result.stderr

    runs = tmp_path / "runs"
    assert_same_result(runs / "spread", uninterrupted)
    for folder in (runs / "shared", runs / "both", runs / "both" / "control"):
        assert [r["n_labels"] for r in metrics(folder)] == [10, 14]
        walks = load_walks(folder / "iterations" / "0000" / "walkers")
        assert [w.failure for w in walks] == ["", ""]
    # the bias starts when its window of 100 steps is full, so that both arms are still alike
    assert_same_result(runs / "both" / "control", runs / "both")
    ours = load_walks(runs / "shared" / "iterations" / "0000" / "walkers")
    theirs = load_walks(uninterrupted / "iterations" / "0000" / "walkers")
    for a, b in zip(ours, theirs, strict=True):
        # the thermostat draws its noise rank by rank: only the beginning is the same
        distances = [w.frames()[0].get_all_distances() for w in (a, b)]
        np.testing.assert_allclose(*distances, rtol=0, atol=1e-6)
    assert read_json(runs / "both" / "control" / "config.json")["exploration"]["tau"] == 0.0


def test_ranks_may_train_together(tmp_path: Path) -> None:
    """Replicas of one potential that share each batch; members of an ensemble side by side."""
    kinds: dict[str, dict[str, Any]] = {
        "replicas": {"training": {"ranks": 2}},
        "ensemble": {"uncertainty": {"kind": "ensemble", "members": 2}},
    }
    files = [
        tiny(tmp_path, {**changes, "name": name, "stop": {"labels": 14}}, f"{name}.yaml")
        for name, changes in kinds.items()
    ]
    result = mpirun(2, tmp_path, sys.executable, TESTS / "campaigns.py", *files)
    assert result.returncode == 0, result.stdout + result.stderr
    for name in kinds:
        assert [r["n_labels"] for r in metrics(tmp_path / "runs" / name)] == [10, 14]


def test_start_structures_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "broken.xyz"
    path.write_text("3\n\nH 0 0\n")
    with pytest.raises(UserError, match=r"start structures '.*broken\.xyz' cannot be read"):
        read_structures(path)
    ase.io.write(tmp_path / "none.extxyz", [], format="extxyz")
    with pytest.raises(UserError, match=r"start structures '.*none\.extxyz'"):
        read_structures(tmp_path / "none.extxyz")
    charged = Atoms("NH4", positions=np.arange(15.0).reshape(5, 3), info={"charge": 1})
    ase.io.write(tmp_path / "charged.extxyz", [Atoms("He"), charged])
    with pytest.raises(UserError, match=r"structure 1 has charge 1, .* reference\.arguments"):
        read_structures(tmp_path / "charged.extxyz")


def test_start_structures_lose_their_labels_and_keep_their_cells(tmp_path: Path) -> None:
    atoms = Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.8]], cell=[5, 6, 7], pbc=True)
    atoms.info["REF_energy"] = -1.0
    ase.io.write(tmp_path / "h2.extxyz", atoms)
    (read,) = read_structures(tmp_path / "h2.extxyz")
    assert read.info == {}
    np.testing.assert_array_equal(read.cell.array, np.diag([5.0, 6.0, 7.0]))
