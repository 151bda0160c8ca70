"""What a campaign on one rank leaves behind, and what ends it."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from campaigns import ALA2, WALKER, metrics, shared_commands, tiny
from outcomes import assert_same_result, bias_factors, labels, log_of, run, walks_of
from references import Unconverged, ase_reference

from pyubias.campaign.arms import arms_of
from pyubias.config.loading import load_campaign
from pyubias.errors import UserError
from pyubias.model.archive import load
from pyubias.training.checkpoint import load_trained
from pyubias.training.labels import hash_frames
from pyubias.training.structures import read_structures

law = pytest.mark.law


def test_a_campaign_labels_up_to_its_budget_and_leaves_a_model(uninterrupted: Path) -> None:
    frames, records = labels(uninterrupted), metrics(uninterrupted)
    assert [r["n_labels"] for r in records] == [10, 14, 18]
    assert [r["last"] for r in records] == [False, False, True]
    assert len(frames) == 18
    assert {f.iteration for f in frames} == {0, 1, 2}
    assert not any(f.failed for f in frames)
    steps = 0
    for iteration in (0, 1):
        walks = walks_of(uninterrupted, iteration)
        assert len(walks) == 2
        steps += sum(w.steps for w in walks)
        assert records[iteration]["md_steps"] == steps
        assert records[iteration]["walkers_crossed"] == sum(w.crossed for w in walks)
    finished = uninterrupted / "final" / "model.pt"
    assert (uninterrupted / "model.pt").read_bytes() == finished.read_bytes()


def test_the_bias_acts_on_every_walker(uninterrupted: Path) -> None:
    """With a window of two steps, from the third one on."""
    for iteration in (0, 1):
        for walker in (0, 1):
            factors = bias_factors(log_of(uninterrupted, iteration, walker))
            assert factors[:2] == [0.0, 0.0]
            assert min(factors[2:], default=1.0) > 0.0
        assert len(factors) == 21


@law("exploration.threshold")
def test_the_first_walker_crosses_and_its_crossing_frame_is_its_last(uninterrupted: Path) -> None:
    for iteration, record in enumerate(metrics(uninterrupted)[:2]):
        first, second = walks_of(uninterrupted, iteration)
        assert (first.crossed, second.crossed) == (True, False)
        assert record["walkers_crossed"] == 1
        assert first.steps < second.steps == 20
        assert first.timesteps[-1] == first.steps
        assert "uncertainty" in log_of(uninterrupted, iteration, 0)


def test_nothing_is_labelled_twice(uninterrupted: Path) -> None:
    positions = np.array([f.atoms.positions.ravel() for f in labels(uninterrupted)])
    distances = np.abs(positions[:, None] - positions[None]).max(2)
    assert distances[~np.eye(len(positions), dtype=bool)].min() > 1e-6


def test_walkers_restart_from_the_frames_that_were_selected_last(uninterrupted: Path) -> None:
    newest = [f.atoms for f in labels(uninterrupted) if f.iteration == 1]
    walks = walks_of(uninterrupted, 1)
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
        counts[2] += sum(f.iteration > 0 for f in known)  # batches calibrate before they train
        assert [trained.n_train, trained.n_validation, trained.n_calibration] == counts
        assert trained.training_hash == hash_frames([f.atoms for f in known])


def test_same_seed_same_result_and_another_seed_another(
    uninterrupted: Path, tmp_path: Path
) -> None:
    assert_same_result(run(tmp_path), uninterrupted)
    start = run(tmp_path, {"name": "other", "seed": 4, "stop": {"labels": 10}})
    ours, theirs = labels(start)[0].atoms, labels(uninterrupted)[0].atoms
    assert np.abs(ours.positions - theirs.positions).max() > 1e-3


@law("exploration.dtype")
def test_walkers_run_in_the_precision_asked_for(uninterrupted: Path, tmp_path: Path) -> None:
    folder = run(tmp_path, {"exploration": {"dtype": "float64"}, "stop": {"labels": 10}})
    found = [load(each / "model.pt")[1].dtype for each in (uninterrupted, folder)]
    assert found == ["float32", "float64"]


@law("stop.forces_rmse")
def test_a_campaign_ends_at_its_target_error(tmp_path: Path) -> None:
    records = metrics(run(tmp_path, {"stop": {"forces_rmse": 1e3}}))
    assert [(r["n_labels"], r["last"]) for r in records] == [(10, True)]


def test_failed_labels_are_kept_with_their_reason_and_never_trained_on(tmp_path: Path) -> None:
    changes = {"reference": ase_reference("references.Unconverged"), "stop": {"labels": 12}}
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
    changes = {"reference": ase_reference("references.OnlyAtFirst")}
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
    text = WALKER.read_text()
    script = folder / "broken.in"
    script.write_text(
        text.replace("run ${steps}", 'if "${broken} == 1" then "run -1"\nrun ${steps}')
    )
    return str(script)


def test_a_walker_that_fails_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    variables = {"broken": [0, 1], "threshold": 1e6}
    exploration = {"input": script_that_fails(tmp_path), "variables": variables}
    folder = run(tmp_path, {"exploration": exploration, "stop": {"labels": 14}})
    assert [(r["n_labels"], r["walkers_failed"]) for r in metrics(folder)] == [(10, 1), (14, 0)]
    assert "walker 1: 0 steps, failed: " in (folder / "log.txt").read_text()
    good, bad = walks_of(folder, 0)
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
    walks = walks_of(folder, 1)
    for k, walk in enumerate(walks):
        assert str(walk.frames()[0].symbols) == str(newest[k % len(newest)].symbols)


def test_the_control_arm_is_the_campaign_with_the_differences_applied(tmp_path: Path) -> None:
    config = load_campaign(tiny(tmp_path, {"control": {"exploration": {"tau": 0.0}}}))
    main, control = arms_of(config, tmp_path / "x")
    assert (main.name, control.name) == ("biased", "unbiased")
    assert control.folder.path == tmp_path / "x" / "control"
    assert control.config.exploration.tau == 0.0
    same = control.config.model_dump(exclude={"control", "exploration"})
    assert same == main.config.model_dump(exclude={"control", "exploration"})


def test_an_arm_is_named_after_what_drives_its_walkers(tmp_path: Path) -> None:
    gaussians = {"height": 0.1, "width": 40.0, "stride": 10}
    needed = "fix metadynamics all external pf/callback 1 1\nrun ${steps}"
    script = tmp_path / "walk.in"
    script.write_text(WALKER.read_text().replace("run ${steps}", needed))
    bias = {"tau": 0.0, "metadynamics": gaussians, "input": str(script)}
    driven = {"exploration": bias}
    config = load_campaign(tiny(tmp_path, {"control": driven}))
    assert [arm.name for arm in arms_of(config, tmp_path)] == ["biased", "metadynamics"]


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


@pytest.mark.slow
@law("exploration.timeout")
def test_a_walker_that_hangs_is_kept_as_failed_and_the_campaign_goes_on(tmp_path: Path) -> None:
    late = "run 10\ntimestep 1e-9\nrun ${more}"
    script = WALKER.read_text().replace("run ${steps}", late)
    (tmp_path / "hangs.in").write_text(script)
    exploration = {
        "input": str(tmp_path / "hangs.in"),
        "timeout": 4.0,
        # the first walker does not come back from its second command `run`
        "variables": {"threshold": 1e6, "more": [1_000_000_000, 10]},
    }
    file = tiny(tmp_path, {"exploration": exploration, "stop": {"labels": 12}})
    first = shared_commands().run(tmp_path, "run", file)
    assert first.wait() == 2
    line = "walker 0 took longer than exploration.timeout = 4 s; the walk is kept as failed: run "
    assert f"pyubias: error: {line}the same command to go on" in first.output
    again = shared_commands().run(tmp_path, "run", file)
    assert again.wait() == 0, again.output
    late, other = walks_of(tmp_path / "runs" / "tiny", 0)
    assert late.failure == "took longer than exploration.timeout = 4 s"
    assert len(late.positions) > 3
    assert other.failure == ""
    assert other.steps == 20
