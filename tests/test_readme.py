"""What the README shows runs as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PROGRAMS = Path(sys.executable).parent


def block(language: str) -> str:
    """The first code block of a language."""
    found = re.search(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)
    assert found is not None
    return found.group(1)


def run(*command: str, folder: Path) -> str:
    environment = {
        **os.environ,
        "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def after_the_python_block(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder that looks like the checkout, in which the Python block has run."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "inputs").symlink_to(ROOT / "inputs")
    return folder, run(sys.executable, "-c", block("python"), folder=folder)


def test_python_block_predicts_energy_and_uncertainty(
    after_the_python_block: tuple[Path, str],
) -> None:
    _, output = after_the_python_block
    assert "REF_energy" in output
    assert re.search(r"^-?\d+\.\d+ eV$", output, flags=re.MULTILINE)
    assert re.search(r"^\d\.\d+\S* eV/atom$", output, flags=re.MULTILINE)


def test_lammps_block_runs_in_plain_lmp(after_the_python_block: tuple[Path, str]) -> None:
    folder, _ = after_the_python_block
    model = folder / "runs" / "ala2-quickstart" / "model.pt"
    model.parent.mkdir(parents=True)
    model.symlink_to(folder / "model.pt")
    (folder / "in.readme").write_text(block("lammps"))
    output = run("lmp", "-in", "in.readme", "-log", "none", folder=folder)
    assert re.search(r"Loop time of .* for 1000 steps with 22 atoms", output)


def test_first_command_is_in_order() -> None:
    command = re.search(r"pyubias run (\S+)", block("sh"))
    assert command is not None
    output = run("pyubias", "run", command.group(1), "--dry-run", folder=ROOT)
    assert "all is in order" in output


def test_ci_calls_the_test_command() -> None:
    install, test = block("sh").splitlines()[1].split(" && ")
    script = (ROOT / ".ci" / "run").read_text()
    assert install.removeprefix("pip install ") in script
    assert f"&& {test}" in script
