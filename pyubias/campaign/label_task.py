"""The label of one frame, as a task of a job."""

import os
import socket
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from pyubias.config.schema import AseReference, LammpsReference
from pyubias.files import read_json, write_json
from pyubias.parallel import Ranks
from pyubias.reference.label import LabelError, Reference, label_frame
from pyubias.reference.worker import Worker
from pyubias.training.labels import Label

__all__ = ["LabelTask"]


@dataclass(frozen=True)
class LabelTask:
    """One label, which waits in a file until the campaign takes it into its database.

    Attributes:
        key: of the frame.
        atoms: the frame.
        config: of the reference.
        folder: for the file.
    """

    key: str
    atoms: Atoms
    config: LammpsReference | AseReference
    folder: Path
    ranks = 0  # the reference has a process of its own, which labels many frames

    @property
    def name(self) -> str:
        return f"label-{self.key}"

    @property
    def output(self) -> Path:
        return self.folder / f"{self.name}.json"

    def run(self, ranks: Ranks | None) -> None:
        try:
            label = label_frame(_reference(self.config), self.atoms)
        except LabelError as error:
            write_json(self.output, {"reason": str(error)})
            return
        stress = None if label.stress is None else label.stress.tolist()
        result = {"energy": label.energy, "forces": label.forces.tolist(), "stress": stress}
        write_json(self.output, result)

    def take(self) -> tuple[Label | None, str]:
        """The label, or None and the reason why it failed."""
        result = read_json(self.output)
        if "reason" in result:
            return None, result["reason"]
        stress = None if result["stress"] is None else np.array(result["stress"])
        return Label(result["energy"], np.array(result["forces"]), stress), ""


# those that this worker of Parsl has set up, which end with it
_references: dict[str, Worker] = {}


def _reference(config: LammpsReference | AseReference) -> Reference:
    text = repr(config)
    if text not in _references:
        # programs that the reference starts write into a folder of this worker
        place = zlib.crc32(f"{socket.gethostname()} {os.getpid()}".encode())
        _references[text] = Worker(config, (place, place + 1))
    return _references[text]
