"""The dry run finds what would stop a campaign, for one label, which it keeps."""

from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.emt import EMT
from campaigns import ALA2, WALKER, Changes, merge, tiny
from outcomes import labels

from pyubias.campaign import dry_run
from pyubias.campaign.arms import arms_of
from pyubias.campaign.dry_run import try_stages
from pyubias.campaign.kept_labels import keep_tried_label, read_tried_label
from pyubias.campaign.lock import locked
from pyubias.campaign.loop import run_campaign
from pyubias.campaign.run_state import describe_run
from pyubias.config.loading import load_campaign
from pyubias.console import duration
from pyubias.errors import UserError
from pyubias.training.labels import Label


@pytest.fixture
def config():
    small = {"hidden": [8], "n_radial": 2, "n_basis": 4}
    config = load_campaign(ALA2 / "quickstart.yaml")
    model = config.model.model_copy(update=small)
    evaluation = config.evaluation.model_copy(update={"test": None})
    return config.model_copy(update={"model": model, "evaluation": evaluation})


def with_script(config, path: Path, text: str):
    path.write_text(text)
    exploration = config.exploration.model_copy(update={"input": path})
    return config.model_copy(update={"exploration": exploration, "control": None})


COUNTING = """
from ase.calculators.emt import EMT

class Counting(EMT):
    def calculate(self, atoms, *arguments):
        super().calculate(atoms, *arguments)
        with open({log!r}, "a") as file:
            file.write("label\\n")
"""


def counting(folder: Path, changes: Changes | None = None) -> tuple[Path, Callable[[], int]]:
    """A campaign file whose reference counts its labels, and the number of them so far."""
    log = folder / "counted" / "labels.txt"  # a file beside the reference would be a part of it
    log.parent.mkdir()
    log.touch()
    (folder / "counting.py").write_text(COUNTING.format(log=str(log)))
    reference = {"kind": "ase", "input": None, "calculator": "Counting", "file": "counting.py"}
    settings = {"reference": reference, "evaluation": {"test": None}, "stop": {"labels": 10}}
    path = tiny(folder, merge(settings, changes or {}))
    return path, lambda: log.read_text().count("label")


def test_a_campaign_uses_the_one_label_of_its_dry_runs(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, n_labels = counting(tmp_path, {"control": {"exploration": {"tau": 0.0}}})
    config, runs = load_campaign(path), tmp_path / "runs"
    try_stages(config, 1, runs)
    first = capsys.readouterr().out
    assert n_labels() == 1
    assert "explore, biased" in first
    assert "explore, unbiased" in first
    assert "│ 1 frame " in first
    kept = sorted(p.relative_to(tmp_path) for p in runs.rglob("*") if p.is_file())
    assert list(map(str, kept)) == ["runs/tiny/control/dry_run.json", "runs/tiny/dry_run.json"]
    try_stages(config, 1, runs)
    assert n_labels() == 1
    assert "kept from a dry run" in capsys.readouterr().out
    folder = run_campaign(config, runs)
    assert n_labels() == 1 + 9 + 9  # of 10 in each arm
    assert "label 0000-00: the dry run made it" in (folder / "log.txt").read_text()
    for frames in (labels(folder), labels(folder / "control")):
        assert len(frames) == 10
        for frame in frames:  # the kept one is as good as the others
            atoms = frame.atoms.copy()
            atoms.calc = EMT()
            assert frame.atoms.info["REF_energy"] == pytest.approx(atoms.get_potential_energy())
            np.testing.assert_allclose(frame.atoms.arrays["REF_forces"], atoms.get_forces())


def test_without_a_place_for_runs_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, n_labels = counting(tmp_path)
    before = set(tmp_path.iterdir())
    try_stages(load_campaign(path), 1)
    assert n_labels() == 1
    assert {p for p in tmp_path.iterdir() if p.suffix != ".pyc"} - before <= {
        tmp_path / "__pycache__"
    }


def test_a_label_is_of_its_structure_and_its_reference_with_the_files_it_names(tmp_path):
    for name in ("reference.in", "ala2.data"):
        (tmp_path / name).write_text((ALA2 / name).read_text())
    (tmp_path / "other.txt").write_text("of no concern")
    config = load_campaign(tiny(tmp_path, {"reference": {"input": "reference.in"}}))
    atoms, path = ase.io.read(ALA2 / "c7eq.xyz"), tmp_path / "kept.json"
    label = Label(-1.0, np.full((22, 3), 2.0), None)
    keep_tried_label(path, atoms, config.reference, label, 5.0)
    kept = read_tried_label(path, atoms, config.reference)
    assert (kept.label.energy, kept.label.forces.tolist(), kept.seconds) == (
        -1.0,
        label.forces.tolist(),
        5.0,
    )
    (tmp_path / "other.txt").write_text("changed")
    assert read_tried_label(path, atoms, config.reference) is not None
    assert read_tried_label(tmp_path / "gone.json", atoms, config.reference) is None
    lower = config.reference.model_copy(update={"max_force": 3.0})
    assert read_tried_label(path, atoms, lower) is None
    moved = atoms.copy()
    moved.positions[0, 0] += 1e-9
    assert read_tried_label(path, moved, config.reference) is None
    (tmp_path / "ala2.data").write_text("changed")
    assert read_tried_label(path, atoms, config.reference) is None


@pytest.mark.parametrize("source", ["start.structures", "start.labels"])
def test_collective_variables_are_checked_before_a_label_is_paid_for(tmp_path, source):
    variable = {"name": "d", "distance": [1, 44], "range": [0, 9]}
    changes = {"evaluation": {"collective_variables": [variable]}}
    if source == "start.labels":
        files = {"structures": None, "count": None, "perturb": None, "labels": ["test.extxyz"]}
        changes["start"] = files
    path, n_labels = counting(tmp_path, changes)
    message = f"'d' has atom 44, and structure 0 of {source} has 22 atoms"
    for command in (try_stages, lambda config, _: run_campaign(config, tmp_path / "runs")):
        with pytest.raises(UserError, match=f"'evaluation.collective_variables': {message}"):
            command(load_campaign(path), 1)
    assert n_labels() == 0


def test_a_run_that_has_begun_is_described(tmp_path, capsys):
    path, n_labels = counting(tmp_path, {"stop": {"labels": 14}})
    config, runs = load_campaign(path), tmp_path / "runs"
    folder = run_campaign(config, runs)
    n = n_labels()
    try_stages(config, 1, runs)
    assert n_labels() == n, "its labels are there"
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        f"biased: {folder} has 14 of 14 labels and 2 complete iterations; a run has nothing left "
        "to do but its report"
    ) in printed
    assert "none, 14 are there" in printed
    more = config.model_copy(update={"stop": config.stop.model_copy(update={"labels": 18})})
    (line, change) = describe_run(arms_of(more, folder)[0], 18)
    assert line.endswith("a run goes on with iteration 1, from the walkers on")
    assert change == "biased: stop.labels = 18 from now on, it was 14"
    other = config.model_copy(update={"finish": config.finish.model_copy(update={"cycles": 2})})
    assert describe_run(arms_of(other, folder)[0], 14)[0].endswith("goes on with the last training")
    (folder / "final" / "evaluation.json").unlink()
    (line,) = describe_run(arms_of(config, folder)[0], 14)
    assert line.endswith("a run goes on with the last training")
    # as a kill in the second iteration would leave it
    second = folder / "iterations" / "0001"
    (second / "record.json").unlink()
    (line,) = describe_run(arms_of(config, folder)[0], 14)
    assert "1 complete iterations; a run goes on with iteration 1: explore, with 0 of 2" in line
    (second / "model.pt").unlink()
    (line,) = describe_run(arms_of(config, folder)[0], 14)
    assert line.endswith("goes on with iteration 1: label and train")
    # what would stop a run stops its dry run
    with pytest.raises(UserError, match="was made with seed = 3, now it is 4"):
        try_stages(config.model_copy(update={"seed": 4}), 1, runs)
    with locked(folder), pytest.raises(UserError, match="another run uses"):
        try_stages(config, 1, runs)


@pytest.mark.parametrize(
    ("old", "new", "made", "takes"),
    [
        ("v_umax > ${threshold}", "v_umax > 0.0", 1, " ms a step"),
        ("run ${steps}", "run 0", 0, "not known: the script stops it"),
    ],
)
def test_a_step_takes_the_time_of_steps_that_were_made(
    config, tmp_path, capsys, monkeypatch, old, new, made, takes
):
    steps = []

    def cost(arm, parts, *_):
        steps.append(parts.step)
        return 0.0

    monkeypatch.setattr(dry_run, "seconds_of_campaign", cost)
    text = (ALA2 / "explore.in").read_text()
    assert old in text
    try_stages(with_script(config, tmp_path / "walk.in", text.replace(old, new)), 1)
    printed = capsys.readouterr().out
    assert f"{made} of 50 steps" in printed
    assert takes in printed
    # LAMMPS counts the steps that it was asked for; no step of this model takes a microsecond
    assert (steps[0] > 2e-5) == (made > 0)


def test_every_kind_of_start_structure_is_tried(tmp_path):
    ase.io.write(tmp_path / "two.extxyz", [molecule("H2O"), molecule("CO")])
    script = WALKER.read_text() + 'if "$(atoms) == 2" then "thermo nonsense"\n'
    (tmp_path / "walk.in").write_text(script)
    changes = {
        "start": {"structures": "two.extxyz"},
        "exploration": {"input": "walk.in"},
        "evaluation": {"collective_variables": []},
    }
    path, _ = counting(tmp_path, changes)
    with pytest.raises(UserError, match=r"walker script '.*walk\.in': .*nonsense"):
        try_stages(load_campaign(path), 1)


def test_an_error_in_the_walker_script_is_told(config, tmp_path):
    broken = with_script(config, tmp_path / "walk.in", "units metal\nfix me all nonsense\n")
    with pytest.raises(UserError, match=r"walker script '.*walk\.in'.*"):
        try_stages(broken, 1)


def test_a_script_that_dumps_other_elements_is_told(config, tmp_path):
    text = (
        (ALA2 / "explore.in")
        .read_text()
        .replace(
            "dump_modify trajectory element ${elements}", "dump_modify trajectory element H H H H"
        )
    )
    wrong = with_script(config, tmp_path / "walk.in", text)
    with pytest.raises(UserError, match="elements differ"):
        try_stages(wrong, 1)


def test_a_reference_that_labels_nothing_is_told_with_its_reason(tmp_path):
    config = load_campaign(tiny(tmp_path, {"reference": {"max_force": 1e-6}}))
    with pytest.raises(UserError, match=r"labelled no structure: \|F\| = .* is above the limit"):
        try_stages(config, 1)


def test_the_values_of_all_walkers_are_tried(tmp_path):
    variables = {"threshold": 20.0, "temperature": [300.0, 300.0, "hot"]}
    exploration = {"walkers": 3, "variables": variables}
    config = load_campaign(tiny(tmp_path, {"exploration": exploration}))
    with pytest.raises(UserError, match=r"walker script '.*walker\.in': .*hot"):
        try_stages(config, 1)


def test_a_walker_that_writes_no_frame_is_told(config, tmp_path):
    text = (ALA2 / "explore.in").read_text()
    late = "dump_modify trajectory delay 1000000 element"
    silent = with_script(
        config, tmp_path / "walk.in", text.replace("dump_modify trajectory element", late)
    )
    with pytest.raises(UserError, match="it wrote no frame"):
        try_stages(silent, 1)


def test_the_cost_is_that_of_the_measured_parts_of_both_arms(config, monkeypatch, capsys):
    """How the parts become a cost is in test_cost.py."""
    measured = []

    def hours(arm, parts, n_ranks, n_labels):
        measured.append((arm.exploration.tau, parts, n_ranks, n_labels))
        return 3600.0 * len(measured)

    monkeypatch.setattr(dry_run, "seconds_of_campaign", hours)
    try_stages(config, 2)
    printed = capsys.readouterr().out
    # each arm has a rank of its own, and the slower one counts
    assert f"at most about {duration(7200.0)} on 2 ranks" in printed
    assert [(tau, *n) for tau, _, *n in measured] == [(config.exploration.tau, 1, 0), (0.0, 1, 0)]
    for _, parts, *_ in measured:
        for name in ("label", "sample", "features", "setup", "step"):
            assert getattr(parts, name) > 0.0, name
        assert f"{1e3 * parts.label:.3g} ms a frame" in printed
        assert f"{1e3 * parts.sample:.3g} ms a sample" in printed
        assert f"{1e3 * parts.step:.3g} ms a step" in printed


@pytest.mark.parametrize(
    ("n_arms", "n_ranks", "shares"), [(1, 4, [4]), (2, 1, [1, 1]), (2, 2, [1, 1]), (2, 5, [3, 2])]
)
def test_arms_have_the_ranks_that_a_campaign_gives_them(n_arms, n_ranks, shares):
    assert [dry_run._ranks_of(k, n_arms, n_ranks) for k in range(n_arms)] == shares
