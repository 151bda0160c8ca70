"""The folder of a campaign: labels in a database, every other stage in a file of its own.

A label enters the database the moment it exists. Every other stage is done if and only if
its output file exists, and files appear under their names only when they are complete. That is
all there is to resuming.

    runs/NAME/config.json            the settings
              labels.db              ASE database of all labels, failed ones with their reason
              iterations/0003/       potential.ckpt  model.pt  evaluation.json  walkers/00.npz
                                     selection.traj  record.json
              metrics.json  model.pt  report.html  visited.png  log.txt
              control/               the same for the control arm
"""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.db
import ase.io
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from pyubias.errors import UserError
from pyubias.labelling import Label

__all__ = ["LabelStore", "LabelledFrame", "copy_file", "read_json", "write_json", "write_with"]


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file under a temporary name of the same suffix, then rename it."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    write(temporary)
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    write_with(path, lambda p: p.write_text(json.dumps(value, indent=1) + "\n"))


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def copy_file(source: Path, target: Path) -> None:
    write_with(target, lambda p: shutil.copyfile(source, p))


@dataclass(frozen=True)
class LabelledFrame:
    """One row of the label database; molecule is empty unless the campaign asks for it."""

    key: str
    iteration: int
    split: str
    walker: int
    atoms: Atoms
    reason: str
    molecule: str = ""

    @property
    def failed(self) -> bool:
        return bool(self.reason)


class LabelStore:
    """All labels of one campaign, in an ASE SQLite database that any rank may write to.

    Args:
        path: of the database; made if it is not there. That one process does first, alone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            # ASE makes the tables one by one: killed in between it could not read them again
            write_with(path, lambda p: _connect(p).count())
        self.database = _connect(path)

    def add(self, key: str, atoms: Atoms, label: Label | None, reason: str = "") -> None:
        """Keep a label, or the reason why there is none.

        Args:
            key: unique name of the frame, such as ``0003-05``.
            atoms: with iteration, split and walker in ``info``, and molecule where that is known.
        """
        columns = {name: atoms.info[name] for name in ("iteration", "split", "walker")}
        clean = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        if label is not None:
            results = {"energy": label.energy, "forces": label.forces}
            if label.stress is not None:
                results["stress"] = label.stress
            clean.calc = SinglePointCalculator(clean, **results)
        data = {"reason": reason, "molecule": atoms.info.get("molecule", "")}
        self.database.write(clean, frame=f"f{key}", failed=bool(reason), data=data, **columns)

    def _rows(self, **options: Any) -> Iterator[Any]:
        try:
            yield from self.database.select(**options)
        except sqlite3.DatabaseError as error:
            raise UserError(f"label database '{self.path}' cannot be read: {error}") from error

    def keys(self) -> set[str]:
        return {row.frame[1:] for row in self._rows(columns=["id", "key_value_pairs"])}

    def frames(self, up_to_iteration: int | None = None) -> list[LabelledFrame]:
        """All frames in the order of their keys, with labels under the project's names."""
        found = []
        for row in self._rows():
            if up_to_iteration is not None and row.iteration > up_to_iteration:
                continue
            atoms = Atoms(row.numbers, positions=row.positions, cell=row.cell, pbc=row.pbc)
            if not row.failed:
                atoms.info["REF_energy"] = row.energy
                atoms.arrays["REF_forces"] = row.forces
                if "stress" in row:
                    atoms.info["REF_stress"] = row.stress
            found.append(
                LabelledFrame(
                    key=row.frame[1:],
                    iteration=row.iteration,
                    split=row.split,
                    walker=row.walker,
                    atoms=atoms,
                    reason=row.data.get("reason", ""),
                    molecule=row.data.get("molecule", ""),
                )
            )
        return sorted(found, key=lambda frame: frame.key)


def _connect(path: Path) -> Any:
    # SQLite locks by itself; ASE's own lock file would outlive a killed process
    return ase.db.connect(path, type="db", use_lock_file=False)


def check_settings(path: Path, settings: dict[str, Any], free: set[str]) -> None:
    """Keep the settings of a campaign; a changed one stops a resumed campaign.

    Args:
        path: of ``config.json``.
        settings: JSON-like.
        free: top-level keys that may change between invocations.

    Raises:
        UserError: a setting differs from the one that the folder was made with.
    """
    settings = json.loads(json.dumps(settings))
    if not path.is_file():
        write_json(path, settings)
        return
    before = _flat(read_json(path))
    now = _flat(settings)
    for key in sorted(set(before) | set(now)):
        if key.split(".")[0] in free or before.get(key) == now.get(key):
            continue
        if key not in before:
            raise UserError(
                f"{path.parent} was made without {key}, now it is {now[key]!r}; give the campaign "
                "another name, or finish it with the settings and the pyubias that it was made with"
            )
        raise UserError(
            f"{path.parent} was made with {key} = {before.get(key)!r}, now it is "
            f"{now.get(key)!r}; give the campaign another name, or remove the folder"
        )
    write_json(path, settings)


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {
            k: v for name, item in value.items() for k, v in _flat(item, f"{prefix}{name}.").items()
        }
    return {prefix.rstrip("."): value}
