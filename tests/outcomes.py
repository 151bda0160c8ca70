"""Tiny campaigns on one rank, and the comparison of what they leave behind."""

import re
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase.build import molecule
from campaigns import metrics, tiny
from references import ase_reference

from pyubias.campaign.label_store import LabelledFrame, LabelStore
from pyubias.campaign.loop import run_campaign
from pyubias.config.loading import load_campaign
from pyubias.lammps.walk import Walk, load_walks


def run(folder: Path, changes: dict[str, Any] | None = None) -> Path:
    """A tiny campaign on this rank, without its report."""
    return run_campaign(load_campaign(tiny(folder, changes)), folder / "runs")


def labels(run_folder: Path) -> list[LabelledFrame]:
    return LabelStore(run_folder / "labels.db").frames()


def walks_of(run_folder: Path, iteration: int) -> list[Walk]:
    return load_walks(run_folder / "iterations" / f"{iteration:04d}" / "walkers")


def log_of(run_folder: Path, iteration: int, walker: int) -> str:
    """What LAMMPS wrote about a walker."""
    walkers = run_folder / "iterations" / f"{iteration:04d}" / "walkers"
    return (walkers / f"{walker:02d}" / "log.lammps").read_text()


def bias_factors(log: str) -> list[float]:
    """ρ of the bias forces on every step of a walker; empty without a bias."""
    table = re.search(r"( +Step .*?)Loop time", log, re.DOTALL)
    assert table is not None
    header, *rows = (line.split() for line in table[1].strip().splitlines())
    if "f_bias[2]" not in header:
        return []
    return [float(row[header.index("f_bias[2]")]) for row in rows]


def assert_same_labels(ours: list[LabelledFrame], theirs: list[LabelledFrame]) -> None:
    assert [f.key for f in ours] == [f.key for f in theirs]
    for a, b in zip(ours, theirs, strict=True):
        assert (a.iteration, a.split, a.walker) == (b.iteration, b.split, b.walker)
        assert a.failed == b.failed
        np.testing.assert_allclose(a.atoms.positions, b.atoms.positions, rtol=0, atol=1e-8)
        if not a.failed:
            energy, forces = b.atoms.info["REF_energy"], b.atoms.arrays["REF_forces"]
            assert a.atoms.info["REF_energy"] == pytest.approx(energy, rel=0, abs=1e-7)
            np.testing.assert_allclose(a.atoms.arrays["REF_forces"], forces, rtol=0, atol=1e-5)


def assert_same_result(run_folder: Path, other: Path) -> None:
    """The same frames with the same labels, for the same reasons, and the same metrics."""
    assert_same_labels(labels(run_folder), labels(other))
    for record, wanted in zip(metrics(run_folder), metrics(other), strict=True):
        assert record.keys() == wanted.keys()
        for name, value in wanted.items():
            close = value if value is None else pytest.approx(value, rel=1e-6)
            assert record[name] == close, name


def molecules(folder: Path, **selection: Any) -> dict[str, Any]:
    """Changes: water and methane at the start; ammonia, twice, ethane and methanol to choose."""
    other = molecule("NH3")
    other.rattle(0.1, seed=1)
    ase.io.write(folder / "starts.xyz", [molecule("H2O"), molecule("CH4")])
    candidates = [molecule("NH3"), other, molecule("C2H6"), molecule("CH3OH")]
    ase.io.write(folder / "candidates.xyz", candidates)
    return {
        "start": {"structures": "starts.xyz", "candidates": "candidates.xyz", "count": 8},
        "reference": ase_reference("ase.calculators.emt.EMT"),
        "exploration": {"walkers": 3},
        "selection": {"batch_size": 4, **selection},
        "stop": {"labels": 16},
        "evaluation": {"test": None, "collective_variables": []},
    }


def names_of(frames: list[LabelledFrame]) -> list[str]:
    return [str(f.atoms.symbols) for f in frames]
