"""All labels of a campaign, in an ASE database."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.db
from ase import Atoms
from ase.db.core import now
from ase.db.row import AtomsRow

from pyubias.errors import UserError
from pyubias.files import write_with
from pyubias.training.labels import Label

__all__ = ["LabelStore", "LabelledFrame"]


@dataclass(frozen=True)
class LabelledFrame:
    """One row of the label database.

    Attributes:
        key: unique name, such as ``0003-05``.
        iteration: that the frame was labelled for.
        split: ``train``, ``validation`` or ``calibration``.
        walker: that the frame comes from; -1 for start structures and candidates.
        atoms: with the label, unless it failed.
        reason: why the label failed; empty if it did not.
        molecule: key of the molecule; empty unless the campaign asks for it.
        step: MD step of the walker at which the frame was taken; None without a walker.
        uncertainty: total uncertainty of the model that selected the frame, eV/atom; None where
            no model did, and in runs of earlier versions.
    """

    key: str
    iteration: int
    split: str
    walker: int
    atoms: Atoms
    reason: str
    molecule: str = ""
    step: int | None = None
    uncertainty: float | None = None

    @property
    def failed(self) -> bool:
        return bool(self.reason)


class LabelStore:
    """All labels of one campaign, in an ASE SQLite database that any rank may write to.

    Args:
        path: of the database. One process must create it before others open it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            # ASE makes the tables one by one, and could not read a database that a kill left half
            with self._one_line("made"):
                write_with(path, lambda temporary: _connect(temporary).count())
        self.database = _connect(path)

    def add(self, key: str, atoms: Atoms, label: Label | None, reason: str = "") -> None:
        """Keep a label, or the reason why there is none.

        Args:
            key: unique name of the frame, such as ``0003-05``.
            atoms: with iteration, split and walker in ``info``, and molecule, timestep and
                uncertainty where these are known.
        """
        columns = {name: int(atoms.info[name]) for name in ("iteration", "walker")}
        columns["split"] = atoms.info["split"]
        clean = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        row = AtomsRow(clean)
        row.ctime, row.user = now(), os.getenv("USER")
        if label is not None:
            # a calculator of ASE would first compare the structure with itself, which takes longer
            row.calculator, row.calculator_parameters = "unknown", {}
            row.energy, row.forces = label.energy, label.forces
            if label.stress is not None:
                row.stress = label.stress
        step, uncertainty = atoms.info.get("timestep"), atoms.info.get("uncertainty")
        if atoms.info["walker"] < 0:
            step = None
        data = {
            "reason": reason,
            "molecule": str(atoms.info.get("molecule", "")),
            # numbers of numpy, as files have them, are no JSON
            "step": None if step is None else int(step),
            "uncertainty": None if uncertainty is None else float(uncertainty),
        }
        with self._one_line("written"):
            self.database.write(row, frame=f"f{key}", failed=bool(reason), data=data, **columns)

    @contextlib.contextmanager
    def all_or_none(self) -> Iterator[None]:
        """Keep the frames that are added in the block together, in one transaction."""
        with self._one_line("written"), self.database:
            yield

    @contextlib.contextmanager
    def _one_line(self, doing: str) -> Iterator[None]:
        """Turn errors of SQLite, as on a full disk, into a UserError."""
        try:
            yield
        except sqlite3.Error as error:
            message = f"label database '{self.path}' cannot be {doing}: {error}"
            raise UserError(message) from error

    def _rows(self, **options: Any) -> Iterator[Any]:
        with self._one_line("read"):
            yield from self.database.select(**options)

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
                stress = row.stress if "stress" in row else None
                Label(row.energy, row.forces, stress).attach_to(atoms)
            found.append(
                LabelledFrame(
                    key=row.frame[1:],
                    iteration=row.iteration,
                    split=row.split,
                    walker=row.walker,
                    atoms=atoms,
                    reason=row.data.get("reason", ""),
                    molecule=row.data.get("molecule", ""),
                    step=row.data.get("step"),
                    uncertainty=row.data.get("uncertainty"),
                )
            )
        return sorted(found, key=lambda frame: frame.key)


def _connect(path: Path) -> Any:
    # SQLite locks by itself; ASE's own lock file would outlive a killed process
    return ase.db.connect(path, type="db", use_lock_file=False)
