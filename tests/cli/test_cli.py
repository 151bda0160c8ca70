"""The command line as a user meets it: one line for each mistake, and a chain that works."""

import json
import re
import zipfile
from pathlib import Path

import ase.io
import pytest
import yaml
from ase import Atoms
from campaigns import ALA2, Command, mpirun, shared_commands, tiny
from toys import Toy, save_toy

from pyubias.model.archive import METADATA_FILE

TEST_SET = ALA2 / "testset.extxyz"
SMALL = """
model: {cutoff: 4.0, n_radial: 2, n_basis: 4, hidden: [16]}
training: {epochs: 3, calibration: 0.2}
uncertainty: {projections: 16}
finish: null
"""


def run(folder: Path, *arguments: object) -> Command:
    return shared_commands().run(folder, *arguments)


def write_frames(path: Path, n: int) -> list[Atoms]:
    frames: list[Atoms] = ase.io.read(TEST_SET, index=f":{n}")
    ase.io.write(path, frames)
    return frames


def assert_one_line(command: Command, message: str) -> None:
    """The last thing that was printed is one line that says what is wrong; exit code 2."""
    output = command.output
    assert command.status == 2, output
    assert "Traceback" not in output
    errors = [line for line in output.splitlines() if line.startswith("pyubias: error: ")]
    assert len(errors) == 1, output
    assert output.splitlines()[-1] == errors[0]
    assert re.search(message, errors[0]), errors[0]


def test_an_unknown_key_is_one_line(tmp_path: Path) -> None:
    tiny(tmp_path, {"exploration": {"walkrs": 3}})
    message = r"campaign\.yaml: unknown key 'exploration\.walkrs'; did you mean 'walkers'\?"
    assert_one_line(run(tmp_path, "run", "campaign.yaml"), message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "gone.yaml"), r"file 'gone\.yaml' does not exist"),
        (("train", "gone.xyz"), r"data file 'gone\.xyz' does not exist"),
        (("train", "."), r"'\.' is no run folder: it has no labels\.db"),
        (("export", "gone.ckpt"), r"checkpoint 'gone\.ckpt' does not exist"),
        (("check", "gone.pt"), r"model file 'gone\.pt' does not exist"),
        (("evaluate", "gone.pt", TEST_SET), r"model file 'gone\.pt' does not exist"),
        (("label", "gone.xyz", ALA2 / "quickstart.yaml"), r"structures 'gone\.xyz' do not exist"),
        (("label", TEST_SET, "gone.yaml"), r"file 'gone\.yaml' does not exist"),
        (("compare", "gone"), r"'gone' is no run folder"),
        (("train", TEST_SET, "-o", "no/x.ckpt"), r"cannot write 'no/x\.ckpt': folder .*/no' does"),
        (("compare", "x", "--json", "no/x"), r"cannot write 'no/x': folder '.*/no' does not exist"),
        (("train", TEST_SET, "--key", "energy"), r"--key wants NAME=KEY .*, got 'energy'"),
        (("export", "x", "--dtype", "float16"), r"--dtype must be float64 or float32, got"),
    ],
)
def test_a_missing_file_or_a_wrong_option_is_one_line(
    tmp_path: Path, arguments: tuple[object, ...], message: str
) -> None:
    assert_one_line(run(tmp_path, *arguments), message)


def test_a_truncated_model_is_one_line(tmp_path: Path, model_file: Path) -> None:
    whole = model_file.read_bytes()
    for fraction in (0.0, 0.5, 0.99):
        (tmp_path / "half.pt").write_bytes(whole[: int(fraction * len(whole))])
        command = run(tmp_path, "check", "half.pt")
        assert_one_line(command, r"model file 'half\.pt' is not a readable TorchScript archive")


def test_a_truncated_checkpoint_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "half.ckpt").write_bytes(b"PK\x03\x04 half of it")
    command = run(tmp_path, "export", "half.ckpt")
    assert_one_line(command, r"'half\.ckpt' is not a pyubias checkpoint")
    assert not (tmp_path / "model.pt").exists()


def test_a_model_of_another_contract_version_is_one_line(tmp_path: Path) -> None:
    save_toy(tmp_path / "old.pt", contract_version=7)
    message = "has contract version 7, this pyubias reads versions 1 to 2; export the model again"
    assert_one_line(run(tmp_path, "check", "old.pt"), message)


def test_a_model_without_metadata_is_one_line(tmp_path: Path) -> None:
    path = save_toy(tmp_path / "with.pt")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "without.pt", "w") as new:
        for item in old.infolist():
            if not item.filename.endswith(METADATA_FILE):
                new.writestr(item, old.read(item))
    assert_one_line(run(tmp_path, "check", "without.pt"), "carries no pyubias metadata")


def test_a_model_that_breaks_the_contract_is_one_line(tmp_path: Path) -> None:
    save_toy(tmp_path / "wrong.pt", n_features=5)
    message = r"'features' has shape \(\d+, 2\), wanted \(\d+, 5\)"
    assert_one_line(run(tmp_path, "check", "wrong.pt"), message)


def test_an_element_that_a_model_does_not_know_is_one_line(tmp_path: Path) -> None:
    save_toy(tmp_path / "argon.pt", Toy())
    command = run(tmp_path, "evaluate", "argon.pt", TEST_SET)
    assert_one_line(command, "Ar")


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_data_set_without_labels_is_one_line(
    tmp_path: Path, command: str, model_file: Path
) -> None:
    arguments = [model_file] if command == "evaluate" else []
    result = run(tmp_path, command, *arguments, ALA2 / "c7eq.xyz")
    assert_one_line(result, "1 of 1 structures have no energy; looked for REF_energy")


def test_a_test_set_without_labels_is_one_line(tmp_path: Path) -> None:
    file = tiny(tmp_path, {"evaluation": {"test": str(ALA2 / "c7eq.xyz")}})
    assert_one_line(run(tmp_path, "run", file), "1 of 1 structures have no energy")


def test_a_reference_with_another_order_of_elements_is_one_line(tmp_path: Path) -> None:
    atoms = ase.io.read(ALA2 / "c7eq.xyz")[[1, 0, *range(2, 22)]]
    ase.io.write(tmp_path / "swapped.xyz", atoms)
    message = r"atom 1 is C in the structure and H in reference '.*reference\.in'; both must list"
    file = tiny(tmp_path, {"start": {"structures": "swapped.xyz"}})
    assert_one_line(run(tmp_path, "run", file), message)
    assert_one_line(run(tmp_path, "label", "swapped.xyz", file), message)


def test_a_reference_that_fails_for_all_frames_is_one_line(tmp_path: Path) -> None:
    file = tiny(tmp_path, {"reference": {"max_force": 1e-3}})
    message = r"the reference labelled none of the start structures: \|F\| = .* above the limit"
    assert_one_line(run(tmp_path, "run", file), message)
    write_frames(tmp_path / "frames.extxyz", 2)
    command = run(tmp_path, "label", "frames.extxyz", file)
    assert_one_line(command, "no structure could be labelled")
    assert command.output.count("failed: structure ") == 2


def test_changed_settings_are_one_line(tmp_path: Path) -> None:
    changes = {"stop": {"labels": 10}}
    command = shared_commands().run(
        tmp_path, "run", tiny(tmp_path, changes), die_before="potential.ckpt"
    )
    assert command.status == -9
    file = tiny(tmp_path, changes | {"seed": 4})
    assert_one_line(run(tmp_path, "run", file), "was made with seed = 3, now it is 4; give it")


@pytest.mark.slow
def test_an_error_on_many_ranks_is_told_once_and_ends_them_all(tmp_path: Path) -> None:
    """One that all ranks learn of together, and one that only some of them meet."""
    tiny(tmp_path, {"seeed": 1}, "typo.yaml")
    # the control arm alone has a reference that fails
    control = {"reference": {"max_force": 1e-3}}
    tiny(tmp_path, {"control": control, "stop": {"labels": 100}}, "control.yaml")
    for file, message in (
        ("typo.yaml", "unknown key 'seeed'; did you mean 'seed'?"),
        ("control.yaml", "the reference labelled none of the start structures"),
    ):
        result = mpirun(2, tmp_path, "pyubias", "run", file)
        assert result.returncode != 0, result.stdout
        assert result.stderr.count("pyubias: error: ") == 1, result.stderr
        assert message in result.stderr
        assert "Traceback" not in result.stderr


def test_train_export_check_evaluate_label_as_a_user_chains_them(tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "frames.extxyz", 20)
    (tmp_path / "small.yaml").write_text(SMALL)

    # labels of its own making, then a potential from them
    bare = [Atoms(a.numbers, positions=a.positions) for a in frames]
    ase.io.write(tmp_path / "bare.xyz", bare)
    command = run(tmp_path, "label", "bare.xyz", ALA2 / "quickstart.yaml", "-o", "own.extxyz")
    assert command.status == 0, command.output
    assert "own.extxyz: 20 labelled, 0 failed" in command.output
    for a, b in zip(ase.io.read(tmp_path / "own.extxyz", index=":"), frames, strict=True):
        assert a.info["REF_energy"] == pytest.approx(b.info["REF_energy"], abs=1e-5)

    command = run(tmp_path, "train", "own.extxyz", "--config", "small.yaml")
    assert command.status == 0, command.output
    assert "energy from REF_energy (20 of 20); forces from REF_forces (20 of 20)" in command.output
    assert "potential.ckpt: trained on 14 structures, 2 for validation, 4 for" in command.output
    assert "the total uncertainty is calibrated for a coverage of 0.80 only" in command.output

    command = run(tmp_path, "export", "potential.ckpt")
    assert command.status == 0, command.output
    assert "model.pt: elements C H N O, cutoff 4 Å, 16 features, float64" in command.output
    command = run(tmp_path, "check", "model.pt")
    assert command.status == 0, command.output
    assert "model.pt meets the contract" in command.output

    command = run(tmp_path, "evaluate", "model.pt", "frames.extxyz", "--json", "result.json")
    assert command.status == 0, command.output
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["n_structures"] == 20
    assert f"{1e3 * result['forces_rmse']:.3f}" in command.output
    assert f"{1e3 * result['energy_mae']:.3f}" in command.output
    assert re.search(r"stress, meV/Å³ +│ +– │ +– │", command.output)
    assert "(calibrated for 0.80 only, by too few structures for 0.95)" in command.output
    coverage = f"coverage of the atomic uncertainty: {result['atomic_coverage']:.3f} (calibrated"
    assert coverage in command.output


def test_labels_may_have_names_of_their_own(tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "frames.extxyz", 10)
    for atoms in frames:
        atoms.info["dft"] = atoms.info.pop("REF_energy")
        atoms.set_array("dft_forces", atoms.arrays.pop("REF_forces"))
    ase.io.write(tmp_path / "dft.extxyz", frames)
    (tmp_path / "small.yaml").write_text(SMALL)
    keys = ("--key", "energy=dft", "--key", "forces=dft_forces")
    command = run(tmp_path, "train", "dft.extxyz", "--config", "small.yaml", *keys)
    assert command.status == 0, command.output
    assert "energy from dft (10 of 10); forces from dft_forces (10 of 10)" in command.output


def test_forces_under_a_name_that_was_not_given_are_a_dash_and_named(
    tmp_path: Path, model_file: Path
) -> None:
    frames = write_frames(tmp_path / "frames.extxyz", 10)
    for atoms in frames:
        atoms.info["dft_E"] = atoms.info.pop("REF_energy")
        atoms.set_array("dft_F", atoms.arrays.pop("REF_forces"))
    ase.io.write(tmp_path / "dft.extxyz", frames)
    (tmp_path / "small.yaml").write_text(SMALL)
    commands = (
        (("evaluate", model_file, "dft.extxyz"), r"forces, meV/Å +│ +– │ +– │"),
        (("train", "dft.extxyz", "--config", "small.yaml"), r"meV/atom, forces –"),
    )
    for arguments, dash in commands:
        command = run(tmp_path, *arguments, "--key", "energy=dft_E")
        assert command.status == 0, command.output
        assert "energy from dft_E (10 of 10); no forces; no stress" in command.output
        assert "not used, though the names look like labels: dft_F (n, 3) (10 of 10)" in (
            command.output
        )
        assert re.search(dash, command.output), command.output
        assert "by element" not in command.output


def test_errors_are_shown_for_each_element_and_config_type(
    tmp_path: Path, model_file: Path
) -> None:
    frames = write_frames(tmp_path / "frames.extxyz", 6)
    for atoms in frames[:4]:
        atoms.info["config_type"] = "[hot]"  # no markup of the terminal
    ase.io.write(tmp_path / "frames.extxyz", frames)
    command = run(tmp_path, "evaluate", model_file, "frames.extxyz", "--json", "result.json")
    assert command.status == 0, command.output
    result = json.loads((tmp_path / "result.json").read_text())
    assert list(result["elements"]) == ["C", "H", "N", "O"]
    assert [x["n_atoms"] for x in result["elements"].values()] == [36, 72, 12, 12]
    squares = [3 * x["n_atoms"] * x["forces_rmse"] ** 2 for x in result["elements"].values()]
    assert sum(squares) / (3 * 132) == pytest.approx(result["forces_rmse"] ** 2)
    oxygen = f"{1e3 * result['elements']['O']['forces_rmse']:.3f}"
    assert re.search(rf"│ O +│ +12 │ +{re.escape(oxygen)} │", command.output)
    kinds = result["config_types"]
    assert {kind: x["n_structures"] for kind, x in kinds.items()} == {"": 2, "[hot]": 4}
    hot = f"{1e3 * kinds['[hot]']['energy_rmse']:.3f}"
    assert re.search(rf"│ \[hot\] +│ +4 │ +{re.escape(hot)} │", command.output)
    assert re.search(r"│ \(none\) +│ +2 │", command.output)


def test_compare_takes_run_folders_and_writes_numbers_and_a_picture(tmp_path: Path) -> None:
    config = yaml.safe_load(tiny(tmp_path).read_text())
    for seed in (1, 2):
        folder = tmp_path / f"s{seed}"
        folder.mkdir()
        settings = config | {"name": folder.name, "seed": seed}
        (folder / "config.json").write_text(json.dumps(settings))
        record = {"iteration": 0, "n_labels": 16, "forces_rmse": 0.1 * seed}
        (folder / "metrics.json").write_text(json.dumps([record]))
    arguments = ("compare", "s1", "s2", "--json", "result.json")
    command = shared_commands().run(tmp_path, *arguments, pictures=True)
    assert command.status == 0, command.output
    assert "150.0 ± 70.7" in command.output
    (record,) = json.loads((tmp_path / "result.json").read_text())
    assert record["seeds"] == 2
    assert (tmp_path / "compare.png").is_file()


def test_without_arguments_it_lists_its_commands(tmp_path: Path) -> None:
    command = run(tmp_path)
    for name in ("run", "init", "train", "evaluate", "export", "check", "label", "compare"):
        assert re.search(rf"\b{name}\b", command.output)
    assert "Traceback" not in command.output


@pytest.mark.slow
def test_ranks_of_mpirun_train_one_checkpoint_together(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(SMALL)
    options = (TEST_SET, "--config", "settings.yaml")
    done = mpirun(2, tmp_path, "pyubias", "train", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("potential.ckpt: trained on") == 1
    assert (tmp_path / "potential.ckpt").is_file()

    wrong = mpirun(2, tmp_path, "pyubias", "train", "nothing.xyz")
    assert wrong.returncode == 2
    assert wrong.stderr.count("data file 'nothing.xyz' does not exist") == 1
