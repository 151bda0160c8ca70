"""An environment of another package, as small as can be."""

from pathlib import Path

import pytest
from warm_python import warm_environment

TINY_MACE = Path(__file__).parent / "tiny_mace.py"
PROGRAM = """#!/bin/sh
cp {input} {folder}/seen.yaml
echo threads $OMP_NUM_THREADS, launcher ${{PMI_RANK:-none}}
exec {python} {tiny} {output} 0
"""


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment whose program of MACE keeps its input and fits the tiny model."""
    folder = tmp_path / "environment"
    programs = folder / "bin"
    programs.mkdir(parents=True)
    python = warm_environment() / "bin" / "python"
    values = {"folder": tmp_path, "python": python, "tiny": TINY_MACE}
    text = PROGRAM.format(input="input.yaml", output="trained_compiled.model", **values)
    (programs / "mace_run_train").write_text(text)
    (programs / "python").write_text(f'#!/bin/sh\nexec {python} "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    return folder
