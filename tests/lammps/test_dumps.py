"""A dump that LAMMPS was stopped in gives its complete frames, wherever it was stopped."""

from pathlib import Path

import numpy as np
from ase import Atoms

from pyubias.lammps.dumps import read_dump

FRAME = """ITEM: TIMESTEP
{step}
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0.0 5.0
0.0 5.0
0.0 5.0
ITEM: ATOMS id element xu yu zu
1 Ar {step} 0.0 0.0
2 Ar 0.0 1.5 {step}
"""


def test_every_beginning_of_a_dump_has_its_complete_frames(tmp_path: Path) -> None:
    template = Atoms("Ar2", [[0, 0, 0], [0, 1.5, 0]], cell=[5, 5, 5], pbc=True)
    frames = [FRAME.format(step=step) for step in (0, 10, 20)]
    ends = np.cumsum([len(frame) for frame in frames])
    text = "".join(frames)
    for length in range(len(text) + 1):
        (tmp_path / "t.dump").write_text(text[:length])
        found = read_dump(tmp_path / "t.dump", template)
        n = int((ends <= length).sum())
        assert found.timesteps.tolist() == [0, 10, 20][:n]
        assert found.positions[:, 0, 0].tolist() == [0, 10, 20][:n]
        assert found.positions[:, 1, 2].tolist() == [0, 10, 20][:n]
