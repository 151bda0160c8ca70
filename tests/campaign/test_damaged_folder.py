"""A damaged file of a run folder is made again, or named in one line."""

import functools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from campaigns import shared_commands, tiny

FIRST = "iterations/0000"
# each is the file that a campaign reads next when it was killed before `until` was there
FILES = [
    ("config.json", ""),
    ("labels.db", ""),
    ("metrics.json", ""),
    (f"{FIRST}/record.json", ""),
    (f"{FIRST}/walkers/00.npz", ""),
    (f"{FIRST}/model.pt", "record.json"),
    (f"{FIRST}/selection.traj", "record.json"),
]
# JSON like the record, an archive of torch like the model file
LIKE_OTHERS = [
    (f"{FIRST}/seconds.json", "record.json"),
    (f"{FIRST}/evaluation.json", "selection.traj"),
    (f"{FIRST}/potential.ckpt", "model.pt"),
]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders with a campaign that was killed before it had a file; "" is never."""

    def folder(until: str) -> Path:
        made = tmp_path_factory.mktemp("killed")
        shared_commands().run(tiny(made).parent, "run", "campaign.yaml", die_before=until)
        return made

    return functools.cache(folder)


@pytest.mark.parametrize(
    ("name", "until"),
    [
        *FILES,
        *(pytest.param(*file, marks=pytest.mark.slow) for file in LIKE_OTHERS),
    ],
)
def test_a_damaged_file_is_made_again_or_named(
    killed: Callable[[str], Path], tmp_path: Path, name: str, until: str
) -> None:
    for k, share in enumerate((0.0, 0.5, None)):
        runs = tmp_path / str(k)
        shutil.copytree(killed(until) / "runs", runs)
        path = runs / "tiny" / name
        whole = path.read_bytes()
        path.unlink() if share is None else path.write_bytes(whole[: int(share * len(whole))])
        done = shared_commands().run(killed(until), "run", "campaign.yaml", "--runs", runs)
        assert "Traceback" not in done.output
        if done.wait() == 0:
            assert (runs / "tiny" / "report.html").is_file()
        else:
            (line,) = [x for x in done.output.splitlines() if x.startswith("pyubias: error: ")]
            assert done.wait() == 2
            assert path.name in line


def test_labels_that_are_gone_beside_a_checkpoint_are_not_made_again(
    killed: Callable[[str], Path], tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(killed("model.pt") / "runs", runs)
    assert not (runs / "tiny" / FIRST / "model.pt").exists()
    (runs / "tiny" / "labels.db").unlink()
    done = shared_commands().run(killed("model.pt"), "run", "campaign.yaml", "--runs", runs)
    assert done.wait() == 2
    assert "holds no label, but" in done.output
    assert "potential.ckpt' was trained on some" in done.output


@pytest.mark.parametrize("content", ["[]", '"text"', "{", "null"])
def test_settings_that_are_damaged_are_not_to_be_removed(
    killed: Callable[[str], Path], tmp_path: Path, content: str
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(killed("record.json") / "runs", runs)
    (runs / "tiny" / "config.json").write_text(content)
    for command in ("run", "report"):
        what = runs / "tiny" if command == "report" else "campaign.yaml"
        options = () if command == "report" else ("--runs", runs)
        done = shared_commands().run(killed("record.json"), command, what, *options)
        assert done.wait() == 2, done.output
        (line,) = [x for x in done.output.splitlines() if x.startswith("pyubias: error: ")]
        assert "config.json' is damaged: " in line
        assert line.endswith("bring it back, or remove the run folder")
