"""Run folders, checkpoints and model files of the version before go on working.

``earlier_run.tar.gz`` holds a campaign of four copper atoms as pyubias left it before the package
had sub-packages. Its bias stress is a free variable of the walkers' script.
"""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from campaigns import mpirun, shared_commands, tiny

from pyubias.campaign.dry_run import try_stages
from pyubias.campaign.former_defaults import with_former_defaults
from pyubias.campaign.label_store import LabelStore
from pyubias.campaign.loop import run_campaign
from pyubias.campaign.run_folder import RunFolder
from pyubias.config import load_campaign
from pyubias.files import read_json, write_json
from pyubias.lammps.data_file import write_structure
from pyubias.model.check import check_contract
from pyubias.model.prediction import Model
from pyubias.training.checkpoint import load_trained
from pyubias.training.export import export


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that holds the campaign file, its inputs, and ``runs/earlier``."""
    with tarfile.open(Path(__file__).with_name("earlier_run.tar.gz")) as archive:
        # Python 3.11 has the filters of later versions from 3.11.4 on
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(tmp_path)
    (tmp_path / "runs").mkdir()
    run = (tmp_path / "earlier").rename(tmp_path / "runs" / "earlier")
    for settings in (run / "config.json", run / "control" / "config.json"):
        settings.write_text(settings.read_text().replace("FOLDER", str(tmp_path)))
    with (tmp_path / "campaign.yaml").open("a") as file:
        # that version had no last training; this one may be short
        file.write("finish: {cycles: 1}\n")
    return tmp_path


def with_labels(folder: Path, n: int) -> Path:
    """The campaign file with another label budget."""
    path = folder / "campaign.yaml"
    path.write_text(path.read_text().replace("labels: 13", f"labels: {n}"))
    return path


def test_a_finished_campaign_is_finished(folder: Path) -> None:
    run = folder / "runs" / "earlier"
    kept = [p for p in run.glob("**/iterations/**/*") if p.suffix in (".ckpt", ".npz", ".pt")]
    before = {p: p.read_bytes() for p in kept}
    run_campaign(load_campaign(folder / "campaign.yaml"), folder / "runs")
    assert {p: p.read_bytes() for p in before} == before
    assert (run / "model.pt").read_bytes() == (run / "final" / "model.pt").read_bytes()


def test_a_raised_budget_goes_on(folder: Path) -> None:
    run = RunFolder(folder / "runs" / "earlier")
    first = run.records()[0]
    run_campaign(load_campaign(with_labels(folder, 16)), folder / "runs")
    for arm, strength in ((run, 0.5), (run.control, 0.0)):
        assert [record.n_labels for record in arm.records()] == [10, 13, 16]
        assert arm.read_config().exploration.tau_stress == strength
    assert run.records()[0] == first
    log = (run.iteration(1).walker(0) / "log.lammps").read_text()
    assert "fix bias all ubias tau 0.25 stress 0.5 window 5" in log


def test_a_default_that_changed_is_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The campaign began with λ = 0.01, the default of its version."""
    run = RunFolder(folder / "runs" / "earlier")
    config = load_campaign(with_labels(folder, 16))
    try_stages(config, 1, folder / "runs")
    assert "uncertainty.regularisation = 0.01, the default that" in capsys.readouterr().out
    run_campaign(config, folder / "runs")
    for arm in (run, run.control):
        assert arm.read_config().uncertainty.regularisation == 0.01
        assert load_trained(arm.iterations()[-1].checkpoint).uncertainty.regularisation == 0.01
    log = run.log.read_text()
    assert "uncertainty.regularisation = 0.01, the default that" in log
    assert "control.uncertainty" not in log


def test_a_last_training_of_one_potential_is_not_made_again(folder: Path) -> None:
    """The version that made it had no `finish.members`."""
    run = RunFolder(folder / "runs" / "earlier")
    write_json(run.settings, read_json(run.settings) | {"finish": {"cycles": 4}})
    run_campaign(load_campaign(folder / "campaign.yaml"), folder / "runs")
    assert len(load_trained(run.final.checkpoint).potential.members) == 1
    before = run.final.checkpoint.stat().st_mtime_ns
    for path in (run.settings, run.final.made_of):
        settings = read_json(path)
        del settings["finish"]["members"]
        write_json(path, settings)
    run_campaign(load_campaign(folder / "campaign.yaml"), folder / "runs")
    assert run.final.checkpoint.stat().st_mtime_ns == before


def test_a_default_that_changed_is_not_kept_against_the_file(folder: Path) -> None:
    path = folder / "campaign.yaml"
    path.write_text(path.read_text().replace("16}", "16, regularisation: 0.1}"))
    run_campaign(load_campaign(path), folder / "runs")
    run = RunFolder(folder / "runs" / "earlier")
    assert run.read_config().uncertainty.regularisation == 0.1
    assert "uncertainty.regularisation = 0.1 " in run.log.read_text()


def test_the_key_means_what_the_variable_meant(folder: Path) -> None:
    path = folder / "campaign.yaml"
    text = path.read_text().replace("variables: {tau_stress: 0.5}", "tau_stress: 0.5")
    path.write_text(text.replace("variables: {tau_stress: 0.0}", "tau_stress: 0.0"))
    run_campaign(load_campaign(path), folder / "runs")


def test_its_labels_are_those_of_the_reference(folder: Path) -> None:
    frames = LabelStore(folder / "runs" / "earlier" / "labels.db").frames()
    assert len(frames) == 13
    for frame in frames:
        energy, forces = frame.atoms.info["REF_energy"], frame.atoms.arrays["REF_forces"]
        frame.atoms.calc = EMT()
        assert frame.atoms.get_potential_energy() == pytest.approx(energy, abs=1e-12)
        np.testing.assert_allclose(frame.atoms.get_forces(), forces, atol=1e-12)


def test_its_checkpoint_becomes_its_model_file(folder: Path) -> None:
    """The model file was exported by the version that wrote the checkpoint."""
    run = RunFolder(folder / "runs" / "earlier")
    atoms = LabelStore(run.labels).frames()[0].atoms
    last = run.iterations()[-1]
    export(load_trained(last.checkpoint), folder / "again.pt", "float32")
    (wanted,), (found,) = (
        Model(path).predict([atoms]) for path in (run.model, folder / "again.pt")
    )
    assert found.energy == pytest.approx(wanted.energy, abs=1e-6)
    np.testing.assert_allclose(found.forces, wanted.forces, atol=1e-6)
    assert found.total_uncertainty == pytest.approx(wanted.total_uncertainty, rel=1e-5)
    np.testing.assert_allclose(found.atomic_uncertainty, wanted.atomic_uncertainty, rtol=1e-4)
    assert check_contract(run.model).n_features == 16


def test_its_model_file_runs_in_lammps(folder: Path) -> None:
    model = folder / "runs" / "earlier" / "model.pt"
    script = (folder / "explore.in").read_text().replace("${structure}", "cu.data")
    script = script.replace("${model} ${elements}", f"{model} Cu").replace("${seed}", "1")
    script = script.replace("${every}", "10").replace("${trajectory}", "x.dump")
    script = script.replace("dump_modify trajectory element ${elements}", "dump_modify trajectory")
    (folder / "in.run").write_text(script.replace("run ${steps}", "run 20"))
    write_structure(folder / "cu.data", bulk("Cu", "fcc", a=3.6, cubic=True), ["Cu"])
    done = mpirun(2, folder, "lmp", "-in", "in.run", "-log", "none")
    assert "Loop time" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_its_labels_train_a_potential_and_its_runs_are_compared(folder: Path) -> None:
    commands = shared_commands()
    (folder / "short.yaml").write_text("training: {epochs: 20}\nfinish: null\n")
    trained = commands.run(
        folder, "train", "runs/earlier", "--config", "short.yaml", "-o", "again.ckpt"
    )
    assert trained.status == 0, trained.output
    compared = commands.run(folder, "compare", "runs/earlier", "--json", "result.json")
    assert compared.status == 0, compared.output
    arms = {entry["arm"] for entry in json.loads((folder / "result.json").read_text())}
    assert arms == {"earlier (biased, τ = 0.25)", "earlier (unbiased)"}


@pytest.mark.parametrize(
    ("begun", "members"),
    [
        ({"cycles": 2}, 1),  # of a version without the key
        ({"cycles": 2, "members": 1}, 1),
        ({"cycles": 2, "members": 3}, 2),  # a change of the file, not a default
        (None, 2),  # without a last training, nothing is to be kept
    ],
)
def test_a_former_default_is_kept_where_its_section_was_there(
    tmp_path: Path, begun: dict[str, int] | None, members: int
) -> None:
    changes = {"finish": {"cycles": 2}, "control": {"finish": None}}
    config = load_campaign(tiny(tmp_path, changes))
    assert config.finish is not None
    assert "members" not in config.finish.model_fields_set
    path = tmp_path / "config.json"
    write_json(path, {"uncertainty": {"regularisation": 0.1}, "finish": begun})
    kept, lines = with_former_defaults(config, path)
    assert kept.finish is not None
    assert kept.finish.members == members
    assert [line.split(" = ")[0] for line in lines] == ["finish.members"] * (members == 1)
    assert kept.control == config.control
