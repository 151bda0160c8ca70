"""The caps of fix ubias shorten the bias and leave its direction alone."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import toys
from harness import ENERGY, FULL_PRECISION, Run, columns, lmp, random_atoms, write_data

CELL = np.array([[9.0, 0.0, 0.0], [1.0, 9.0, 0.0], [-0.5, 0.8, 10.0]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("caps")
    write_data(folder / "start.data", random_atoms("Ar Ne", CELL, 32, seed=1), ["Ar", "Ne"])
    toys.save_toy(folder / "toy.pt")
    return folder


def forces(folder: Path, name: str, ranks: int, fix: str) -> np.ndarray:
    """After three steps of atoms that hardly move."""
    script = f"""
units metal
atom_style atomic
read_data ../start.data
pair_style ubias
pair_coeff * * ../toy.pt Ar Ne
timestep 1e-9
{fix}
fix move all nve
run 3
write_dump all custom end.dump id fx fy fz modify sort id format float %.17g
"""
    (frame,) = lmp(script, folder / name, ranks).dump("end.dump")
    return columns(frame, "fx", "fy", "fz")


@pytest.mark.parametrize("ranks", [1, 2])
def test_long_bias_forces_are_shortened_and_short_ones_are_not(folder, ranks):
    plain = forces(folder, f"plain-{ranks}", ranks, "fix b all ubias tau 0.0 window 0")
    biased = forces(folder, f"biased-{ranks}", ranks, "fix b all ubias tau 2.0 window 0")
    bias = biased - plain
    sizes = np.linalg.norm(bias, axis=1)
    cap = float(np.median(sizes))
    fix = f"fix b all ubias tau 2.0 window 0 max_force {cap:.17g}"
    capped = forces(folder, f"capped-{ranks}", ranks, fix)
    wanted = bias * np.minimum(1.0, cap / sizes)[:, None]
    assert (sizes > cap).any()
    np.testing.assert_allclose(capped - plain, wanted, atol=1e-8 * cap)


SHEARED = """
units {units}
atom_style atomic
read_data ../start.data
change_box all xy final 4.45
pair_style ubias
pair_coeff * * ../toy.pt Ar Ne
"""
DEFORM = """
timestep {time_step}
fix b all ubias tau_stress 4.0 window 0 {cap}
fix deform all deform 1 {strain} flip yes remap v
fix move all nve
compute bias all pressure NULL fix
thermo 1
thermo_style custom step lx ly lz xy xz yz c_bias[*]
"""
STRAINS = [
    "x trate -1.5",
    "xy erate 1.5",
    *(
        pytest.param(strain, marks=pytest.mark.slow)
        for strain in ("z trate 1.0", "yz erate -1.5", "xz erate 1.5")
    ),
]
UNITS = {"metal": (1.0, 0.002), "real": (1e-3, 2.0)}


def bias_pressures(done: Run) -> np.ndarray:
    """(steps, 6) over all runs."""
    tables = done.thermo()
    return np.concatenate(
        [np.stack([t[f"c_bias[{k}]"] for k in range(1, 7)], axis=1) for t in tables]
    )


def strain_rates(done: Run, time_step: float) -> np.ndarray:
    """(steps,) of the first run: norm of (L + Lᵀ)/2, least of all choices of the edge vectors."""
    table = done.thermo()[0]
    xx, yy, zz, xy, xz, yz = (table[name] for name in ("Lx", "Ly", "Lz", "Xy", "Xz", "Yz"))
    zero = np.zeros_like(xx)
    cells = np.array([[xx, xy, xz], [zero, yy, yz], [zero, zero, zz]]).transpose(2, 0, 1)
    choices = [
        np.array([[1, i, j], [0, 1, k], [0, 0, 1]])
        for i, j, k in itertools.product((-1, 0, 1), repeat=3)
    ]

    def rate(before: np.ndarray, now: np.ndarray) -> float:
        gradients = [(now @ c - before) @ np.linalg.inv(now @ c) / time_step for c in choices]
        return min(float(np.linalg.norm(0.5 * (g + g.T))) for g in gradients)

    # fix deform changes the cell at the end of a step, after fix ubias
    return np.array([0.0, 0.0, *itertools.starmap(rate, itertools.pairwise(cells[:-1]))])


def deformed(
    folder: Path, name: str, ranks: int, strain: str, cap: str, units: str = "metal"
) -> tuple[Run, np.ndarray]:
    per_time, time_step = UNITS[units]
    words = [f"{float(w) * per_time:g}" if w[-1].isdigit() else w for w in strain.split()]
    deform = DEFORM.format(time_step=time_step, strain=" ".join(words), cap=cap)
    script = f"{SHEARED.format(units=units)}{deform}{FULL_PRECISION}run 30\nrun 10\n"
    done = lmp(script, folder / name, ranks)
    return done, bias_pressures(done)


@pytest.mark.slow
@pytest.mark.parametrize("window", [0, 3])
@pytest.mark.parametrize("ranks", [1, 2])
def test_the_bias_stress_is_scaled_down_as_a_whole_on_every_step(folder, window, ranks):
    def pressures(cap: str) -> np.ndarray:
        script = f"""
units metal
atom_style atomic
read_data ../start.data
pair_style ubias
pair_coeff * * ../toy.pt Ar Ne
velocity all create 300 1 dist gaussian loop geom
timestep 0.002
fix b all ubias tau_stress 4.0 window {window} {cap}
fix move all nve
compute bias all pressure NULL fix
thermo 1
thermo_style custom step c_bias[*]
{FULL_PRECISION}
run 20
"""
        return bias_pressures(lmp(script, folder / f"stress-{window}-{ranks}", ranks))

    whole = pressures("")
    norms = np.sqrt(np.square(whole[:, :3]).sum(1) + 2 * np.square(whole[:, 3:]).sum(1))
    assert (norms == 0.0).sum() == window
    for cap in (0.3 * norms.max(), float(np.median(norms))):
        factors = np.minimum(1.0, cap / np.maximum(norms, 1e-9))[:, None]
        assert (factors < 1.0).sum() >= 10
        capped = pressures(f"max_stress {cap:.17g}")
        np.testing.assert_allclose(capped, factors * whole, rtol=0, atol=1e-10 * cap)


@pytest.mark.parametrize("strain", STRAINS)
def test_the_bias_stress_falls_linearly_to_zero_at_the_largest_strain_rate(folder, strain):
    done, whole = deformed(folder, "whole", 1, strain, "")
    rates = strain_rates(done, 0.002)
    assert rates[2:].min() > 0.6
    for ranks, limit in ((1, 4.0), (2, 4.0), (1, 0.6)):
        _, capped = deformed(folder, "slow", ranks, strain, f"max_rate {limit}")
        factors = np.maximum(0.0, 1.0 - rates / limit)[:, None]
        n = len(rates)
        scale = np.abs(whole).max()
        np.testing.assert_allclose(capped[:n], factors * whole[:n], rtol=0, atol=1e-8 * scale)
        # a second run starts with the last step of the first, and its rate
        np.testing.assert_allclose(capped[n], factors[n - 1] * whole[n], rtol=0, atol=1e-8 * scale)
    if strain.startswith("xy"):
        assert np.diff(done.thermo()[0]["Xy"]).min() < -5.0, "the cell was flipped"


def test_the_largest_strain_rate_has_the_time_unit_of_the_script(folder):
    done, whole = deformed(folder, "whole-real", 1, "xy erate 1.5", "", "real")
    _, capped = deformed(folder, "slow-real", 1, "xy erate 1.5", "max_rate 0.004", "real")
    n = len(done.thermo()[0]["Step"])
    factors = 1.0 - strain_rates(done, 2.0)[:, None] / 0.004
    np.testing.assert_allclose(capped[:n], factors * whole[:n], rtol=1e-6)


def test_a_restarted_run_knows_how_fast_the_cell_was(folder):
    deform = DEFORM.format(time_step=0.002, strain="x trate -1.5", cap="max_rate 3.0")
    first = (
        f"{SHEARED.format(units='metal')}{deform}{FULL_PRECISION}run 5\nwrite_restart r\nrun 5\n"
    )
    wanted = bias_pressures(lmp(first, folder / "uninterrupted"))[-6:]
    pair = "pair_style ubias\npair_coeff * * ../toy.pt Ar Ne\n"
    second = f"read_restart ../uninterrupted/r\n{pair}{deform}{FULL_PRECISION}run 5\n"
    np.testing.assert_allclose(bias_pressures(lmp(second, folder / "restarted")), wanted, rtol=1e-8)


def test_caps_have_the_units_of_the_script(folder):
    """The same caps in kcal/mol/Å and atm as in eV/Å and bar leave the same bias."""

    def bias(units: str, caps: str) -> tuple[np.ndarray, np.ndarray]:
        script = f"""
units {units}
atom_style atomic
read_data ../start.data
pair_style ubias
pair_coeff * * ../toy.pt Ar Ne
fix physical all store/force
fix b all ubias tau 2.0 tau_stress 4.0 window 0 {caps}
compute bias all pressure NULL fix
thermo_style custom step c_bias[*]
{FULL_PRECISION}
dump d all custom 1 d.dump id fx fy fz f_physical[*]
dump_modify d sort id format float %.17g
run 0
"""
        done = lmp(script, folder / f"caps-{units}-{bool(caps)}")
        (frame,) = done.dump("d.dump")
        physical = [f"f_physical[{k}]" for k in (1, 2, 3)]
        return columns(frame, "fx", "fy", "fz") - columns(frame, *physical), bias_pressures(done)

    def norm(pressures: np.ndarray) -> float:
        return float(np.sqrt(np.square(pressures) @ [1, 1, 1, 2, 2, 2])[0])

    free_forces, free_pressures = bias("metal", "")
    force = float(np.median(np.linalg.norm(free_forces, axis=1)))
    stress = 0.4 * norm(free_pressures)
    per_ev, per_bar = ENERGY["real"], 1.0 / 1.01325
    metal = bias("metal", f"max_force {force:.17g} max_stress {stress:.17g}")
    real = bias("real", f"max_force {force * per_ev:.17g} max_stress {stress * per_bar:.17g}")
    assert np.abs(metal[0] - free_forces).max() > 0.1 * np.abs(free_forces).max()
    assert norm(metal[1]) == pytest.approx(stress, rel=1e-9)
    np.testing.assert_allclose(real[0] / per_ev, metal[0], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(real[1] / per_bar, metal[1], rtol=1e-6)
