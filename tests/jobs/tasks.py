"""Tasks that tests send to jobs."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from pyubias.errors import UserError
from pyubias.parallel import Ranks


@dataclass(frozen=True)
class Note:
    """Adds a line to `notes` and ends as `how` says."""

    name: str
    folder: Path
    ranks: int = 0
    how: str = ""

    @property
    def output(self) -> Path:
        return self.folder / f"{self.name}.out"

    @property
    def notes(self) -> Path:
        return self.folder / "notes"

    def run(self, ranks: Ranks | None) -> None:
        with self.notes.open("a") as file:
            file.write(f"{self.name} {ranks and ranks.size}\n")
        if self.how == "refuse":
            raise UserError("this cannot be done")
        if self.how == "fail":
            raise RuntimeError("this was not expected")
        if self.how == "die":
            # a process that dies while it sends the result of the task before takes the lock of
            # Parsl's queue along, and nobody hears of any task any more
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "leave":
            return
        if self.how == "sleep":
            time.sleep(3.0)
        values = [os.environ.get(name, "") for name in self.how.split()]
        if ranks is None or ranks.is_root:
            self.output.write_text("\n".join(values))
