"""Biased dynamics obey the equations of `fix ubias`."""

from pathlib import Path

import numpy as np
import pytest
import toys
from harness import FULL_PRECISION, Run, columns, lmp, random_atoms, write_data

from pyubias.model.prediction import Model

SETUP = """
units metal
atom_style atomic
read_data ../atoms.data
pair_style ubias
pair_coeff * * ../toy.pt Ar Ne
neighbor 1.0 bin
"""
FORCES = ("fx", "fy", "fz")
PHYSICAL = tuple(f"f_physical[{k}]" for k in (1, 2, 3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dynamics")
    write_data(folder / "atoms.data", structure(), ["Ar", "Ne"])
    toys.save_toy(folder / "toy.pt")
    toys.save_toy(folder / "layers2.pt", toys.MessagePassing(2))
    return folder


def structure():
    return random_atoms("Ar Ne", [9.0, 9.0, 10.0], 32, seed=1)


def spread(run: Run, column: str) -> float:
    values = run.thermo()[-1][column]
    return float(np.abs(values - values[0]).max())


@pytest.mark.parametrize(
    ("kind", "model"), [("total", "toy"), ("atomic", "toy"), ("total", "layers2")]
)
def test_nve_without_window_conserves_energy_minus_tau_u(folder, kind, model):
    def run(timestep: float, steps: int, name: str) -> Run:
        script = f"""{SETUP.replace("toy", model)}
velocity all create 200 1 dist gaussian loop geom
timestep {timestep}
fix b all ubias tau 2.0 window 0 uncertainty {kind}
fix_modify b energy yes
fix move all nve
thermo 1
thermo_style custom step etotal pe ke f_b f_b[1]
{FULL_PRECISION}
run {steps}
"""
        return lmp(script, folder / f"nve-{model}-{kind}-{name}", 2)

    coarse, fine = run(0.002, 60, "coarse"), run(0.001, 120, "fine")
    assert spread(fine, "f_b") > 0.05
    # velocity Verlet is of second order, and only E - τu is conserved
    assert spread(coarse, "TotEng") / spread(fine, "TotEng") == pytest.approx(4.0, rel=0.2)
    table = fine.thermo()[0]
    physical = table["TotEng"] - table["f_b"]
    assert spread(fine, "TotEng") < 0.05 * np.abs(physical - physical[0]).max()
    np.testing.assert_allclose(table["f_b"], -2.0 * table["f_b[1]"], rtol=1e-14)


# not iso: there LAMMPS' own conserved quantity drifts by more, with any pair style
@pytest.mark.slow
@pytest.mark.parametrize(
    ("coupling", "model"), [("aniso", "toy"), ("tri", "toy"), ("tri", "layers2")]
)
def test_npt_conserves_the_enthalpy_that_includes_the_bias(folder, coupling, model):
    """With τ_σ = τ and no window, forces and stress are gradients of one function E - τu."""

    def run(timestep: float, steps: int, stress: float, name: str) -> Run:
        script = f"""{SETUP.replace("toy", model)}
{"change_box all triclinic" if coupling == "tri" else ""}
velocity all create 200 1 dist gaussian loop geom
timestep {timestep}
fix b all ubias tau 3.0 tau_stress {stress} window 0
fix_modify b energy yes
fix move all npt temp 200 200 0.1 {coupling} 20000 20000 0.2
thermo 1
thermo_style custom step econserve vol f_b
{FULL_PRECISION}
run {steps}
"""
        return lmp(script, folder / f"npt-{model}-{coupling}-{name}", 2)

    coarse = run(0.002, 50, 3.0, "coarse")
    fine = run(0.001, 100, 3.0, "fine")
    wrong = run(0.001, 100, 0.0, "wrong")
    assert spread(fine, "Volume") > 5.0
    ratio = spread(coarse, "Econserve") / spread(fine, "Econserve")
    assert ratio == pytest.approx(4.0, rel=0.2)
    assert spread(fine, "Econserve") < 0.01 * spread(wrong, "Econserve")


WINDOW, TAU, TAU_STRESS, STEPS = 5, 0.3, 0.7, 20


@pytest.fixture(scope="module", params=[1, 2, pytest.param(4, marks=pytest.mark.slow)])
def windowed(folder, request) -> Run:
    """Every step of a biased run: positions, physical and biased forces, the fix's vector."""
    script = f"""{SETUP}
velocity all create 200 1 dist gaussian loop geom
timestep 0.002
fix physical all store/force
fix b all ubias tau {TAU} tau_stress {TAU_STRESS} window {WINDOW} weight Ne 0.5
fix move all nve
compute p all pressure NULL pair
compute q all pressure NULL pair fix
dump d all custom 1 d.dump id xu yu zu {" ".join(PHYSICAL)} {" ".join(FORCES)}
dump_modify d sort id format float %.17g
thermo 1
thermo_style custom step vol c_p[*] c_q[*] f_b f_b[*]
{FULL_PRECISION}
run {STEPS}
"""
    return lmp(script, folder / f"windowed-{request.param}", request.param)


@pytest.fixture(scope="module")
def truth(folder, windowed):
    """Along that run, by Python: F, ∂u/∂x (steps, n, 3), ∂E/∂ε, ∂u/∂ε (steps, 3, 3), u."""
    model = Model(folder / "toy.pt")
    frames = []
    for frame in windowed.dump("d.dump"):
        atoms = structure()
        atoms.positions = columns(frame, "xu", "yu", "zu")
        frames.append(atoms)
    predictions = model.predict(frames)
    stresses = np.array([p.stress for p in predictions])
    u, gradients, strain_gradients = zip(*map(model.uncertainty_gradient, frames), strict=True)
    return {
        "u": np.array(u),
        "forces": np.array([p.forces for p in predictions]),
        "gradient": np.array(gradients),
        "stress": stresses[:, [[0, 5, 4], [5, 1, 3], [4, 3, 2]]],
        "stress_bias": np.array(strain_gradients) / structure().get_volume(),
    }


def ratio_over_window(numerator, denominator):
    """sqrt(Σ numerator²)/sqrt(Σ denominator²) over the last completed steps; 0 until there are."""
    rho = np.zeros(len(numerator))
    for step in range(WINDOW, len(numerator)):
        last = slice(step - WINDOW, step)
        rho[step] = np.linalg.norm(numerator[last]) / np.linalg.norm(denominator[last])
    return rho


def test_rho_is_the_ratio_of_norms_over_the_last_completed_steps(windowed, truth):
    table = windowed.thermo()[0]
    np.testing.assert_allclose(table["f_b[1]"], truth["u"], rtol=1e-10)
    rho_force = ratio_over_window(truth["forces"], truth["gradient"])
    rho_stress = ratio_over_window(truth["stress"], truth["stress_bias"])
    np.testing.assert_allclose(table["f_b[2]"], rho_force, rtol=1e-9)
    np.testing.assert_allclose(table["f_b[3]"], rho_stress, rtol=1e-9)


def test_bias_force_is_weighted_and_rescaled_gradient(windowed, truth):
    weight = np.where(structure().symbols == "Ne", 0.5, 1.0)[:, None]
    rho = ratio_over_window(truth["forces"], truth["gradient"])
    frames = windowed.dump("d.dump")
    assert len(frames) == STEPS + 1
    for step, frame in enumerate(frames):
        physical = columns(frame, *PHYSICAL)
        np.testing.assert_allclose(physical, truth["forces"][step], atol=1e-10)
        bias = columns(frame, *FORCES) - physical
        wanted = weight * TAU * rho[step] * truth["gradient"][step]
        np.testing.assert_allclose(bias, wanted, atol=1e-10)


def test_bias_stress_is_rescaled_strain_gradient(windowed, truth):
    table = windowed.thermo()[0]
    rho = ratio_over_window(truth["stress"], truth["stress_bias"])
    for k, (a, b) in enumerate([(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)], start=1):
        physical = table[f"c_p[{k}]"] / 1.6021765e6
        np.testing.assert_allclose(physical, -truth["stress"][:, a, b], atol=1e-11)
        bias = table[f"c_q[{k}]"] / 1.6021765e6 - physical
        wanted = TAU_STRESS * rho * truth["stress_bias"][:, a, b]
        np.testing.assert_allclose(bias, wanted, atol=1e-11)


def test_fix_reports_rms_force_and_rms_bias_of_the_window(windowed, truth):
    table = windowed.thermo()[0]
    weight = np.where(structure().symbols == "Ne", 0.5, 1.0)[:, None]
    rho = ratio_over_window(truth["forces"], truth["gradient"])
    for step in range(WINDOW, STEPS + 1):
        last = slice(step - WINDOW, step)
        force = np.sqrt(np.mean(truth["forces"][last] ** 2))
        bias = np.sqrt(np.mean((weight * TAU * rho[step] * truth["gradient"][last]) ** 2))
        assert table["f_b[4]"][step] == pytest.approx(force, rel=1e-9)
        assert table["f_b[5]"][step] == pytest.approx(bias, rel=1e-9)


def test_without_weights_the_bias_is_tau_times_the_force_over_the_window(folder):
    script = f"""{SETUP}
velocity all create 200 1 dist gaussian loop geom
fix b all ubias tau 0.25 window 10
fix move all nve
thermo 1
thermo_style custom step f_b[4] f_b[5]
{FULL_PRECISION}
run 30
"""
    table = lmp(script, folder / "ratio", 2).thermo()[0]
    np.testing.assert_allclose(table["f_b[5]"][10:] / table["f_b[4]"][10:], 0.25, rtol=1e-12)
    np.testing.assert_array_equal(table["f_b[5]"][:10], 0.0)


def test_hydrogen_of_weight_zero_is_not_pushed(tmp_path):
    atoms = random_atoms("C H H", [9.0, 9.0, 9.0], 24, seed=2)
    write_data(tmp_path / "atoms.data", atoms, ["H", "C"])
    toys.save_toy(tmp_path / "toy.pt", elements=("C", "H"))
    script = f"""{SETUP.replace("Ar Ne", "H C").replace("../", "")}
fix physical all store/force
fix b all ubias tau 1.0 window 0
dump d all custom 1 d.dump id {" ".join(PHYSICAL)} {" ".join(FORCES)}
dump_modify d sort id format float %.17g
run 0
unfix b
fix b all ubias tau 1.0 window 0 weight H 0.0
run 1
"""
    frames = lmp(script, tmp_path, 2).dump("d.dump")
    everything, without = (columns(f, *FORCES) - columns(f, *PHYSICAL) for f in frames)
    hydrogen = atoms.symbols == "H"
    assert np.abs(everything[hydrogen]).max() > 1e-3
    np.testing.assert_array_equal(without[hydrogen], 0.0)
    np.testing.assert_allclose(without[~hydrogen], everything[~hydrogen], rtol=1e-12)


def test_only_the_group_of_the_fix_is_pushed_and_counted(folder):
    script = f"""{SETUP}
group some id 1:10
velocity all create 200 1 dist gaussian loop geom
fix physical all store/force
fix b some ubias tau 0.5 window 2
fix move all nve
dump d all custom 1 d.dump id {" ".join(PHYSICAL)} {" ".join(FORCES)}
dump_modify d sort id format float %.17g
thermo 1
thermo_style custom step f_b[*]
{FULL_PRECISION}
run 6
"""
    run = lmp(script, folder / "group", 2)
    frames = run.dump("d.dump")
    bias = [columns(f, *FORCES) - columns(f, *PHYSICAL) for f in frames]
    assert np.abs(bias[-1][:10]).max() > 1e-3
    np.testing.assert_array_equal(bias[-1][10:], 0.0)
    physical = np.array([columns(f, *PHYSICAL)[:10] for f in frames[-3:-1]])
    rms = np.sqrt(np.mean(physical**2))
    assert run.last("f_b[4]") == pytest.approx(rms, rel=1e-12)
    assert run.last("f_b[5]") == pytest.approx(0.5 * rms, rel=1e-12)
