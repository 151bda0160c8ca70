"""A whole tiny study with real molecules, labels and trainings."""

import json
from pathlib import Path
from unittest.mock import Mock

import ase.io
import numpy as np
import pytest
import yaml
from campaigns import Command, mpirun, shared_commands
from scipy.spatial.distance import pdist
from study_results import arm_result

from pyubias.campaign.label_store import LabelStore
from pyubias.diversity.study import run as study
from pyubias.diversity.study.arms import ArmError, ArmResult
from pyubias.diversity.study.candidates import Candidate
from pyubias.diversity.study.config import load_study
from pyubias.diversity.study.plan import Arm
from pyubias.errors import UserError
from pyubias.parallel import Ranks

pytest.importorskip("tblite")

EXPLORE = Path(__file__).parents[3] / "inputs" / "molecules" / "explore.in"
MOLECULES = """\
C methane
CC
CO
CCO
CCC
CCCC
COC
CN
CCN
CC=O
C1CC1
CC1CC1
C1CO1
CCCCO
CCCCCC
CCOCCC
C[NH3+] charged
[CH3] open shell
CS element

not_smiles
C1#CC1
[CH3:1]C again
"""
STUDY = {
    "name": "tiny",
    "seed": 1,
    "seeds": 2,
    "pool": {
        "molecules": "molecules.smi",
        "sources": {"basins": 1, "normal_modes": 2, "torsions": 1, "dynamics": 1},
    },
    "model": {"cutoff": 4.0, "n_radial": 2, "n_basis": 4, "hidden": [16]},
    "training": {"max_steps": 10, "validate_every": 5},
    "uncertainty": {"projections": 16},
    "arms": {
        "fixed_budget": {"labels": 4, "molecules": [1, 2, 4]},
        "fixed_molecules": {"molecules": 2, "conformers": [1, 2]},
    },
    "tests": {
        "unseen": 2,
        "scaffolds": 2,
        "larger": 1,
        "heavy_atoms": 5,
        "conformers": 3,
        "own": 2,
        "scan": 3,
        "held_out": 2,
    },
}


def prepare(folder: Path, **changes: object) -> Path:
    (folder / "molecules.smi").write_text(MOLECULES)
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY | changes))
    return folder / "study.yaml"


def run(folder: Path) -> Command:
    """The command with short dynamics and few bootstraps."""
    function = "study_results:quick_main"
    arguments = ("diversity", "study", "study.yaml")
    return shared_commands().run(folder, *arguments, function=function)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study that ran on two ranks."""
    folder = tmp_path_factory.mktemp("study")
    prepare(folder)
    done = mpirun(2, folder, "pyubias", "diversity", "study", "study.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "runs" / "tiny"


def findings(folder: Path) -> dict:
    return json.loads((folder / "findings.json").read_text())


@pytest.mark.slow
def test_every_arm_has_every_score(finished: Path) -> None:
    results = [json.loads(path.read_text()) for path in finished.glob("arms/*/seed*.json")]
    assert len(results) == 2 * 4
    for result in results:
        assert result["labels"] == result["molecules"] * result["conformers"]
        # both conformal factors can promise 95 %
        assert min(result["calibrated"].values()) >= 19
        for test in ("own", "core", "unseen", "scaffolds", "larger", "hot"):
            assert result["scores"][test]["forces"] > 0.0, test
            assert 0.0 <= result["coverage"][test]["group"] <= 1.0


@pytest.mark.slow
def test_the_report_shows_both_experiments_and_states_findings(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert "Fixed budget: 4 labels" in page
    assert "Fixed set of 2 molecules" in page
    assert page.count("data:image/svg+xml") == 4
    sentences = findings(finished)["sentences"]
    assert any("Joint generalisation" in s for s in sentences)
    assert any("Allocation for molecules that no arm has" in s for s in sentences)
    assert any("1 to 2 geometries each" in s for s in sentences)


@pytest.mark.slow
def test_molecules_that_cannot_be_used_are_listed_with_the_reason(finished: Path) -> None:
    failures = " ".join(findings(finished)["failures"])
    for reason in (
        "line 17 'C[NH3+]': charged (+1)",
        "line 18 '[CH3]': open shell",
        "line 19 'CS': element S is not in pool.elements",
        "line 20 '': empty line",
        "line 21 'not_smiles': not a SMILES",
        "line 22 'C1#CC1': ",
        "line 23 '[CH3:1]C': the same molecule as line 2",
    ):
        assert reason in failures


@pytest.mark.slow
def test_a_killed_study_resumes(finished: Path) -> None:
    before = findings(finished)
    kept = finished / "arms" / "2x1" / "seed0.json"
    lost = finished / "arms" / "2x2" / "seed1.json"
    stamp, content = kept.stat().st_mtime_ns, json.loads(lost.read_text())
    lost.unlink()
    (finished / "findings.json").unlink()
    command = shared_commands().run(finished.parents[1], "diversity", "study", "study.yaml")
    assert command.status == 0, command.output
    assert kept.stat().st_mtime_ns == stamp
    again = json.loads(lost.read_text())
    forces = [outcome["scores"]["own"]["forces"] for outcome in (again, content)]
    assert forces[0] == pytest.approx(forces[1], rel=1e-6)
    assert findings(finished)["tables"]["fixed_budget"]["molecules"] == [1, 2, 4]
    assert len(findings(finished)["sentences"]) == len(before["sentences"])


def test_a_list_of_molecules_that_changed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Because the study would go on with the list that it read first."""
    config = load_study(prepare(tmp_path))
    reached = RuntimeError("stopped behind the check")
    monkeypatch.setattr(study, "find_molecules", Mock(side_effect=reached))

    def check(message: str, error: type[Exception]) -> None:
        with pytest.raises(error, match=message):
            study.run_study(config, tmp_path / "runs")

    check("behind the check", RuntimeError)
    check("behind the check", RuntimeError)
    (tmp_path / "molecules.smi").write_text(MOLECULES + "CCCO\n")
    check(r"was made with sha256 of molecules.smi = '\w{12}', now it is '\w{12}'; give", UserError)
    (tmp_path / "molecules.smi").unlink()
    check("file of molecules '.*' does not exist", UserError)


@pytest.mark.slow
def test_failed_labels_do_not_stop_the_study(tmp_path: Path) -> None:
    """Some geometries have forces above the limit."""
    reference = {
        "kind": "ase",
        "calculator": "tblite.ase.TBLite",
        "arguments": {"method": "GFN2-xTB", "verbosity": 0},
        "max_force": 3.0,
    }
    prepare(tmp_path, reference=reference)
    command = run(tmp_path)
    assert command.status == 0, command.output
    failures = findings(tmp_path / "runs" / "tiny")["failures"]
    assert any("is above the limit of 3" in line for line in failures)
    # molecules whose labels failed were replaced, or the arm is listed with what it lacks
    results = [
        json.loads(path.read_text()) for path in (tmp_path / "runs" / "tiny").glob("arms/*/*.json")
    ]
    short = [r for r in results if r["labels"] < r["molecules"] * r["conformers"]]
    left_out = 2 * 4 - len(results)
    assert len(findings(tmp_path / "runs" / "tiny")["unequal"]) == len(short) + left_out


@pytest.mark.slow
def test_a_study_without_any_label_ends_with_one_line(tmp_path: Path) -> None:
    reference = {
        "kind": "ase",
        "calculator": "tblite.ase.TBLite",
        "arguments": {"method": "GFN2-xTB", "verbosity": 0},
        "max_force": 1e-9,
    }
    prepare(tmp_path, reference=reference)
    command = run(tmp_path)
    assert command.status == 2, command.output
    assert "no arm can be trained: arm 1×4, repetition 0 is left out: no label" in command.output
    assert "Traceback" not in command.output


def test_arms_that_cannot_be_trained_are_left_out_with_their_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_study(prepare(tmp_path))

    def run_arm(arm: Arm, repetition: int, *_: object) -> ArmResult:
        if arm == Arm(2, 1):
            raise ArmError("no label to train on: all failed")
        none = arm == Arm(1, 4)
        taken = [(k, 0 if none else arm.conformers) for k in range(arm.molecules)]
        return arm_result(arm, repetition, {}, labels=sum(n for _, n in taken), taken=taken)

    monkeypatch.setattr(study, "run_arm", run_arm)
    results, left_out = study._run_arms(None, {}, config, tmp_path, Ranks())
    assert len(results) == 2 * 3
    assert left_out == [
        f"arm 2×1, repetition {r} is left out: no label to train on: all failed" for r in range(2)
    ]
    molecules = [Candidate(k + 1, "CCO"[: k + 1], None) for k in range(4)]
    assert study._short_of_labels(results, molecules) == [
        f"arm 1×4, repetition {r} has 0 of 4 labels: C has 0 of 4" for r in range(2)
    ]


@pytest.mark.slow
def test_biased_walkers_are_one_source_of_geometries(tmp_path: Path) -> None:
    """Geometries that walks made in LAMMPS are labelled, of each molecule."""
    pool = {
        "molecules": "molecules.smi",
        "sources": {"basins": 1, "biased": 3},
        "biased": {"input": str(EXPLORE), "steps": 40, "labels": 8, "threshold": 100.0},
    }
    prepare(tmp_path, pool=pool)
    command = run(tmp_path)
    assert command.status == 0, command.output
    folder = tmp_path / "runs" / "tiny"
    walked = sorted(folder.glob("walkers/*/trajectory.dump"))
    assert walked
    # no walk was short of geometries, which others would have replaced
    assert not any("in place of biased" in line for line in findings(folder)["failures"])
    labelled = [f for f in LabelStore(folder / "labels.db").frames() if not f.failed]
    for path in walked:
        walk = np.array([pdist(atoms.positions) for atoms in ase.io.read(path, ":")[1:]])
        key = f"{path.parent.name}-train-"
        shapes = [pdist(f.atoms.positions) for f in labelled if f.key.startswith(key)]
        assert any(np.abs(walk - shape).max(1).min() < 1e-4 for shape in shapes)


@pytest.mark.slow
def test_a_walker_that_fails_is_listed_with_its_reason(tmp_path: Path) -> None:
    script = EXPLORE.read_text().replace("fix move all nve", "fix move all no_such_style")
    assert "no_such_style" in script
    (tmp_path / "explore.in").write_text(script)
    pool = {
        "molecules": "molecules.smi",
        "sources": {"basins": 1, "biased": 3},
        "biased": {"input": "explore.in", "steps": 40, "labels": 8},
    }
    prepare(tmp_path, pool=pool)
    command = run(tmp_path)
    assert command.status == 0, command.output
    failures = " ".join(findings(tmp_path / "runs" / "tiny")["failures"])
    assert "normal modes in place of biased dynamics (" in failures
    assert "Unrecognized fix style 'no_such_style'" in failures
    # a resumed study does not repeat the walk and still has its reason
    command = run(tmp_path)
    assert command.status == 0, command.output
    assert " ".join(findings(tmp_path / "runs" / "tiny")["failures"]) == failures
    # no arm has fewer labels because of it
    results = (tmp_path / "runs" / "tiny").glob("arms/*/seed*.json")
    for result in map(json.loads, (path.read_text() for path in results)):
        assert result["labels"] == result["molecules"] * result["conformers"]


def test_mistakes_in_the_file_are_reported_in_one_line(tmp_path: Path) -> None:
    for changes, message in (
        ({"seeds": 1}, "'seeds': input should be greater than or equal to 2, got 1"),
        ({"sead": 1}, "unknown key 'sead'; did you mean 'seed'?"),
        ({"arms": {"fixed_budget": {"labels": 5, "molecules": [2, 5]}}}, "cannot be shared evenly"),
        ({"pool": {"molecules": "molecules.smi", "sources": {"biased": 1}}}, "other than 'bi"),
        ({"tests": {"unseen": 50}}, "usable molecules are too few"),
    ):
        prepare(tmp_path, **changes)
        command = run(tmp_path)
        assert command.status == 2, command.output
        assert message in command.output
        assert "Traceback" not in command.output
