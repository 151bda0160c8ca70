"""The doctor finds this installation healthy, and names one command for each thing that is not."""

import importlib.metadata
import re

import pytest

from pyubias.cli import doctor


def test_this_installation_is_well(capsys):
    assert doctor.examine()
    printed = capsys.readouterr().out
    assert "tiny run on 2 ranks" in printed
    assert printed.rstrip().endswith("all is well")


def fix_of(capsys) -> str:
    assert not doctor.examine()
    printed = capsys.readouterr().out
    found = re.search(r"fix: (.*)", printed)
    assert found is not None
    return found.group(1)


def test_another_torch_is_named_with_the_command_that_installs_ours(monkeypatch, capsys):
    version = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "2.9.1" if name == "torch" else version(name)
    )
    fix = fix_of(capsys)
    assert "-m pip install 'torch==2.13.0', or build the plugin for yours: " in fix
    assert re.search(r"--force-reinstall --no-deps --no-build-isolation \S+$", fix)


def test_another_torch_that_the_plugin_was_built_for_is_well(monkeypatch, tmp_path):
    version = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "2.9.1" if name == "torch" else version(name)
    )
    monkeypatch.setattr(doctor, "plugin_file", lambda: tmp_path / "ubiasplugin.so")
    (tmp_path / "plugin_build.json").write_text('{"torch": "2.9.1", "lammps": "22 Jul 2025"}')
    assert "torch 2.9.1" in doctor._check_packages()


def test_a_plugin_for_another_torch_is_built_for_this_one(monkeypatch, tmp_path):
    for name in ("ubiasplugin.so", "libubias_model.so", "libubias_ops.so"):
        (tmp_path / name).touch()
    (tmp_path / "plugin_build.json").write_text('{"torch": "2.9.1", "lammps": "22 Jul 2025"}')
    monkeypatch.setattr(doctor, "plugin_file", lambda: tmp_path / "ubiasplugin.so")
    with pytest.raises(doctor.Problem, match=r"built for torch 2\.9\.1, found") as caught:
        doctor._check_plugin()
    assert "--no-build-isolation" not in caught.value.fix
    version = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "2.12.0" if name == "torch" else version(name)
    )
    with pytest.raises(doctor.Problem) as caught:
        doctor._check_plugin()
    assert "--no-build-isolation" in caught.value.fix


def test_another_lammps_in_the_path_is_named(monkeypatch, tmp_path):
    other = tmp_path / "lmp"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    remark = doctor._another_lmp("/env/bin/lmp")
    assert f"your shell starts {other}, which needs a plugin of its own" in remark
    assert doctor._another_lmp(str(other)) == ""


def test_a_missing_plugin_is_named_with_the_command_that_builds_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(doctor, "plugin_file", lambda: tmp_path / "ubiasplugin.so")
    assert re.search(r"-m pip install --force-reinstall --no-deps \S+$", fix_of(capsys))


def test_a_missing_mpirun_is_named(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_mpirun", lambda: None)
    assert fix_of(capsys).endswith("-m pip install mpich")


def test_a_plugin_that_cannot_run_is_built_anew(monkeypatch, tmp_path):
    (tmp_path / "tiny.in").write_text("pair_style nonsense\n")
    monkeypatch.setattr(doctor, "TEMPLATES", tmp_path)
    with pytest.raises(doctor.Problem, match="LAMMPS cannot run the plugin: ERROR"):
        doctor._check_run(1)
