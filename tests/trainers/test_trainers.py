"""Other packages train what they are told, on the labels that are meant, and fail in one line."""

import re
import sys
import time
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import yaml
from ase import Atoms
from campaigns import metrics, shared_commands, tiny
from structures import copper
from warm_python import warm_environment

from pyubias.campaign.loop import run_campaign
from pyubias.campaign.run_folder import RunFolder
from pyubias.config.loading import load_campaign, load_training
from pyubias.config.potential import TrainingConfig, UncertaintyConfig
from pyubias.config.trainer import CommandTrainer, PackageTrainer
from pyubias.config.yaml_settings import ConfigError
from pyubias.errors import UserError
from pyubias.model.archive import load
from pyubias.model.prediction import Model
from pyubias.trainers import packages
from pyubias.trainers.external import Job, train_elsewhere
from pyubias.trainers.packages import write_input
from pyubias.training.labels import ENERGY, FORCES, STRESS

law = pytest.mark.law
TINY_MACE = Path(__file__).parent / "tiny_mace.py"
SPLITS = ["train"] * 6 + ["validation"] * 2 + ["calibration"] * 4


def command(python: Path | None = None) -> str:
    python = python or warm_environment() / "bin" / "python"
    return f"{python} {TINY_MACE} made.model {{seed}}"


def by_command(**changes: Any) -> dict[str, Any]:
    """A trainer that fits the tiny model."""
    trainer = {"kind": "command", "output": "made.model", "package": "mace"}
    return trainer | {"command": command(), "python": str(warm_environment())} | changes


def elsewhere(**changes: Any) -> dict[str, Any]:
    """Changes of a tiny campaign that replace its trainer."""
    changes = {"trainer": by_command()} | changes
    return {"model": None, "training": {"epochs": None}, "uncertainty": None} | changes


def job(trainer: dict[str, Any], frames: list[Atoms] | None = None, **changes: Any) -> Job:
    section = CommandTrainer if trainer["kind"] == "command" else PackageTrainer
    return Job(
        section.model_validate(trainer),
        frames or copper(12),
        changes.pop("splits", SPLITS),
        ["Cu"],
        TrainingConfig.model_validate(changes.pop("training", {})),
        UncertaintyConfig.model_validate(changes.pop("uncertainty", {})),
        **changes,
    )


def run(tmp_path: Path, trainer: dict[str, Any], **changes: Any) -> list[str]:
    """Train in a folder; return what was said."""
    lines: list[str] = []
    folder, foundation = tmp_path / "trainer", tmp_path / "foundation.pt"
    train_elsewhere(
        job(trainer, **changes), folder, foundation, tmp_path / "model.pt", lines.append
    )
    return lines


@law(
    "trainer.command.kind",
    "trainer.command.command",
    "trainer.command.output",
    "trainer.command.package",
)
def test_a_command_trains_and_its_model_is_calibrated(tmp_path: Path) -> None:
    """With the Python of the tests, from its first import."""
    run(tmp_path, by_command(command=command(Path(sys.executable)), python=None))
    frames = copper(12)
    predictions = Model(tmp_path / "model.pt").predict(frames)
    errors = [p.energy - a.info[ENERGY] for p, a in zip(predictions, frames, strict=True)]
    assert np.std(errors) < 0.5 * np.std([a.info[ENERGY] for a in frames])
    _, metadata = load(tmp_path / "model.pt")
    assert metadata.source["kind"] == "mace"
    assert metadata.total_attainable == pytest.approx(0.8)
    kept = sorted(p.name for p in (tmp_path / "trainer" / "0").iterdir())
    assert kept == ["log.txt", "trained.model"]
    assert "trained on 6 structures with seed 0" in (tmp_path / "trainer/0/log.txt").read_text()


def test_a_model_that_is_there_is_not_trained_again(tmp_path: Path) -> None:
    run(tmp_path, by_command())
    run(tmp_path, by_command(command="exit 1"))


def test_an_ensemble_has_members_with_seeds_of_their_own(tmp_path: Path) -> None:
    kind = {"kind": "ensemble", "members": 3}
    run(tmp_path, by_command(), uncertainty=kind, training={"seed": 5})
    logs = [(tmp_path / "trainer" / str(k) / "log.txt").read_text() for k in range(3)]
    assert [log.split()[-1] for log in logs] == ["5", "6", "7"]
    assert load(tmp_path / "model.pt")[1].n_features == 3


def test_labels_have_the_names_of_both_dialects_and_calibration_frames_are_kept_back(
    tmp_path: Path,
) -> None:
    copy_and_train = f"cp *.extxyz {tmp_path}; {command()}"
    run(tmp_path, by_command(command=copy_and_train))
    train, validation = (
        ase.io.read(tmp_path / f"{x}.extxyz", ":") for x in ("train", "validation")
    )
    wanted = copper(12)
    assert [len(train), len(validation)] == [6, 2]
    for written, atoms in zip([*train, *validation], wanted, strict=False):
        assert written.get_potential_energy() == pytest.approx(atoms.info[ENERGY])
        assert written.info[ENERGY] == pytest.approx(atoms.info[ENERGY])
        np.testing.assert_allclose(written.get_forces(), atoms.arrays[FORCES], atol=1e-6)
        np.testing.assert_allclose(written.arrays[FORCES], atoms.arrays[FORCES], atol=1e-6)
        np.testing.assert_allclose(written.get_stress(), atoms.info[STRESS], atol=1e-8)


def without_stress() -> list[Atoms]:
    frames = copper(12)
    del frames[3].info[STRESS]
    return frames


def without_forces() -> list[Atoms]:
    frames = copper(12)
    frames[3].arrays[FORCES][:] = np.nan
    return frames


def test_stress_is_left_out_where_a_frame_has_none(tmp_path: Path) -> None:
    copy_and_train = f"cp train.extxyz {tmp_path}; {command()}"
    run(tmp_path, by_command(command=copy_and_train), frames=without_stress())
    assert "stress" not in (tmp_path / "train.extxyz").read_text()


@law("trainer.command.timeout")
@pytest.mark.parametrize(
    ("trainer", "changes", "message"),
    [
        ({"command": "echo so so; exit 3"}, {}, "sh ended with exit status 3: so so"),
        ({"command": "true"}, {}, "command ended without its model 'made.model': see"),
        (
            {"command": "sleep 60", "timeout": 0.5},
            {},
            "sh took longer than trainer.timeout = 0.5 s",
        ),
        ({"command": "echo x > made.model"}, {}, "cannot wrap '.*trained.model'"),
        ({"python": "/nowhere"}, {}, "no Python in '/nowhere'"),
        ({}, {"frames": without_forces()}, "some have none"),
        ({}, {"splits": ["train"] * 12}, "no structure is left for validation"),
    ],
    ids=lambda x: str(x)[:40],
)
def test_what_fails_is_one_line(
    tmp_path: Path, trainer: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    begin = time.monotonic()
    with pytest.raises(UserError, match=message) as caught:
        run(tmp_path, by_command(**trainer), **changes)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "model.pt").exists()
    assert time.monotonic() - begin < 40.0


@law(
    "trainer.mace.kind",
    "trainer.mace.python",
    "trainer.mace.epochs",
    "trainer.mace.timeout",
)
def test_a_package_gets_its_input_and_runs_in_its_environment(
    tmp_path: Path, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PMI_RANK", "1")
    trainer = {"kind": "mace", "python": str(environment), "epochs": 7, "timeout": 60.0}
    run(tmp_path, trainer, training={"seed": 4, "threads": 2}, factor=2.0)
    seen = yaml.safe_load((tmp_path / "seen.yaml").read_text())
    assert (seen["max_num_epochs"], seen["seed"], seen["device"]) == (14, 4, "cpu")
    assert (seen["E0s"], seen["loss"]) == ("average", "universal")
    assert "threads 2, launcher none" in (tmp_path / "trainer/0/log.txt").read_text()
    with pytest.raises(UserError, match=r"has no sevenn: trainer\.python must name"):
        run(tmp_path / "other", {**trainer, "kind": "sevennet"})


@pytest.mark.parametrize("kind", ["mace", "sevennet", "nequip"])
def test_fine_tuning_takes_smaller_steps_than_training_from_scratch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(packages, "_shape_of_foundation", lambda trainer: {})
    values = dict.fromkeys(("train", "validation", "head", "seed", "device"), "x")
    values |= {"elements": ["Cu"], "cutoff": 5.0, "epochs": 10, "stress": True}
    rates = []
    for foundation in (None, "some.ckpt"):
        trainer = PackageTrainer(kind=kind, foundation=foundation)
        write_input(trainer, values | {"foundation": foundation}, tmp_path / "input.yaml")
        text = (tmp_path / "input.yaml").read_text()
        rates += [float(rate) for rate in re.findall(r"\blr: (\S+)", text)]
    assert len(rates) == 2
    assert rates[1] <= 0.1 * rates[0]


@law("trainer.mace.config")
def test_a_template_of_ones_own_is_filled(tmp_path: Path, environment: Path) -> None:
    template = tmp_path / "mine.yaml"
    template.write_text("lr: 0.5\nepochs: {{ epochs }}\nof: {{ elements | tojson }}\n")
    trainer = {"kind": "mace", "python": str(environment), "config": str(template)}
    run(tmp_path, trainer)
    seen = yaml.safe_load((tmp_path / "seen.yaml").read_text())
    assert seen == {"lr": 0.5, "epochs": 100, "of": ["Cu"]}
    for text, message in (("a: {{ epoch }}", "'epoch' is undefined"), ("just text", "no keys")):
        template.write_text(text)
        with pytest.raises(UserError, match=rf"trainer\.config '.*mine\.yaml' .*{message}"):
            run(tmp_path / text[:1], trainer)


@law("trainer.mace.foundation", "trainer.mace.head")
def test_labels_are_on_the_energy_scale_of_the_foundation_model(
    tmp_path: Path, environment: Path
) -> None:
    run(tmp_path, by_command())
    foundation = tmp_path / "foundation.model"
    (tmp_path / "trainer/0/trained.model").rename(foundation)
    frames = copper(12)
    for atoms in frames:
        atoms.info[ENERGY] += 100.0 * len(atoms)
    program = environment / "bin" / "mace_run_train"
    program.write_text(program.read_text().replace("exec", f"cp train.extxyz {tmp_path}; exec", 1))
    trainer = {"kind": "mace", "python": str(environment), "foundation": str(foundation)}
    lines = run(tmp_path, trainer, frames=frames)
    assert "Cu +100.0" in next(line for line in lines if "foundation model: shifts" in line)
    written = ase.io.read(tmp_path / "train.extxyz", ":")
    for atoms, known in zip(written, copper(12), strict=False):
        assert atoms.info[ENERGY] == pytest.approx(known.info[ENERGY], abs=0.2 * len(atoms))
    # and the model that comes out is on that of the labels
    (prediction,) = Model(tmp_path / "model.pt").predict(frames[:1])
    assert prediction.energy == pytest.approx(frames[0].info[ENERGY], abs=0.2 * len(frames[0]))
    with pytest.raises(UserError, match="the model has the heads Default: got 'other'"):
        run(tmp_path / "second", {**trainer, "head": "other"}, frames=frames)


@law("trainer.mace.trust")
def test_a_pickle_takes_trust(tmp_path: Path, environment: Path) -> None:
    pickle = tmp_path / "pickled.model"
    pickle.write_bytes(b"\x80\x04N.")
    trainer = {"kind": "mace", "python": str(environment), "foundation": str(pickle)}
    with pytest.raises(UserError, match="--trust"):
        run(tmp_path, trainer)
    with pytest.raises(UserError) as caught:
        run(tmp_path, {**trainer, "trust": True})
    assert "--trust" not in str(caught.value)


def test_what_a_package_trained_here_is_trusted(tmp_path: Path, environment: Path) -> None:
    program = environment / "bin" / "mace_run_train"
    program.write_text("#!/bin/sh\nprintf 'a pickle' > trained_compiled.model\n")
    with pytest.raises(UserError, match=r"cannot wrap|has not what mace needs") as caught:
        run(tmp_path, {"kind": "mace", "python": str(environment)})
    assert "--trust" not in str(caught.value)


@law("trainer.command.python", "trainer.command.head", "trainer.command.trust")
def test_what_a_command_wrote_is_wrapped_as_it_says(tmp_path: Path, environment: Path) -> None:
    with pytest.raises(UserError, match="the model has the heads Default: got 'other'"):
        run(tmp_path / "head", by_command(head="other"))
    pickle = by_command(command="printf 'no model' > made.model")
    with pytest.raises(UserError, match="--trust"):
        run(tmp_path / "pickle", pickle)
    with pytest.raises(UserError) as caught:
        run(tmp_path / "trust", {**pickle, "trust": True})
    assert "--trust" not in str(caught.value)
    python = environment / "bin" / "python"
    python.write_text(f"#!/bin/sh\ntouch {tmp_path}/used\n" + python.read_text())
    run(tmp_path / "python", by_command(python=str(environment)))
    assert (tmp_path / "used").exists()


@pytest.mark.parametrize("kind", ["mace", "sevennet", "nequip"])
@pytest.mark.parametrize("foundation", [None, "some.zip", "some.ckpt"])
@pytest.mark.parametrize("stress", [True, False])
def test_the_templates_are_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, foundation: str | None, stress: bool
) -> None:
    shape = {"cutoff": 5.0}
    monkeypatch.setattr("pyubias.trainers.packages._shape_of_foundation", lambda trainer: shape)
    values = {
        "train": "/a b/train.extxyz",
        "validation": "/a b/validation.extxyz",
        "elements": ["Cu", "Au"],
        "cutoff": 5.0,
        "foundation": foundation,
        "head": None,
        "epochs": 30,
        "seed": 3,
        "device": "cuda",
        "stress": stress,
    }
    trainer = PackageTrainer(kind=kind, foundation=foundation)
    write_input(trainer, values, tmp_path / "input.yaml")
    text = (tmp_path / "input.yaml").read_text()
    assert "/a b/train.extxyz" in text
    assert "30" in text
    assert ("some" in text) == (foundation is not None)
    assert kind != "sevennet" or ("cutoff: 5.0" in text)


def test_settings_of_another_trainer_are_refused(tmp_path: Path) -> None:
    for changes, message in (
        ({"model": {"cutoff": 6.0}}, r"model\.cutoff is of the trainer gmnn, and command ignores"),
        ({"training": {"epochs": 3}}, r"training\.epochs is of the trainer gmnn"),
        ({"uncertainty": {"projections": 8}}, r"uncertainty\.projections is of the trainer gmnn"),
        ({"uncertainty": {"kind": "distance", "projections": None}}, "command has posterior and"),
        ({"training": {"validation": 0.0, "epochs": None}}, r"training\.validation is 0"),
        ({"trainer": {"kind": "mac"}}, "'trainer.kind' must be gmnn or mace or sevennet or nequip"),
    ):
        path = tiny(tmp_path, elsewhere(**changes))
        with pytest.raises(ConfigError, match=message):
            load_campaign(path)
    path.write_text(yaml.safe_dump({"trainer": by_command(), "model": {"cutoff": 6.0}}))
    with pytest.raises(ConfigError, match=r"model\.cutoff is of the trainer gmnn"):
        load_training(path)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "environment").mkdir()
    trainer = {"kind": "mace", "python": "environment", "foundation": "7net-0"}
    config = load_campaign(tiny(tmp_path, elsewhere(trainer=trainer)))
    assert isinstance(config.trainer, PackageTrainer)
    assert config.trainer.python == str(tmp_path / "environment")
    assert config.trainer.foundation == "7net-0"


@law("trainer.gmnn.kind")
def test_a_campaign_is_trained_elsewhere_from_its_first_label_to_its_last(tmp_path: Path) -> None:
    # a potential this simple walks into frames that the reference refuses
    short = elsewhere(stop={"labels": 13})
    folder = run_campaign(load_campaign(tiny(tmp_path, short)), tmp_path / "runs")
    records = RunFolder(folder).records()
    assert records[0].n_labels == 10
    assert records[-1].n_labels >= 11
    for k in range(len(records)):
        iteration = RunFolder(folder).iteration(k)
        assert load(iteration.model)[1].source["kind"] == "mace"
        assert not iteration.checkpoint.exists()
        seed = (iteration.trainer / "0" / "log.txt").read_text().split()[-1]
        assert seed == "3"
    assert records[-1].energy_rmse > 0.0
    assert any(record.coverage > 0.0 for record in records)
    (folder / "labels.db").unlink()
    with pytest.raises(UserError, match=r"holds no label, but '.*model\.pt' was trained"):
        run_campaign(load_campaign(tiny(tmp_path, short)), tmp_path / "runs")
    log = (folder / "log.txt").read_text()
    assert "warning: the total uncertainty is calibrated for a coverage of" in log


@pytest.mark.slow
def test_a_campaign_that_is_killed_while_a_command_trains_goes_on(tmp_path: Path) -> None:
    """The command of the killed run ends with it, and the next run trains again."""
    waits = f"echo $$ > {tmp_path}/pid; test -e {tmp_path}/go || exec sleep 300; {command()}"
    changes = elsewhere(trainer=by_command(command=waits), stop={"labels": 10})
    path = tiny(tmp_path, changes)
    commands = shared_commands()
    pid = tmp_path / "pid"
    killed = commands.start(tmp_path, "run", path)
    assert killed.kill_when(lambda: pid.is_file() and bool(pid.read_text().strip())) < 0
    number = int(pid.read_text())
    deadline = time.monotonic() + 10.0
    while _runs(number) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(number)
    (tmp_path / "go").touch()
    resumed = commands.run(tmp_path, "run", path)
    assert resumed.status == 0, resumed.output
    undisturbed = run_campaign(load_campaign(path), tmp_path / "others")
    assert metrics(tmp_path / "runs" / "tiny") == metrics(undisturbed)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_command_line_trains_elsewhere_and_tries_it_dry(tmp_path: Path) -> None:
    path = tiny(tmp_path, elsewhere())
    dry = shared_commands().run(tmp_path, "run", path, "--dry-run")
    assert dry.status == 0, dry.output
    assert "all is in order" in dry.output
    ase.io.write(tmp_path / "copper.extxyz", copper(30))
    done = shared_commands().run(
        tmp_path, "train", "copper.extxyz", "--config", path, "-o", "made.pt"
    )
    assert done.status == 0, done.output
    assert "3 structures for calibration" not in done.output
    assert "made.pt: posterior uncertainty, hash" in done.output
    assert load(tmp_path / "made.pt")[1].elements == ["Cu"]
    again = shared_commands().run(
        tmp_path, "train", "copper.extxyz", "--config", path, "-o", "made.pt"
    )
    assert again.status == 2
    assert "'made.trainer' is there from an earlier training" in again.output
