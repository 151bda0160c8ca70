"""Run folders of campaigns that several files look at; no test changes them."""

from pathlib import Path

import pytest
from made_once import made_once
from outcomes import molecules, run


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a campaign on one rank that nothing disturbed."""
    return made_once(tmp_path_factory, "uninterrupted", run) / "runs" / "tiny"


@pytest.fixture(scope="session")
def over_molecules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a campaign that prefers molecules to geometries."""
    pytest.importorskip("rdkit")

    def make(folder: Path) -> Path:
        return run(folder, molecules(folder, balance=1.0))

    return made_once(tmp_path_factory, "over-molecules", make) / "runs" / "tiny"
