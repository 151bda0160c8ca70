"""Models whose results depend on edges several hops away, in the settings of LAMMPS they need.

That they are exact on any number of ranks is in test_exactness.py and test_finite_differences.py.
"""

from pathlib import Path

import numpy as np
import pytest
import toys
from harness import FULL_PRECISION, Run, columns, lmp, random_atoms, write_data

SETUP = """
units metal
atom_style atomic
{before}
read_data ../{data}.data
{comm}
{pair}
neighbor 0.5 bin
"""
PAIR = "pair_style ubias\npair_coeff * * ../layers3.pt Ar Ne"
WARNING = "times as many edges as one rank would"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hops")
    small = random_atoms("Ar Ne", [9.0, 9.0, 10.0], 32, seed=1)
    long = random_atoms("Ar Ne", [80.0, 7.0, 7.5], 120, seed=2)
    write_data(folder / "small.data", small, ["Ar", "Ne"])
    write_data(folder / "long.data", long, ["Ar", "Ne"])
    toys.save_toy(folder / "layers3.pt", toys.MessagePassing(3))
    return folder


def run(folder: Path, ranks: int, **parts: str) -> Run:
    end = parts.pop("end", "run 0")
    setup = {"before": "", "data": "small", "comm": "", "pair": PAIR, **parts}
    name = f"{abs(hash((ranks, end, *setup.values())))}"
    return lmp(SETUP.format(**setup) + end, folder / name, ranks)


def test_ghosts_reach_as_far_as_the_model_on_several_ranks_only(folder):
    for ranks, cutoff in ((1, 4.5), (2, 12.5)):
        text = run(folder, ranks).text
        assert f"ghost atom cutoff = {cutoff}" in text


def test_a_larger_cutoff_of_the_user_stays(folder):
    assert "ghost atom cutoff = 14" in run(folder, 2, comm="comm_modify cutoff 14.0").text


@pytest.mark.slow
def test_the_halo_is_announced_where_it_costs_more_than_the_atoms(folder):
    assert WARNING in run(folder, 2).text
    assert WARNING not in run(folder, 1).text
    assert WARNING not in run(folder, 2, data="long").text
    assert run(folder, 2, end="run 0\nrun 0").text.count(WARNING) == 2


def test_atoms_without_ids_are_refused(folder):
    before = "atom_modify id no\nregion box block 0 9 0 9 0 9\ncreate_box 2 box"
    script = f"""
units metal
atom_style atomic
{before}
create_atoms 1 single 1 1 1
create_atoms 2 single 3 1 1
mass * 20.0
{PAIR}
run 0
"""
    error = lmp(script, folder / "no-ids", fails=True).error()
    assert error.startswith("pair_style ubias: a model of 3 hops needs atom IDs")


def test_ghost_cutoffs_by_type_are_refused(folder):
    comm = "neighbor 0.5 multi\ncomm_modify mode multi"
    setup = SETUP.replace("neighbor 0.5 bin", "").format(
        before="", data="small", comm=comm, pair=PAIR
    )
    found = lmp(setup + "run 0", folder / "multi", 2, fails=True).error()
    assert found.startswith("pair_style ubias: a model of 3 hops needs 'comm_modify mode single'")


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("overlay", [True, False])
def test_hybrid_styles_have_the_same_forces_on_any_number_of_ranks(folder, overlay, ranks):
    if overlay:
        pair = f"""pair_style hybrid/overlay lj/cut 5.0 ubias
pair_coeff * * lj/cut 0.01 2.0
{PAIR.splitlines()[1].replace("* *", "* * ubias")}"""
    else:
        pair = """pair_style hybrid lj/cut 5.0 ubias
pair_coeff 1*2 2 lj/cut 0.01 2.0
pair_coeff * * ubias ../layers3.pt Ar NULL"""
    end = f"""
fix physical all store/force
fix b all ubias tau 1.0 window 0
dump d all custom 1 d.dump id f_physical[*] fx fy fz
dump_modify d sort id format float %.17g
thermo_style custom step pe c_thermo_press f_b
{FULL_PRECISION}
run 0
"""
    one, several = (run(folder, n, pair=pair, data="long", end=end) for n in (1, ranks))
    wanted, found = (done.dump("d.dump")[0] for done in (one, several))
    bias = columns(wanted, "fx", "fy", "fz") - columns(
        wanted, *(f"f_physical[{k}]" for k in (1, 2, 3))
    )
    assert np.abs(bias).max() > 1e-3
    for column in ("fx", "fy", "fz", "f_physical[1]"):
        scale = np.abs(wanted[column]).max()
        assert scale > 1e-3
        np.testing.assert_allclose(found[column], wanted[column], atol=1e-10 * scale)
    for column in ("f_b", "c_thermo_press"):
        assert several.last(column) == pytest.approx(one.last(column), rel=1e-10)
