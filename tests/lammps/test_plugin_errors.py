"""Each mistake ends LAMMPS with one line that says what, got, wanted; and with no hang.

Where one rank is enough, LAMMPS runs as a library in this process: that saves a start of LAMMPS.
"""

import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
import toys
from harness import PLUGIN, Run, lmp, random_atoms, write_data

from pyubias.contract import CONTRACT_VERSION, Metadata
from pyubias.lammps.library import LammpsError, open_lammps


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Data files and models, good and bad; input scripts run in folders below."""
    folder = tmp_path_factory.mktemp("errors")
    atoms = random_atoms("Ar Ne", [9.0, 9.0, 9.0], 16, seed=1)
    write_data(folder / "atoms.data", atoms, ["Ar", "Ne"])
    toys.save_toy(folder / "toy.pt")
    return folder


PARTS = {
    "units": "units metal",
    "newton": "newton on",
    "atoms": "atom_style atomic\nread_data ../atoms.data",
    "pair_style": "pair_style ubias",
    "pair_coeff": "pair_coeff * * ../toy.pt Ar Ne",
    "fix": "",
    "run": "run 1",
}


def script_with(**parts: str) -> str:
    """A sound script in which some parts are replaced."""
    return "\n".join({**PARTS, **parts}.values())


def run_with(folder: Path, ranks: int, *, plugin: Path | None = None, **parts: str) -> Run:
    """It must fail within a minute, with one line of error and an exit status."""
    name = re.sub(r"\W+", "-", "-".join(parts.values()))[:80]
    run = lmp(
        script_with(**parts),
        folder / f"{name}-{ranks}",
        ranks,
        plugin=plugin,
        fails=True,
        timeout=60.0,
    )
    assert run.text.count("ERROR") == 1
    return run


@pytest.fixture
def error_with(folder, monkeypatch):
    """The same on one rank, in this process; gives the error."""
    work = folder / "library"
    work.mkdir(exist_ok=True)
    monkeypatch.chdir(work)

    def error(**parts: str) -> str:
        with pytest.raises(LammpsError) as raised, open_lammps() as instance:
            instance.commands_string(script_with(**parts))
        assert "\n" not in str(raised.value)
        return str(raised.value)

    return error


MISTAKES = {
    "wrong units": (
        {"units": "units lj"},
        "pair_style ubias: units must be metal or real, got lj",
    ),
    "newton off": ({"newton": "newton off"}, "pair_style ubias needs 'newton on'"),
    "respa": (
        {"run": "run_style respa 2 2 pair 1\nrun 1"},
        "pair_style ubias cannot run with run_style respa: the model has no inner and outer forces",
    ),
    "unknown keyword of the pair style": (
        {"pair_style": "pair_style ubias devise cpu"},
        "pair_style ubias: unknown keyword 'devise', wanted device or threads",
    ),
    "keyword of the pair style without value": (
        {"pair_style": "pair_style ubias threads"},
        "pair_style ubias: keyword 'threads' has no value",
    ),
    "no threads": (
        {"pair_style": "pair_style ubias threads 0"},
        "pair_style ubias: threads must be at least 1, got 0",
    ),
    "negative number of threads": (
        {"pair_style": "pair_style ubias threads -2"},
        "pair_style ubias: threads must be at least 1, got -2",
    ),
    "GPU that no machine has": (
        {"pair_style": "pair_style ubias device cuda:99"},
        "pair_coeff for ubias: device 'cuda:99' asked for, but this torch sees ",
    ),
    "GPU without number": (
        {"pair_style": "pair_style ubias device cuda:first"},
        "pair_coeff for ubias: device 'cuda:first': Invalid device string: 'cuda:first'",
    ),
    "unknown device": (
        {"pair_style": "pair_style ubias device tpu"},
        "pair_style ubias: device must be cpu, cuda or cuda:N, got 'tpu'",
    ),
    "unknown element": (
        {"pair_coeff": "pair_coeff * * ../toy.pt Ar Kr"},
        "the model has no element 'Kr' (atom type 2); it has Ar Ne",
    ),
    "missing element": (
        {"pair_coeff": "pair_coeff * * ../toy.pt Ar"},
        "pair_coeff for ubias: got 1 elements for 2 atom types",
    ),
    "too many elements": (
        {"pair_coeff": "pair_coeff * * ../toy.pt Ar Ne Ne"},
        "pair_coeff for ubias: got 3 elements for 2 atom types",
    ),
    "no element at all": (
        {"pair_coeff": "pair_coeff * * ../toy.pt"},
        "pair_coeff for ubias: wanted '* * model.pt element ...'",
    ),
    "NULL without hybrid": (
        {"pair_coeff": "pair_coeff * * ../toy.pt Ar NULL"},
        "All pair coeffs are not set",
    ),
    "unknown keyword of the fix": (
        {"fix": "fix b all ubias tua 0.25"},
        "fix ubias: unknown keyword 'tua', wanted tau, tau_stress, window, weight, ",
    ),
    "keyword of the fix without value": (
        {"fix": "fix b all ubias tau"},
        "fix ubias: keyword 'tau' has no value",
    ),
    "weight without number": (
        {"fix": "fix b all ubias tau 0.1 weight Ar"},
        "fix ubias: keyword 'weight' has no value",
    ),
    "weight of an unknown element": (
        {"fix": "fix b all ubias tau 0.1 weight H 0.0"},
        "fix ubias: weight of element 'H', which pair_coeff assigns to no type",
    ),
    "negative tau": (
        {"fix": "fix b all ubias tau -0.25"},
        "fix ubias: tau must not be negative, got -0.25",
    ),
    "negative tau_stress": (
        {"fix": "fix b all ubias tau_stress -1.0"},
        "fix ubias: tau_stress must not be negative, got -1.0",
    ),
    "negative rate": (
        {"fix": "fix b all ubias tau_stress 0.1 max_rate -2.0"},
        "fix ubias: max_rate must not be negative, got -2.0",
    ),
    "no rate at all": (
        {"fix": "fix b all ubias tau_stress 0.1 max_rate 0"},
        "fix ubias: max_rate must be positive, got 0",
    ),
    "rate without number": (
        {"fix": "fix b all ubias tau_stress 0.1 max_rate"},
        "fix ubias: keyword 'max_rate' has no value",
    ),
    "negative window": (
        {"fix": "fix b all ubias tau 0.1 window -1"},
        "fix ubias: window must not be negative, got -1",
    ),
    "neither tau nor tau_stress": (
        {"fix": "fix b all ubias window 10"},
        "fix ubias: give 'tau' or 'tau_stress' or both",
    ),
    "unknown kind of uncertainty": (
        {"fix": "fix b all ubias tau 0.1 uncertainty partial"},
        "fix ubias: uncertainty must be total or atomic, got 'partial'",
    ),
    "fix without the pair style": (
        {
            "pair_style": "pair_style lj/cut 4.0",
            "pair_coeff": "pair_coeff * * 0.01 3.4",
            "fix": "fix b all ubias tau 0.1",
        },
        "fix ubias needs pair_style ubias",
    ),
    "fix with two models": (
        {
            "pair_style": "pair_style hybrid/overlay ubias ubias",
            "pair_coeff": "pair_coeff * * ubias 1 ../toy.pt Ar Ne\n"
            "pair_coeff * * ubias 2 ../toy.pt Ar Ne",
            "fix": "fix b all ubias tau 0.1",
        },
        "fix ubias needs pair_style ubias (or one sub-style of that name)",
    ),
    "two fixes": (
        {"fix": "fix b all ubias tau 0.1\nfix c all ubias tau 0.1"},
        "only one fix ubias may be defined",
    ),
    "fix after a stochastic thermostat": (
        {"fix": "fix t all langevin 300 300 0.1 1\nfix b all ubias tau 0.1"},
        "fix ubias must be defined before fix t (style langevin)",
    ),
    "fix after stochastic dynamics": (
        {"fix": "fix t all brownian 300 1 gamma_t 1.0\nfix b all ubias tau 0.1"},
        "fix ubias must be defined before fix t (style brownian)",
    ),
    "fix after a barostat": (
        {"fix": "fix n all npt temp 300 300 0.1 iso 0 0 1\nfix b all ubias tau 0.1"},
        "fix ubias must be defined before fix n (style npt)",
    ),
    "fix after another barostat": (
        {"fix": "fix n all press/berendsen iso 0 0 1\nfix b all ubias tau 0.1"},
        "fix ubias must be defined before fix n (style press/berendsen)",
    ),
    "fix after one that sets forces": (
        {"fix": "fix f all setforce 0.0 NULL 0.0\nfix b all ubias tau 0.1"},
        "fix ubias must be defined before fix f (style setforce)",
    ),
    "fix after one that holds atoms": (
        {
            "atoms": "atom_style sphere\nregion box block 0 9 0 9 0 9\ncreate_box 2 box\n"
            "create_atoms 1 random 4 1 NULL",
            "fix": "fix f all freeze\nfix b all ubias tau 0.1",
        },
        "fix ubias must be defined before fix f (style freeze)",
    ),
    "fix after one that averages forces": (
        {"fix": "fix f all aveforce NULL 0.0 0.0\nfix b all ubias tau 0.1"},
        "fix ubias must be defined before fix f (style aveforce)",
    ),
    "fix after one that projects forces on a line": (
        {"fix": "fix f all lineforce 1 0 0\nfix b all ubias tau 0.1"},
        "fix ubias must be defined before fix f (style lineforce)",
    ),
    "fix after one that projects forces on a plane": (
        {"fix": "fix f all planeforce 1 0 0\nfix b all ubias tau 0.1"},
        "fix ubias must be defined before fix f (style planeforce)",
    ),
    "pairs of types left out": (
        {"fix": "neigh_modify exclude type 1 2"},
        "needs all pairs of its atoms, but 'neigh_modify exclude type 1 2' removes some",
    ),
    "pairs of a group left out": (
        {"fix": "group g id 1:4\nneigh_modify exclude group g g"},
        "needs all pairs of its atoms, but 'neigh_modify exclude group g g' removes some",
    ),
    "pairs with a group left out": (
        {"fix": "group g id 1\nneigh_modify exclude group g all"},
        "needs all pairs of its atoms, but 'neigh_modify exclude group g all' removes some",
    ),
    "pairs in a molecule left out": (
        {
            "atoms": "atom_style bond\nregion box block 0 9 0 9 0 9\ncreate_box 2 box\n"
            "create_atoms 1 random 4 1 NULL\nset group all mol 1\nmass * 20.0\n"
            "special_bonds lj/coul 1 1 1",
            "fix": "neigh_modify exclude molecule/intra all",
        },
        "needs all pairs of its atoms, but 'neigh_modify exclude molecule/intra all' removes some",
    ),
    "lists of a group only": (
        {
            "atoms": "atom_style atomic\natom_modify first g\nread_data ../atoms.data\n"
            "group g id 1:4",
            "fix": "neigh_modify include g",
        },
        "needs all pairs of its atoms, but 'neigh_modify include g' removes some",
    ),
    "atoms that a fix takes out of lists": (
        {
            "fix": "velocity all create 100 1\nfix m all nve\n"
            "fix g all gcmc 1 5 0 1 123 100 -0.5 0.5",
            "run": "run 20",
        },
        "'neigh_modify exclude group FixGCMC:gcmc_exclusion_group:g all' removes some",
    ),
    "box far smaller than the cutoff": (
        {
            "atoms": "atom_style atomic\nregion box block 0 0.1 0 0.1 0 0.1\ncreate_box 2 box\n"
            "create_atoms 1 single 0 0 0\nmass * 20.0",
        },
        "a box of 0.1 x 0.1 x 0.1 A with 1 atoms is too small for the cutoff of 4 A",
    ),
    "model file missing": (
        {"pair_coeff": "pair_coeff * * nowhere.pt Ar Ne"},
        "model file 'nowhere.pt' does not exist",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_in_the_input_is_named(error_with, mistake):
    parts, message = MISTAKES[mistake]
    assert message in error_with(**parts)


@pytest.mark.parametrize(
    "fix", ["addforce 0 0 0.1", "spring/self 1.0", "viscous 0.1", "pair 1 ubias uncertainty 1"]
)
def test_fixes_that_add_physical_forces_may_come_first(folder, monkeypatch, fix):
    (folder / "first").mkdir(exist_ok=True)
    monkeypatch.chdir(folder / "first")
    with open_lammps() as instance:
        instance.commands_string(script_with(fix=f"fix f all {fix}\nfix b all ubias tau 0.1"))


@pytest.mark.parametrize("part", ["pair_style", "pair_coeff", "fix", "run"])
def test_mistake_ends_all_ranks_with_one_line(folder, part):
    mistakes = {
        "pair_style": "no threads",
        "pair_coeff": "model file missing",
        "fix": "negative tau",
        "run": "respa",
    }
    parts, message = MISTAKES[mistakes[part]]
    assert message in run_with(folder, 2, **parts).error()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_where_there_is_none_is_refused(folder):
    run = run_with(folder, 2, pair_style="pair_style ubias device cuda")
    assert run.error().startswith(
        "pair_coeff for ubias: device 'cuda' asked for, but this torch sees 0 CUDA device(s); "
        "use 'device cpu'"
    )


# What a plugin was built for is in it as text: another text of the same length makes it a plugin
# that was built for something else.
RELEASE = json.loads((PLUGIN / "plugin_build.json").read_text())["lammps"]
OTHER_RELEASE = RELEASE.replace(" 20", " 19")
OTHER_BUILDS = {
    "LAMMPS": (
        "ubiasplugin.so",
        (RELEASE, OTHER_RELEASE),
        f"pair_style ubias: the plugin was built for LAMMPS {OTHER_RELEASE}, this is {RELEASE}; "
        "run 'pyubias doctor'",
    ),
    "torch": (
        "libubias_model.so",
        (str(torch.__version__), str(torch.__version__).replace("2.", "1.", 1)),
        f"pair_coeff for ubias: the plugin was built for torch 1.{str(torch.__version__)[2:]}, "
        f"found {torch.__version__}; run 'pyubias doctor'",
    ),
}


def copy_of_plugin(folder: Path) -> Path:
    folder.mkdir()
    for file in PLUGIN.glob("*.so"):
        shutil.copy(file, folder)
    return folder


@pytest.mark.parametrize("what", OTHER_BUILDS)
def test_plugin_built_for_another_version_is_refused(folder, what):
    name, (ours, other), message = OTHER_BUILDS[what]
    plugin = copy_of_plugin(folder / f"built-for-another-{what}")
    content = (plugin / name).read_bytes()
    assert ours.encode() in content
    (plugin / name).write_bytes(content.replace(ours.encode(), other.encode()))
    assert run_with(folder, 2, plugin=plugin).error().startswith(message)


def test_plugin_whose_torch_side_cannot_be_loaded_is_refused(folder):
    plugin = copy_of_plugin(folder / "half-a-plugin")
    (plugin / "libubias_ops.so").unlink()
    error = run_with(folder, 2, plugin=plugin).error()
    assert error.startswith(f"pair_style ubias: cannot load {plugin}{os.sep}libubias_model.so (")
    assert "run 'pyubias doctor'" in error


def test_model_that_is_no_torchscript_is_refused(folder, error_with):
    (folder / "text.pt").write_text("this is not a model\n")
    torch.save({"weights": torch.zeros(3)}, folder / "pickle.pt")
    for name in ("text.pt", "pickle.pt"):
        error = error_with(pair_coeff=f"pair_coeff * * ../{name} Ar Ne")
        assert error.startswith(f"pair_coeff for ubias: cannot read model '../{name}': ")


def test_truncated_model_is_refused(folder, error_with):
    whole = (folder / "toy.pt").read_bytes()
    (folder / "half.pt").write_bytes(whole[: len(whole) // 2])
    error = error_with(pair_coeff="pair_coeff * * ../half.pt Ar Ne")
    assert "cannot read model '../half.pt'" in error


def test_torchscript_without_metadata_is_refused(folder, error_with):
    torch.jit.save(torch.jit.script(toys.Toy()), folder / "bare.pt")
    error = error_with(pair_coeff="pair_coeff * * ../bare.pt Ar Ne")
    assert "'../bare.pt' is TorchScript but carries no pyubias metadata" in error


METADATA = {
    "cutoff": ([-1.0, 0, 1e-9, 1e9, None, "4.0", True], "a distance from 0.1 to 1000 A"),
    "n_features": ([-10, 0, 10**8, 2.5, None, "2", True], "an integer from 1 to 1000000"),
    "contract_version": (["1", None, 1.5], "an integer from "),
    "elements": (["Ar", [], [1], ["Ar", "Xx"], None], "a list of chemical symbols"),
    "alpha": ([-5.0, 0.0, 1.0, "0.1", True], "null or between 0 and 1"),
    "total_factor": ([-1.0, 0.0, "1"], "null or positive and finite"),
    "atomic_factor": ([-1.0, 0.0, "1"], "null or positive and finite"),
    "dtype": (["float16", ""], "float32 or float64"),
    "uncertainty": ([1, None], "a text"),
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n in METADATA for v in METADATA[n][0]])
def test_metadata_out_of_range_are_refused(folder, error_with, name, value):
    _with_metadata(folder, "range.pt", **{name: value})
    error = error_with(pair_coeff="pair_coeff * * ../range.pt Ar Ne")
    wanted = f"metadata field '{name}' must be {METADATA[name][1]}"
    assert f"pair_coeff for ubias: cannot use model '../range.pt': {wanted}" in error
    assert f", got {json.dumps(value, separators=(',', ':'))[:6]}" in error


@pytest.mark.parametrize("name", ["cutoff", "n_features", "elements", "contract_version"])
def test_metadata_that_are_missing_are_named(folder, error_with, name):
    fields = Metadata(elements=["Ar", "Ne"], cutoff=4.0, n_features=2).model_dump()
    del fields[name]
    extra_files = {"pyubias.json": json.dumps(fields)}
    torch.jit.save(torch.jit.script(toys.Toy()), folder / "missing.pt", extra_files)
    error = error_with(pair_coeff="pair_coeff * * ../missing.pt Ar Ne")
    assert f"metadata field '{name}' is missing" in error


def test_an_element_that_occurs_twice_is_refused(folder, error_with):
    _with_metadata(folder, "twice.pt", elements=["Ar", "Ar"])
    error = error_with(pair_coeff="pair_coeff * * ../twice.pt Ar Ar")
    assert "metadata field 'elements' must be a list without repetitions" in error


def _with_metadata(folder: Path, name: str, **changes: object) -> None:
    fields = Metadata(elements=["Ar", "Ne"], cutoff=4.0, n_features=2).model_dump()
    text = json.dumps({**fields, **changes})
    torch.jit.save(torch.jit.script(toys.Toy()), folder / name, {"pyubias.json": text})


def test_model_of_another_contract_version_is_refused(folder, error_with):
    other = CONTRACT_VERSION + 1
    _with_metadata(folder, "future.pt", contract_version=other)
    error = error_with(pair_coeff="pair_coeff * * ../future.pt Ar Ne")
    # the plugin's own constant must be that of pyubias.contract
    wanted = f"has contract version {other}, this plugin reads versions 1 to {CONTRACT_VERSION};"
    assert f"'../future.pt' {wanted}" in error


def test_model_whose_features_disagree_with_its_metadata_is_refused(folder, error_with):
    _with_metadata(folder, "features.pt", n_features=3)
    error = error_with(pair_coeff="pair_coeff * * ../features.pt Ar Ne")
    assert "features has shape [0, 2], the contract wants [0, 3]" in error


def test_model_that_needs_operators_which_are_not_loaded_is_refused(folder, error_with):
    # the name of an operator of torch is replaced by one of the same length that nobody has
    with (
        zipfile.ZipFile(folder / "toy.pt") as old,
        zipfile.ZipFile(folder / "operator.pt", "w") as new,
    ):
        for item in old.infolist():
            content = old.read(item)
            if item.filename.endswith(".py"):
                content = content.replace(b"torch.index_add(", b"ops.other.thing(")
            new.writestr(item, content)
    error = error_with(pair_coeff="pair_coeff * * ../operator.pt Ar Ne")
    assert "cannot read model '../operator.pt'" in error
    assert "other::thing" in error


@pytest.fixture(scope="module")
def collision(folder) -> dict[str, str]:
    """Parts of a script in which atoms 106 and 110 come closer than 1 Å within 20 steps."""
    atoms = random_atoms("Ar Ne", [9.0, 9.0, 9.0], 16, seed=1, min_distance=1.2)
    atoms.positions[[6, 10]] = [[4.0, 4.0, 4.0], [5.05, 4.0, 4.0]]
    near = [
        k
        for k in range(len(atoms))
        if k not in (6, 10) and atoms.get_distances(k, [6, 10], mic=True).min() < 1.2
    ]
    del atoms[near]
    ids = [k + 100 for k in range(16) if k not in near]
    write_data(folder / "close.data", atoms, ["Ar", "Ne"], ids)
    return {
        "atoms": "atom_style atomic\nread_data ../close.data",
        "run": "velocity all set 0 0 0\ngroup one id 110\nfix v one move linear -20 0 0\nrun 20",
    }


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_energy_that_is_not_finite_ends_the_run_with_atom_id_and_step(
    folder, collision, value, ranks
):
    toys.save_toy(folder / f"{value}.pt", toys.NotFinite() if value == "nan" else toys.Infinite())
    run = run_with(folder, ranks, **collision, pair_coeff=f"pair_coeff * * ../{value}.pt Ar Ne")
    assert re.fullmatch(rf"energy of atom (106|110) is -?{value} at step [1-9] .*", run.error())


UNDEFINED = {
    "total": ("", r"pair_style ubias: total uncertainty at step 0: not finite.*"),
    "total, biased": (
        "fix b all ubias tau 1",
        r"pair_style ubias: total uncertainty at step 0: not finite.*",
    ),
    "atomic": (
        "fix u all pair 1 ubias uncertainty 1",
        r"uncertainty of atom \d+ is -?nan at step 0.*",
    ),
    "atomic, biased": (
        "fix b all ubias tau 1 uncertainty atomic",
        r"uncertainty of atom \d+ is -?nan at step 0.*",
    ),
}


@pytest.mark.parametrize("which", UNDEFINED)
def test_uncertainty_that_is_nan_ends_the_run(folder, error_with, which):
    fix, message = UNDEFINED[which]
    toys.save_toy(folder / "undefined.pt", toys.UndefinedUncertainty())
    parts = {"pair_coeff": "pair_coeff * * ../undefined.pt Ar Ne", "fix": fix}
    assert re.fullmatch(message, error_with(**parts))
    if "biased" in which:
        assert re.fullmatch(message, run_with(folder, 2, **parts).error())


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_exception_on_one_rank_ends_all_ranks_with_one_message(folder, ranks):
    atoms = random_atoms("Ar", [9.0, 9.0, 9.0], 16, seed=1)
    atoms.symbols[5] = "Ne"
    write_data(folder / "one.data", atoms, ["Ar", "Ne"])
    toys.save_toy(folder / "throws.pt", toys.ThrowsBeyond())
    run = run_with(
        folder,
        ranks,
        atoms="atom_style atomic\nread_data ../one.data",
        pair_coeff="pair_coeff * * ../throws.pt Ar Ne",
    )
    assert "this toy refuses atoms of type 1" in run.error()
    assert run.text.count("this toy refuses atoms of type 1") == 1


@pytest.mark.parametrize("fix", ["", "fix b all ubias tau 1"], ids=["plain", "biased"])
@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_force_that_is_not_finite_ends_all_ranks_with_one_message(folder, ranks, steps, fix):
    """Forces of a biased step follow its first collective: the second one ends the run."""
    atoms = random_atoms("Ar", [9.0, 9.0, 9.0], 16, seed=1)
    atoms.symbols[5] = "Ne"
    write_data(folder / "one.data", atoms, ["Ar", "Ne"])
    toys.save_toy(folder / "undefined-force.pt", toys.UndefinedForce())
    run = run_with(
        folder,
        ranks,
        atoms="atom_style atomic\nread_data ../one.data",
        pair_coeff="pair_coeff * * ../undefined-force.pt Ar Ne",
        fix=fix,
        run=f"run {steps}",
    )
    assert re.fullmatch(r"(pair_style ubias: )?force on atom \d+ is -?nan at step 0.*", run.error())
    assert run.text.count("force on atom") == 1
