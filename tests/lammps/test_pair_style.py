"""What LAMMPS expects of any pair style: virials, hybrid, minimise, and changes between runs."""

from pathlib import Path

import numpy as np
import pytest
import torch
import toys
from ase import Atoms
from exactness import save_gmnn
from harness import FULL_PRECISION, NKTV2P, Run, columns, lmp, random_atoms, write_data

from pyubias.model.archive import attainable_of, load
from pyubias.model.prediction import Model

SETUP = """
units metal
atom_style atomic
read_data ../atoms.data
neighbor 1.0 bin
pair_style ubias
pair_coeff * * ../toy.pt Ar Ne
"""
FORCES = ("fx", "fy", "fz")
XYZ = ("x", "y", "z")
PHYSICAL = ("f_physical[1]", "f_physical[2]", "f_physical[3]")
NAMES = ["Ar", "Ne"]
MODELS = ["toy", "gmnn"]


def structure() -> Atoms:
    return random_atoms("Ar Ne", [9.0, 10.0, 11.0], 40, seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    write_data(folder / "atoms.data", structure(), NAMES)
    toys.save_toy(folder / "toy.pt", training_hash="5ca1ab1e")
    known = [random_atoms("Ar Ne", [9.0] * 3, 20, seed=seed) for seed in (3, 4)]
    save_gmnn(folder / "gmnn.pt", known, NAMES)
    return folder


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("model", MODELS)
def test_per_atom_and_centroid_virials_sum_to_the_global_one(folder, ranks, model):
    script = f"""{SETUP.replace("toy", model)}
compute s all stress/atom NULL pair
compute c all centroid/stress/atom NULL pair
compute p all pressure NULL pair
dump d all custom 1 d.dump id c_s[*] c_c[*]
dump_modify d sort id format float %.17g
thermo_style custom step vol c_p[*]
{FULL_PRECISION}
run 0
"""
    run = lmp(script, folder / f"virial-{model}-{ranks}", ranks)
    (frame,) = run.dump("d.dump")
    minus_pv = -np.array([run.last(f"c_p[{k}]") for k in range(1, 7)]) * run.last("Volume")
    tolerance = 1e-12 * np.abs(minus_pv).max()
    per_atom = columns(frame, *(f"c_s[{k}]" for k in range(1, 7)))
    np.testing.assert_allclose(per_atom.sum(0), minus_pv, atol=tolerance)
    centroid = columns(frame, *(f"c_c[{k}]" for k in range(1, 10)))
    np.testing.assert_allclose(centroid.sum(0)[:6], minus_pv, atol=tolerance)
    np.testing.assert_allclose(centroid.sum(0)[6:], minus_pv[3:], atol=tolerance)

    # the force on j from the energy of i acts at r_ij from i: W_j = -Σ_e r_e ⊗ g_e over e = (i, j)
    reference = Model(folder / f"{model}.pt")
    graph = reference.graph(structure())
    vectors = graph.edge_vectors.clone().requires_grad_(True)
    energies = reference.module(vectors, graph.edge_index, graph.types, graph.n_atoms)["energies"]
    (gradient,) = torch.autograd.grad(energies.sum(), vectors)
    products = (graph.edge_vectors[:, :, None] * gradient[:, None, :]).flatten(1)
    summed = torch.zeros(graph.n_atoms, 9, dtype=torch.float64)
    summed = summed.index_add(0, graph.edge_index[1], products).numpy()
    wanted = NKTV2P["metal"] * summed[:, [0, 4, 8, 1, 2, 5, 3, 6, 7]]
    np.testing.assert_allclose(centroid, wanted, atol=1e-10 * np.abs(wanted).max())


def forces_and_energy(folder: Path, name: str, pair: str, ranks: int = 1) -> Run:
    script = f"""{SETUP.split("pair_style")[0]}
{pair}
fix physical all store/force
dump d all custom 1 d.dump id x y z {" ".join(PHYSICAL)} fx fy fz
dump_modify d sort id format float %.17g
compute p all pressure NULL virial
compute e all pe/atom
compute sum all reduce sum c_e
thermo_style custom step pe c_p[*] c_sum
{FULL_PRECISION}
run 0
"""
    run = lmp(script, folder / name, ranks)
    assert run.last("c_sum") == pytest.approx(run.last("PotEng"), rel=1e-12)
    return run


def pressures(run: Run) -> np.ndarray:
    return np.array([run.last(f"c_p[{k}]") for k in range(1, 7)])


@pytest.fixture(scope="module")
def alone(folder) -> list[Run]:
    """The model, and a native style, each without the other."""
    styles = {
        "o-model": "pair_style ubias\npair_coeff * * ../toy.pt Ar Ne",
        "o-native": "pair_style lj/cut 5.0\npair_coeff * * 0.01 2.0",
    }
    return [forces_and_energy(folder, name, pair) for name, pair in styles.items()]


@pytest.mark.parametrize("ranks", [1, 2])
def test_hybrid_overlay_is_the_sum_of_its_styles(folder, alone, ranks):
    overlay = """
pair_style hybrid/overlay lj/cut 5.0 ubias
pair_coeff * * lj/cut 0.01 2.0
pair_coeff * * ubias ../toy.pt Ar Ne
"""
    both = forces_and_energy(folder, f"overlay-{ranks}", overlay, ranks)
    for value in (lambda r: r.last("PotEng"), pressures, lambda r: _forces(r)):
        wanted = sum(value(run) for run in alone)
        np.testing.assert_allclose(value(both), wanted, atol=1e-11 * np.abs(wanted).max())


@pytest.mark.parametrize("ranks", [1, 2])
def test_overlay_of_two_models_is_their_sum(folder, ranks):
    two = """
pair_style hybrid/overlay ubias ubias
pair_coeff * * ubias 1 ../toy.pt Ar Ne
pair_coeff * * ubias 2 ../gmnn.pt Ar Ne
"""
    both = forces_and_energy(folder, f"two-models-{ranks}", two, ranks)
    predictions = [Model(folder / f"{name}.pt").predict([structure()])[0] for name in MODELS]
    wanted = sum(p.forces for p in predictions)
    np.testing.assert_allclose(_forces(both), wanted, atol=1e-10 * np.abs(wanted).max())
    assert both.last("PotEng") == pytest.approx(sum(p.energy for p in predictions), rel=1e-12)


def _forces(run: Run) -> np.ndarray:
    return columns(run.dump("d.dump")[0], *FORCES)


@pytest.fixture(scope="module")
def pairs_of_neon(folder) -> Run:
    """Lennard-Jones without the pairs of two argon atoms."""
    styles = "pair_style lj/cut 5.0\npair_coeff * * 0.01 2.0\npair_coeff 1 1 0.0 2.0"
    return forces_and_energy(folder, "h-native", styles)


@pytest.mark.parametrize("ranks", [1, 2])
def test_hybrid_with_null_sees_only_the_atoms_of_its_types(folder, pairs_of_neon, ranks):
    native = pairs_of_neon
    hybrid = """
pair_style hybrid lj/cut 5.0 ubias
pair_coeff * * ubias ../toy.pt Ar NULL
pair_coeff 1 2 lj/cut 0.01 2.0
pair_coeff 2 2 lj/cut 0.01 2.0
fix u all pair 1 ubias uncertainty 1
compute u all pair ubias
"""
    # the bias comes after the forces are stored
    run = forces_and_energy(
        folder,
        f"hybrid-{ranks}",
        hybrid + "fix physical all store/force\nfix b all ubias tau 1.0 window 0\n"
        "dump u all custom 1 u.dump id f_u\ndump_modify u sort id format float %.17g\n",
        ranks,
    )
    model = Model(folder / "toy.pt")
    atoms = structure()
    argon = atoms.symbols == "Ar"
    (prediction,) = model.predict([atoms[argon]])
    u, gradient, _ = model.uncertainty_gradient(atoms[argon])
    assert run.last("PotEng") == pytest.approx(native.last("PotEng") + prediction.energy)
    wanted = _forces(native)
    wanted[argon] += prediction.forces
    physical = columns(run.dump("d.dump")[0], *PHYSICAL)
    np.testing.assert_allclose(physical, wanted, atol=1e-11 * np.abs(wanted).max())
    wanted[argon] += gradient
    np.testing.assert_allclose(_forces(run), wanted, atol=1e-11 * np.abs(wanted).max())
    atomic = run.dump("u.dump")[0]["f_u"]
    np.testing.assert_allclose(atomic[argon], prediction.atomic_uncertainty, rtol=1e-10)
    np.testing.assert_array_equal(atomic[~argon], 0.0)
    assert u > 0.0


@pytest.mark.parametrize("ranks", [1, 2])
def test_minimize_ends_where_physical_and_bias_forces_cancel(folder, ranks):
    script = f"""{SETUP}
fix physical all store/force
fix b all ubias tau 0.5 window 0
fix_modify b energy yes
thermo_style custom step pe fmax f_b
{FULL_PRECISION}
min_style cg
minimize 0.0 1e-4 20000 200000
write_dump all custom end.dump id x y z {" ".join(PHYSICAL)} modify sort id format float %.17g
"""
    run = lmp(script, folder / f"minimize-{ranks}", ranks)
    (frame,) = run.dump("end.dump")
    atoms = structure()
    atoms.positions = columns(frame, *XYZ)
    model = Model(folder / "toy.pt")
    (prediction,) = model.predict([atoms])
    _, gradient, _ = model.uncertainty_gradient(atoms)
    assert np.abs(0.5 * gradient).max() > 1e-3
    np.testing.assert_allclose(prediction.forces, columns(frame, *PHYSICAL), atol=1e-10)
    assert np.abs(prediction.forces + 0.5 * gradient).max() < 1e-4
    pe = run.thermo()[0]["PotEng"]
    assert pe[-1] < pe[0]
    assert pe[-1] == pytest.approx(prediction.energy - 0.5 * prediction.total_uncertainty)


DYNAMICS = """
velocity all create 3000 1 dist gaussian loop geom
timestep 0.002
fix b all ubias tau 0.3 window 5
fix move all nve
dump d all custom 60 d.dump id xu yu zu fx fy fz
dump_modify d sort id format float %.17g
run 60
"""


@pytest.fixture(scope="module")
def trajectory(folder) -> dict[str, np.ndarray]:
    """Its last frame, from new neighbor lists on every step."""
    script = f"{SETUP}neigh_modify every 1 delay 0 check no\n{DYNAMICS}"
    return lmp(script, folder / "trajectory").dump("d.dump")[-1]


@pytest.mark.parametrize(
    ("ranks", "settings"),
    [
        (1, "neighbor 3.0 bin\nneigh_modify every 10 delay 0 check no"),
        (1, "neighbor 0.1 bin\nneigh_modify every 1 delay 0 check yes"),
        (2, "neighbor 2.0 bin\nneigh_modify every 1 delay 20 check yes"),
        (2, "neighbor 1.0 nsq\ncomm_modify cutoff 1.0"),
        (4, "neighbor 1.0 bin\nneigh_modify every 2 delay 0 check yes"),
    ],
)
def test_trajectory_does_not_depend_on_ranks_or_neighbor_lists(folder, trajectory, ranks, settings):
    name = f"trajectory-{ranks}-{settings.split()[1]}"
    run = lmp(f"{SETUP}{settings}\n{DYNAMICS}", folder / name, ranks)
    got = run.dump("d.dump")[-1]
    assert np.abs(columns(got, "xu", "yu", "zu") - structure().positions).max() > 0.3
    for names in (("xu", "yu", "zu"), FORCES):
        np.testing.assert_allclose(columns(got, *names), columns(trajectory, *names), atol=1e-8)


@pytest.mark.parametrize("ranks", [1, 2])
def test_atoms_and_box_may_change_between_runs(folder, ranks):
    """Each run ends with a frame; Python agrees with all of them."""
    look = "write_dump all custom {name}.dump id element x y z f_u " + " ".join(PHYSICAL)
    look += " modify sort id element Ar Ne format float %.17g\nprint 'u of {name} $(f_b[1]:%.17g)'"
    changes = {
        "start": "",
        "deleted": "group gone id 3 7 11 20\ndelete_atoms group gone compress no",
        "emptier": "region half block INF INF INF INF 5.5 INF\n"
        "delete_atoms region half compress yes",
        "created": "create_atoms 2 single 4.5 5.0 8.0\ncreate_atoms 1 random 3 5 NULL overlap 1.5",
        "stretched": "change_box all x scale 1.1 z scale 0.97 remap",
        "tilted": "change_box all triclinic xy final 1.5 remap",
        "replicated": "replicate 1 2 1",
    }
    script = f"""{SETUP}
velocity all create 100 1 dist gaussian loop geom
timestep 0.001
fix physical all store/force
fix b all ubias tau 0.2 window 2
fix u all pair 1 ubias uncertainty 1
fix move all nve
thermo 1
thermo_style custom step pe f_b[1]
{FULL_PRECISION}
"""
    for name, change in changes.items():
        if name == "replicated":
            change = "unfix u\nunfix b\nunfix physical\nunfix move\nreset_timestep 0\n" + change
            change += "\nfix physical all store/force\nfix b all ubias tau 0.2 window 2\n"
            change += "fix u all pair 1 ubias uncertainty 1\nfix move all nve"
        script += f"{change}\nrun 4\n{look.format(name=name)}\n"
    run = lmp(script, folder / f"changes-{ranks}", ranks)
    model = Model(folder / "toy.pt")
    counts = []
    for name in changes:
        atoms = read_frame(run.folder / f"{name}.dump")
        counts.append(len(atoms))
        (prediction,) = model.predict([atoms])
        line = next(x for x in run.log.splitlines() if x.startswith(f"u of {name}"))
        assert float(line.split()[-1]) == pytest.approx(prediction.total_uncertainty, rel=1e-9)
        np.testing.assert_allclose(
            atoms.arrays["u"], prediction.atomic_uncertainty, rtol=1e-9, err_msg=name
        )
        np.testing.assert_allclose(
            atoms.arrays["physical"], prediction.forces, atol=1e-9, err_msg=name
        )
    assert counts[:2] == [40, 36]
    assert counts[2] < 30
    assert counts[3] == counts[2] + 4
    assert counts[6] == 2 * counts[5]


def read_frame(path: Path) -> Atoms:
    """A dump with elements, boxes of any shape, forces and uncertainties."""
    lines = path.read_text().splitlines()
    bounds = np.array([line.split() for line in lines[5:8]], dtype=float)
    xy, xz, yz = bounds[:, 2] if bounds.shape[1] == 3 else (0.0, 0.0, 0.0)
    low = bounds[:, 0] - [min(0.0, xy, xz, xy + xz), min(0.0, yz), 0.0]
    high = bounds[:, 1] - [max(0.0, xy, xz, xy + xz), max(0.0, yz), 0.0]
    length = high - low
    cell = [[length[0], 0, 0], [xy, length[1], 0], [xz, yz, length[2]]]
    names = lines[8].split()[2:]
    rows = [dict(zip(names, line.split(), strict=True)) for line in lines[9:]]
    atoms = Atoms([row["element"] for row in rows], cell=cell, pbc=True)
    atoms.positions = np.array([[float(row[k]) for k in XYZ] for row in rows])
    atoms.arrays["physical"] = np.array([[float(row[k]) for k in PHYSICAL] for row in rows])
    atoms.arrays["u"] = np.array([float(row["f_u"]) for row in rows])
    return atoms


def test_second_pair_style_in_one_process_replaces_the_first(folder):
    script = f"""{SETUP}
fix b all ubias tau 0.2 window 2
fix move all nve
run 3
pair_style lj/cut 5.0
pair_coeff * * 0.01 2.0
unfix b
run 3
pair_style ubias
pair_coeff * * ../gmnn.pt Ar Ne
fix b all ubias tau 0.2 window 2
thermo_style custom step pe f_b[1]
{FULL_PRECISION}
run 0
write_dump all custom end.dump id x y z modify sort id format float %.17g
"""
    run = lmp(script, folder / "second")
    atoms = structure()
    atoms.positions = columns(run.dump("end.dump")[0], *XYZ)
    (prediction,) = Model(folder / "gmnn.pt").predict([atoms])
    assert run.last("PotEng") == pytest.approx(prediction.energy, rel=1e-10)
    assert run.last("f_b[1]") == pytest.approx(prediction.total_uncertainty, rel=1e-10)


def test_fix_that_lost_its_pair_style_says_so(folder):
    lost = f"""{SETUP}
fix b all ubias tau 0.2 window 2
fix move all nve
run 3
pair_style lj/cut 5.0
pair_coeff * * 0.01 2.0
print "bias energy $(f_b), u $(f_b[1])"
"""
    run = lmp(lost + "unfix b\nrun 2\n", folder / "lost-removed")
    assert "bias energy 0, u 0" in run.log
    run = lmp(lost + "write_restart r.restart\n", folder / "lost", fails=True)
    assert run.error().startswith("fix ubias needs pair_style ubias")


def test_one_log_line_from_rank_zero_says_which_model_runs(folder):
    run = lmp(f"{SETUP}run 0\n", folder / "logline", 2)
    _, metadata = load(folder / "toy.pt")
    for text in (run.log, run.text):
        (line,) = (x for x in text.splitlines() if x.startswith("pair_style ubias: model"))
        assert line == (
            f"pair_style ubias: model ../toy.pt ({metadata.model_hash}), contract 1, "
            "training set 5ca1ab1e, "
            "uncertainty custom (not calibrated), cutoff 4 A, 1 hop(s), "
            f"torch {metadata.torch_version}, float64, device cpu, 1 thread(s) per rank"
        )


CALIBRATIONS = {
    "": {"alpha": 0.05, "total_factor": 2.5, "atomic_factor": 3.5},
    " (the atomic one is not calibrated)": {"alpha": 0.05, "total_factor": 2.5},
    " (the total one is not calibrated)": {
        "alpha": 0.05,
        "total_factor": 1.0,
        "atomic_factor": 3.5,
    },
    " (not calibrated)": {"alpha": 0.05, "total_factor": 1.0, "atomic_factor": 1.0},
}
FACTORS = {"alpha": 0.05, "total_factor": 2.5, "atomic_factor": 3.5}
PROMISED = {
    "": {**FACTORS, "total_factor": 1.0, "total_attainable": 0.95, "atomic_attainable": 0.9},
    " (the atomic one is not calibrated)": {
        **FACTORS,
        "total_attainable": 0.95,
        "atomic_attainable": 0.0,
    },
}


@pytest.mark.parametrize("words", CALIBRATIONS)
def test_files_without_a_promise_have_the_same_rule_in_python(folder, words):
    path = toys.save_toy(folder / "rule.pt", **CALIBRATIONS[words])
    raw = [name for name in ("total", "atomic") if attainable_of(load(path)[1], name) == 0.0]
    named = [name for name in ("total", "atomic") if f"{name} one is not" in words]
    assert raw == (["total", "atomic"] if words == " (not calibrated)" else named)


@pytest.mark.parametrize(
    ("words", "fields"), [*CALIBRATIONS.items(), *PROMISED.items()], ids=lambda x: str(x)[:40]
)
def test_the_log_line_says_what_is_not_calibrated(folder, words, fields):
    toys.save_toy(folder / "calibrated.pt", **fields)
    run = lmp(f"{SETUP}run 0\n".replace("toy.pt", "calibrated.pt"), folder / "calibrated")
    assert f", uncertainty custom{words}, cutoff 4 A," in run.log


def test_the_log_line_says_that_a_model_has_its_own_calibration(folder):
    """A model of another program applies its factors itself and gives alpha alone."""
    toys.save_toy(folder / "alpha.pt", alpha=0.05)
    run = lmp(f"{SETUP}run 0\n".replace("toy.pt", "alpha.pt"), folder / "alpha")
    assert ", uncertainty custom, cutoff 4 A," in run.log


@pytest.mark.parametrize("ranks", [1, 2])
def test_pairs_of_other_styles_may_be_left_out(folder, pairs_of_neon, ranks):
    """Pairs of atoms of type NULL are no business of the style: forces on argon stay the same."""
    hybrid = """
pair_style hybrid lj/cut 5.0 ubias
pair_coeff * * ubias ../toy.pt Ar NULL
pair_coeff 1 2 lj/cut 0.01 2.0
pair_coeff 2 2 lj/cut 0.01 2.0
group neon type 2
"""
    exclude = "neigh_modify exclude type 2 2\nneigh_modify exclude group neon neon\n"
    whole = forces_and_energy(folder, f"none-left-out-{ranks}", hybrid, ranks)
    part = forces_and_energy(folder, f"left-out-{ranks}", hybrid + exclude, ranks)
    argon = structure().symbols == "Ar"
    np.testing.assert_allclose(_forces(part)[argon], _forces(whole)[argon], rtol=1e-12, atol=1e-12)
    assert np.abs(_forces(part)[~argon] - _forces(whole)[~argon]).max() > 1e-6


MASSES = {
    "as they are": ("", ""),
    "rounded": ("mass 1 40\nmass 2 20.3", ""),
    "of the other type": (
        "mass 1 20.18\nmass 2 39.95",
        "elements contradict masses: type 1 is Ar (39.948 u) but has the mass 20.18 u, that of Ne, "
        "type 2 is Ne (20.1797 u) but has the mass 39.95 u, that of Ar;",
    ),
    "of an element outside the model": (
        "mass 1 35.45",
        "type 1 is Ar (39.948 u) but has the mass 35.45 u, that of Cl;",
    ),
}


@pytest.mark.parametrize("which", MASSES)
def test_a_mass_that_contradicts_the_element_gives_one_warning(folder, which):
    masses, warning = MASSES[which]
    run = lmp(f"{SETUP}{masses}\nrun 0\nrun 0\n", folder / "masses")
    warnings = [x for x in run.log.splitlines() if x.startswith("WARNING: pair_style ubias")]
    assert len(warnings) == (1 if warning else 0)
    assert warning in "".join(warnings)
