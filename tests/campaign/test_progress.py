"""A campaign tells what it does once: in a log, on the terminal, and in a file for others."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from pyubias.campaign.progress import Progress, _table, live_table, wants_live_table
from pyubias.campaign.run_folder import RunFolder


def test_lines_go_to_the_log_and_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log.txt"
    Progress("biased", RunFolder(tmp_path), log, is_root=True, echo=True).log("hello")
    Progress("unbiased", RunFolder(tmp_path), log, is_root=True, echo=False).log("quiet")
    Progress("biased", RunFolder(tmp_path), log, is_root=False, echo=True).log("nothing")
    assert capsys.readouterr().out == "[biased] hello\n"
    lines = log.read_text().splitlines()
    assert [line[20:] for line in lines] == ["[biased] hello", "[unbiased] quiet"]


def test_the_status_is_there_for_others_and_not_written_too_often(tmp_path: Path) -> None:
    progress = Progress(
        "biased", RunFolder(tmp_path), tmp_path / "log.txt", is_root=True, echo=False
    )
    progress.stage("train", "iteration 0: 10 labels")
    for done in range(100):
        progress.update(done=done, total=100)
    status = json.loads((tmp_path / "status.json").read_text())
    assert status["stage"] == "train"
    assert status["done"] < 99
    progress.update(force=True, labels=10)
    status = json.loads((tmp_path / "status.json").read_text())
    assert (status["done"], status["labels"]) == (99, 10)


def test_the_table_shows_what_the_arms_do_and_leaves_out_what_is_unknown(tmp_path: Path) -> None:
    folders = [tmp_path, tmp_path / "control", tmp_path / "not-started"]
    for folder, arm in zip(folders[:2], ("biased", "unbiased"), strict=True):
        folder.mkdir(exist_ok=True)
        Progress(arm, RunFolder(folder), tmp_path / "log.txt", is_root=True, echo=False).update(
            force=True,
            stage="explore",
            done=3,
            total=8,
            labels=24,
            label_budget=80,
            coverage=0.1234 if arm == "biased" else None,
            forces_rmse=0.0789,
            seconds_left=3725.0,
        )
    (folders[2]).mkdir()
    (folders[2] / "status.json").write_text('{"half')
    console = Console(file=io.StringIO(), width=80)
    console.print(_table([RunFolder(folder) for folder in folders]))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("explore") == 2
    for part in ("unbiased", "3/8", "24 of 80", "78.9", "1 h 02 min"):
        assert part in text
    assert text.count("0.123") == 1
    assert "E on the test set" not in text, "nobody measured it"


def test_the_table_fits_80_columns_however_large_the_numbers(tmp_path: Path) -> None:
    status = {
        **{"arm": "metadynamics", "iteration": 123, "stage": "explore", "done": 99, "total": 128},
        **{"labels": 10000, "label_budget": 12000, "md_steps": 123456789000, "coverage": 0.1},
        **{"energy_rmse": 1.2345, "forces_rmse": 12.345, "seconds_left": 359999.0},
    }
    folders = [RunFolder(tmp_path), RunFolder(tmp_path / "control")]
    for folder in folders:
        folder.path.mkdir(exist_ok=True)
        folder.status.write_text(json.dumps(status))
    console = Console(file=io.StringIO(), width=80)
    console.print(_table(folders))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for part in ("explore 99/128", "10000 of 12000", "123,456,789,000"):
        assert text.count(part) == 2
    for part in ("1234.5 meV/atom", "12345.0 meV/Å", "99 h 59 min"):
        assert text.count(part) == 2


def test_no_time_is_left_where_it_is_unknown(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.status.write_text(json.dumps({"arm": "biased", "stage": "train", "seconds_left": 0.0}))
    console = Console(file=io.StringIO(), width=80)
    console.print(_table([folder]))
    assert "left" not in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_live_table_ends_with_its_block_also_after_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    Progress("biased", RunFolder(tmp_path), tmp_path / "log.txt", True, False).update(
        force=True, stage="x"
    )
    with pytest.raises(KeyError), live_table([RunFolder(tmp_path)], wanted=True):
        raise KeyError
    assert "biased" in capsys.readouterr().out
    with live_table([RunFolder(tmp_path)], wanted=False):
        pass
    assert capsys.readouterr().out == ""


def test_plain_lines_when_the_output_is_no_terminal() -> None:
    assert not wants_live_table()
