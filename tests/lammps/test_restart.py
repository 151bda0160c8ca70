"""10 steps, a restart and 10 more are the same run as 20 steps: the bias window travels along."""

import struct
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import toys
from harness import FULL_PRECISION, Run, columns, lmp, random_atoms, write_data

MODEL = "neighbor 1.0 bin\npair_style ubias\npair_coeff * * ../toy.pt Ar Ne\n"
START = f"""
units metal
atom_style atomic
read_data ../atoms.data
velocity all create 300 1 dist gaussian loop geom
{MODEL}
"""


def rest(window: int) -> str:
    """What a restart file does not hold."""
    return f"""
timestep 0.002
fix b all ubias tau 0.3 tau_stress 0.2 window {window} weight Ne 0.5
fix move all nve
dump d all custom 1 d.dump id xu yu zu vx vy vz fx fy fz
dump_modify d sort id format float %.17g
thermo 1
thermo_style custom step pe ke pxx pxy f_b f_b[*]
{FULL_PRECISION}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("restart")
    atoms = random_atoms("Ar Ne", [9.0, 10.0, 11.0], 40, seed=1)
    write_data(folder / "atoms.data", atoms, ["Ar", "Ne"])
    toys.save_toy(folder / "toy.pt")
    return folder


def last_steps(run: Run) -> tuple[dict, dict]:
    """Atoms at the end, and thermo output of the last ten steps."""
    return run.dump("d.dump")[-1], {name: v[-10:] for name, v in run.thermo()[-1].items()}


@pytest.fixture(scope="module")
def whole(folder):
    """20 steps that write restart files after 10, in both ways, by window and number of ranks."""

    @cache
    def run(window: int, ranks: int) -> Run:
        script = f"{START}{rest(window)}restart 10 r\nrun 10\nwrite_restart written\nrun 10\n"
        return lmp(script, folder / f"whole-{window}-{ranks}", ranks)

    return run


@pytest.mark.parametrize(
    ("command", "window", "before", "after"),
    [
        ("write_restart", 0, 2, 2),
        ("write_restart", 4, 1, 1),
        ("write_restart", 4, 2, 2),
        ("write_restart", 4, 2, 1),
        ("write_restart", 15, 1, 2),
        ("restart", 4, 2, 2),
        ("restart", 15, 1, 1),
    ],
)
def test_restarted_run_is_the_uninterrupted_run(folder, whole, command, window, before, after):
    uninterrupted = whole(window, before)
    source = f"../{uninterrupted.folder.name}/{'written' if command == 'write_restart' else 'r.10'}"
    second = lmp(
        f"read_restart {source}\n{MODEL}{rest(window)}run 10\n",
        folder / f"{command}-{window}-{before}-{after}",
        after,
    )
    wanted_atoms, wanted = last_steps(uninterrupted)
    atoms, got = last_steps(second)
    for names in (("xu", "yu", "zu"), ("vx", "vy", "vz"), ("fx", "fy", "fz")):
        np.testing.assert_allclose(
            columns(atoms, *names), columns(wanted_atoms, *names), atol=1e-10
        )
    for column in wanted:
        scale = np.abs(wanted[column]).max()
        np.testing.assert_allclose(got[column], wanted[column], atol=1e-10 * scale, rtol=0)
    assert np.abs(wanted["f_b"]).max() > 0.1


def test_two_runs_are_one_run(folder, whole):
    setup = START + rest(4)
    one = lmp(f"{setup}run 20\n", folder / "one", 2)
    (wanted_atoms, wanted), (atoms, got) = last_steps(one), last_steps(whole(4, 2))
    np.testing.assert_allclose(atoms["xu"], wanted_atoms["xu"], atol=1e-10)
    np.testing.assert_allclose(got["f_b[2]"], wanted["f_b[2]"], rtol=1e-10)


def test_restart_with_another_window_is_refused(folder, whole):
    script = f"read_restart ../{whole(4, 2).folder.name}/written\n{MODEL}{rest(6)}run 5\n"
    run = lmp(script, folder / "six", fails=True)
    assert "the restart file was written with window 4, this fix has 6" in run.error()


def test_restart_file_of_another_version_is_refused(folder, whole):
    """The first version wrote window, step and number of norms; its state had no format number."""
    content = (whole(4, 2).folder / "written").read_bytes()
    state = struct.pack("<3d", -2.0, 4.0, 4.0)
    assert content.count(state) == 1
    for name, other in (("first", (4.0, 10.0, 4.0)), ("future", (-3.0, 4.0, 4.0))):
        (folder / name).write_bytes(content.replace(state, struct.pack("<3d", *other)))
        script = f"read_restart ../{name}\n{MODEL}{rest(4)}run 5\n"
        run = lmp(script, folder / f"from-{name}", fails=True)
        assert "another version of pyubias wrote the restart file" in run.error()
