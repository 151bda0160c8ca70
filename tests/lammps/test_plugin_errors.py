"""Each mistake ends LAMMPS with one line that says what, got, wanted; and with no hang."""

import json
import re
import zipfile
from pathlib import Path

import pytest
import torch
import toys
from harness import Run, lmp, random_atoms, write_data

from pyubias.contract import Metadata


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


def run_with(folder: Path, ranks: int = 1, **parts: str) -> Run:
    """A sound script in which some parts are replaced; it must fail within a minute."""
    name = re.sub(r"\W+", "-", "-".join(parts.values()))[:80]
    script = "\n".join({**PARTS, **parts}.values())
    return lmp(script, folder / f"{name}-{ranks}", ranks, fails=True, timeout=60.0)


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
        "fix ubias: unknown keyword 'tua', wanted tau, stress, window, weight or uncertainty",
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
    "negative stress": (
        {"fix": "fix b all ubias stress -1.0"},
        "fix ubias: stress must not be negative, got -1.0",
    ),
    "negative window": (
        {"fix": "fix b all ubias tau 0.1 window -1"},
        "fix ubias: window must not be negative, got -1",
    ),
    "neither tau nor stress": (
        {"fix": "fix b all ubias window 10"},
        "fix ubias: give 'tau' or 'stress' or both",
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
    "model file missing": (
        {"pair_coeff": "pair_coeff * * nowhere.pt Ar Ne"},
        "model file 'nowhere.pt' does not exist",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_in_the_input_is_named(folder, mistake):
    parts, message = MISTAKES[mistake]
    assert message in run_with(folder, **parts).error()


def test_model_that_is_no_torchscript_is_refused(folder):
    (folder / "text.pt").write_text("this is not a model\n")
    torch.save({"weights": torch.zeros(3)}, folder / "pickle.pt")
    for name in ("text.pt", "pickle.pt"):
        error = run_with(folder, pair_coeff=f"pair_coeff * * ../{name} Ar Ne").error()
        assert error.startswith(f"pair_coeff for ubias: cannot read model '../{name}': ")


def test_truncated_model_is_refused(folder):
    whole = (folder / "toy.pt").read_bytes()
    (folder / "half.pt").write_bytes(whole[: len(whole) // 2])
    error = run_with(folder, pair_coeff="pair_coeff * * ../half.pt Ar Ne").error()
    assert "cannot read model '../half.pt'" in error


def test_torchscript_without_metadata_is_refused(folder):
    torch.jit.save(torch.jit.script(toys.Toy()), folder / "bare.pt")
    error = run_with(folder, pair_coeff="pair_coeff * * ../bare.pt Ar Ne").error()
    assert "'../bare.pt' is TorchScript but carries no pyubias metadata" in error


def _with_metadata(folder: Path, name: str, **changes: object) -> None:
    fields = Metadata(elements=["Ar", "Ne"], cutoff=4.0, n_features=2).model_dump()
    text = json.dumps({**fields, **changes})
    torch.jit.save(torch.jit.script(toys.Toy()), folder / name, {"pyubias.json": text})


def test_model_of_another_contract_version_is_refused(folder):
    _with_metadata(folder, "future.pt", contract_version=2)
    error = run_with(folder, pair_coeff="pair_coeff * * ../future.pt Ar Ne").error()
    assert "'../future.pt' has contract version 2, this plugin reads version 1" in error


def test_model_whose_features_disagree_with_its_metadata_is_refused(folder):
    _with_metadata(folder, "features.pt", n_features=3)
    error = run_with(folder, pair_coeff="pair_coeff * * ../features.pt Ar Ne").error()
    assert "features has shape [16, 2], the contract wants [16, 3]" in error


def test_model_that_needs_operators_which_are_not_loaded_is_refused(folder):
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
    error = run_with(folder, pair_coeff="pair_coeff * * ../operator.pt Ar Ne").error()
    assert "cannot read model '../operator.pt'" in error
    assert "other::thing" in error


@pytest.mark.parametrize("ranks", [1, 2])
def test_nan_energy_ends_the_run_with_atom_id_and_step(folder, ranks):
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
    toys.save_toy(folder / "nan.pt", toys.NotFinite())
    run = run_with(
        folder,
        ranks,
        atoms="atom_style atomic\nread_data ../close.data",
        pair_coeff="pair_coeff * * ../nan.pt Ar Ne",
        run="velocity all set 0 0 0\ngroup one id 110\nfix v one move linear -20 0 0\nrun 20",
    )
    assert re.fullmatch(r"energy of atom (106|110) is -?nan at step [1-9] .*", run.error())


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize(
    ("fix", "message"),
    [
        ("", r"pair_style ubias: total uncertainty at step 0: not finite .*"),
        ("fix u all pair 1 ubias uncertainty 1", r"uncertainty of atom \d+ is -?nan at step 0 .*"),
        (
            "fix b all ubias tau 1 uncertainty atomic",
            r"uncertainty of atom \d+ is -?nan at step 0 .*",
        ),
    ],
)
def test_uncertainty_that_is_not_finite_ends_the_run(folder, ranks, fix, message):
    toys.save_toy(folder / "undefined.pt", toys.UndefinedUncertainty())
    run = run_with(folder, ranks, pair_coeff="pair_coeff * * ../undefined.pt Ar Ne", fix=fix)
    assert re.fullmatch(message, run.error())


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
