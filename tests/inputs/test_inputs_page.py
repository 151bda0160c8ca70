"""The page about the inputs has the values of their files."""

import functools
import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from toys import save_toy

from pyubias.config import CampaignConfig, load_campaign
from pyubias.lammps.data_file import write_structure
from pyubias.lammps.library import open_lammps

INPUTS = Path(__file__).parents[2] / "inputs"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (INPUTS / "README.md").read_text().splitlines()
    if re.match(r"\| (setting|`\w+\.\w+`) \|", line)
]
FILES = re.findall(r"\]\((\S+?\.yaml)\)", " ".join(ROWS[0]))
VALUES = [
    (file, row[0].strip("`"), value)
    for row in ROWS[1:]
    for file, value in zip(FILES, row[1:], strict=True)
]


@functools.cache
def campaign(file: str) -> CampaignConfig:
    return load_campaign(INPUTS / file)


def test_the_table_has_files_and_settings() -> None:
    assert len(FILES) == 4
    assert len(VALUES) > 40


@pytest.mark.parametrize(("file", "setting", "value"), VALUES)
def test_a_value_in_the_table_is_that_of_the_file(file: str, setting: str, value: str) -> None:
    found: Any = campaign(file)
    for key in setting.split("."):
        found = getattr(found, key)
    assert value == str(found)


def test_the_page_adds_charges_in_a_walker_as_it_says(tmp_path: Path) -> None:
    """Against the Madelung constant of rock salt, 1.747565: E = -M q²/(4πε₀ r) for each pair."""
    page = (INPUTS / "README.md").read_text()
    found = re.search(r"```lammps\n(.*?)```", page, re.DOTALL)
    assert found is not None
    block = textwrap.dedent(found[1])
    crystal: Atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (3, 3, 3)
    write_structure(tmp_path / "structure.data", crystal, ["Na", "Cl"])
    save_toy(tmp_path / "model.pt", elements=("Na", "Cl"))
    setup = (
        f"units metal\natom_style atomic\nread_data {tmp_path}/structure.data\n"
        f"variable model index {tmp_path}/model.pt\nvariable elements index 'Na Cl'\n"
    )
    rest = "fix bias all ubias tau 0.25\nfix move all nve\nvelocity all create 300 1\nrun 0\n"
    only_model = "pair_style ubias\npair_coeff * * ${model} ${elements}\n"
    energies = []
    for commands in (block, only_model):
        with open_lammps() as lammps:
            lammps.commands_string(setup + commands + rest)
            energies.append(lammps.get_thermo("pe"))
            lammps.command("run 5")
    madelung = -1.747565 * 14.39964 / (5.64 / 2) * len(crystal) / 2
    np.testing.assert_allclose(energies[0] - energies[1], madelung, rtol=1e-4)
