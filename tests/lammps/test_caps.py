"""The caps of fix ubias shorten the bias and leave its direction alone."""

from pathlib import Path

import numpy as np
import pytest
import toys
from harness import FULL_PRECISION, columns, lmp, random_atoms, write_data

CELL = np.array([[9.0, 0.0, 0.0], [1.0, 9.0, 0.0], [-0.5, 0.8, 10.0]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("caps")
    write_data(folder / "start.data", random_atoms("Ar Ne", CELL, 32, seed=1), ["Ar", "Ne"])
    toys.save_toy(folder / "toy.pt")
    return folder


def run(folder: Path, name: str, ranks: int, fix: str) -> tuple[np.ndarray, np.ndarray]:
    """Forces and bias pressure (6,) after three steps of atoms that hardly move."""
    script = f"""
units metal
atom_style atomic
read_data ../start.data
pair_style ubias
pair_coeff * * ../toy.pt Ar Ne
timestep 1e-9
{fix}
fix move all nve
compute bias all pressure NULL fix
thermo_style custom step c_bias[*]
{FULL_PRECISION}
run 3
write_dump all custom end.dump id fx fy fz modify sort id format float %.17g
"""
    done = lmp(script, folder / name, ranks)
    (frame,) = done.dump("end.dump")
    pressure = np.array([done.last(f"c_bias[{k}]") for k in range(1, 7)])
    return columns(frame, "fx", "fy", "fz"), pressure


@pytest.mark.parametrize("ranks", [1, 2])
def test_long_bias_forces_are_shortened_and_short_ones_are_not(folder, ranks):
    plain, _ = run(folder, f"plain-{ranks}", ranks, "fix b all ubias tau 0.0 window 0")
    biased, _ = run(folder, f"biased-{ranks}", ranks, "fix b all ubias tau 2.0 window 0")
    bias = biased - plain
    sizes = np.linalg.norm(bias, axis=1)
    cap = float(np.median(sizes))
    fix = f"fix b all ubias tau 2.0 window 0 max_force {cap:.17g}"
    capped, _ = run(folder, f"capped-{ranks}", ranks, fix)
    wanted = bias * np.minimum(1.0, cap / sizes)[:, None]
    assert (sizes > cap).any()
    np.testing.assert_allclose(capped - plain, wanted, atol=1e-8 * cap)


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_bias_stress_is_scaled_down_as_a_whole(folder, ranks):
    _, whole = run(folder, f"stress-{ranks}", ranks, "fix b all ubias stress 4.0 window 0")
    norm = np.sqrt(np.square(whole[:3]).sum() + 2 * np.square(whole[3:]).sum())
    for name, cap, factor in (("small", 0.25 * norm, 0.25), ("large", 4.0 * norm, 1.0)):
        fix = f"fix b all ubias stress 4.0 window 0 max_stress {cap:.17g}"
        _, capped = run(folder, f"stress-{name}-{ranks}", ranks, fix)
        np.testing.assert_allclose(capped, factor * whole, rtol=1e-5, atol=1e-8 * norm)
