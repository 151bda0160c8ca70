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
    assert fix_of(capsys).endswith("-m pip install 'torch==2.13.0'")


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
