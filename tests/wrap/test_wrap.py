"""Models from elsewhere get an uncertainty, and what cannot be wrapped is told in one line.

The converter of these tests is a process like those of the package; it converts toys.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from packages import MakesFolder
from warm_python import warm_environment

import pyubias.wrap.convert
from pyubias.contract import check_contract
from pyubias.errors import UserError
from pyubias.model.archive import attainable_of
from pyubias.model.prediction import Model
from pyubias.training.labels import ENERGY, FORCES
from pyubias.wrap.wrap import wrap

ZERO = {"Ar": 2.0, "Ne": -1.5}


def random_atoms(cell, n_atoms, seed):
    """Ar, Ne, Ne, … at random places of a jittered grid in a periodic cell."""
    generator = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(-1, 3)
    chosen = generator.permutation(places)[:n_atoms] + 0.3 * generator.random((n_atoms, 3))
    symbols = ["Ne" if k % 3 else "Ar" for k in range(n_atoms)]
    return Atoms(symbols, scaled_positions=chosen / 3, cell=cell, pbc=True)


@pytest.fixture(autouse=True)
def toy_converter(monkeypatch):
    monkeypatch.setattr(pyubias.wrap.convert, "CONVERTERS", Path(__file__).parent / "converters")
    monkeypatch.setitem(pyubias.wrap.convert.KINDS, "toy", "toy-package")
    find = pyubias.wrap.convert.find_python
    monkeypatch.setattr(
        pyubias.wrap.convert,
        "find_python",
        lambda environment, *name: find(environment or warm_environment(), *name),
    )


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Structures with the toy's own energies, from another zero, and its forces with noise."""
    from toys import MessagePassing, save_toy

    folder = tmp_path_factory.mktemp("labels")
    toy = Model(save_toy(folder / "toy.pt", MessagePassing(2), elements=("Ar", "Ne")))
    generator = np.random.default_rng(0)
    frames = []
    for seed in range(24):
        n = int(generator.integers(4, 12))
        atoms = random_atoms([8.0, 8.5, 9.0], n, seed)
        (prediction,) = toy.predict([atoms])
        shift = sum(ZERO[s] for s in atoms.get_chemical_symbols())
        atoms.info[ENERGY] = prediction.energy + shift + 0.01 * generator.standard_normal()
        noise = generator.standard_normal((n, 3))
        atoms.arrays[FORCES] = prediction.forces + 0.05 * noise
        frames.append(atoms)
    return frames


def file_of(tmp_path, name="toy.json", **text):
    path = tmp_path / name
    path.write_text(json.dumps(text))
    return str(path)


def test_a_wrapped_model_is_the_model_with_a_shift_and_a_calibrated_uncertainty(tmp_path, labelled):
    lines = []
    report = wrap("toy", [file_of(tmp_path)], labelled, tmp_path / "model.pt", say=lines.append)
    metadata = check_contract(tmp_path / "model.pt")
    assert (metadata.hops, metadata.contract_version, metadata.uncertainty) == (2, 2, "posterior")
    assert metadata.source["package"].startswith("numpy ")
    assert (report.n_train, report.n_calibration) == (18, 6)
    assert "2 hops, 2 features, float64" in lines[0]

    shifts = dict(zip(["Ar", "Ne"], metadata.source["shifts"][0], strict=True))
    assert shifts == pytest.approx(ZERO, abs=0.05)
    predictions = Model(tmp_path / "model.pt").predict(labelled)
    pairs = list(zip(predictions, labelled, strict=True))
    assert max(abs(p.energy - a.info[ENERGY]) / len(a) for p, a in pairs) < 0.02
    forces = [p.forces - a.arrays[FORCES] for p, a in pairs]
    assert np.sqrt(np.mean(np.concatenate(forces) ** 2)) == pytest.approx(0.05, rel=0.2)

    # the factors are those of the calibration part: one of its errors touches its uncertainty
    ratio = np.abs(report.residuals.energy) / report.residuals.total_uncertainty
    assert ratio.max() == pytest.approx(1.0)
    assert metadata.total_factor != 1.0 != metadata.atomic_factor
    covered = np.abs(report.residuals.atomic) <= report.residuals.atomic_uncertainty
    assert 0.94 < covered.mean() < 1.0


@pytest.mark.slow
def test_what_no_held_out_structure_calibrates_is_not_called_calibrated(tmp_path, labelled):
    """The total uncertainty without calibration structures, the atomic one without their forces."""
    wrap("toy", [file_of(tmp_path)], labelled, tmp_path / "raw.pt", calibration=0.0)
    raw = check_contract(tmp_path / "raw.pt")
    assert (attainable_of(raw, "total"), attainable_of(raw, "atomic")) == (0.0, 0.0)
    bare = [atoms.copy() for atoms in labelled]
    for atoms in bare:
        del atoms.arrays[FORCES]
    wrap("toy", [file_of(tmp_path)], bare, tmp_path / "bare.pt")
    metadata = check_contract(tmp_path / "bare.pt")
    assert attainable_of(metadata, "total") == pytest.approx(6 / 7)
    assert attainable_of(metadata, "atomic") == 0.0


@pytest.mark.slow
def test_further_structures_are_known_to_the_posterior(tmp_path, labelled):
    far = random_atoms([6.0, 6.0, 6.0], 20, 99)
    for name, replay in (("without", ()), ("with", [far])):
        settings = {"replay": replay, "regularisation": 0.01}
        wrap("toy", [file_of(tmp_path)], labelled, tmp_path / f"{name}.pt", **settings)
    uncertainty = {}
    for name in ("without", "with"):
        model = Model(tmp_path / f"{name}.pt")
        (prediction,) = model.predict([far])
        uncertainty[name] = prediction.total_uncertainty / model.metadata.total_factor
    assert uncertainty["with"] < 0.2 * uncertainty["without"]


@pytest.mark.slow
def test_an_ensemble_is_as_uncertain_as_its_members_differ(tmp_path, labelled):
    files = [file_of(tmp_path, f"{k}.json", scale=s) for k, s in enumerate((0.98, 1.0, 1.05))]
    report = wrap("toy", files, labelled, tmp_path / "ensemble.pt")
    metadata = check_contract(tmp_path / "ensemble.pt")
    assert (metadata.uncertainty, metadata.n_features, metadata.hops) == ("ensemble", 3, 2)
    model = Model(tmp_path / "ensemble.pt")
    atoms = labelled[0]
    (prediction,) = model.predict([atoms])
    members = prediction.features
    assert prediction.energy / len(atoms) == pytest.approx(members.mean(), rel=1e-12)
    # each member has shifts of its own: labels have another zero, 2.0 and -1.5 eV per atom
    assert abs(prediction.energy - atoms.info[ENERGY]) < 0.1 * len(atoms)
    assert np.ptp(members) < 0.1
    wanted = metadata.total_factor * np.std(members, ddof=1)
    assert prediction.total_uncertainty == pytest.approx(wanted, rel=1e-9)
    assert report.metadata.source["files"] == files


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            {"fault": "crash"},
            {},
            r"converter .* failed \(exit status 1\): RuntimeError: the toy",
        ),
        ({"fault": "package"}, {}, r"has not what toy needs .*a_package_that_nobody_has.*--python"),
        ({"fault": "script"}, {}, r"cannot wrap '.*': the model cannot be scripted: "),
        (
            {"fault": "wrong"},
            {},
            r"differs from the ASE calculator of numpy .*: energy by ",
        ),
        ({"heads": ["pbe", "scan"]}, {}, r"heads pbe, scan: none was named; use --head"),
        ({"heads": ["pbe", "scan"]}, {"head": "r2scan"}, r"heads pbe, scan: got 'r2scan'"),
        ({}, {"head": "pbe"}, r"the model has the heads none: got 'pbe'"),
        ({}, {"elements": ["Ar", "Ne", "Xe"]}, r"no element Xe; it has Ar Ne Kr"),
        ({}, {"elements": ["Ar"]}, r"--elements lacks Ne, which the data have"),
        ({}, {"python": Path("/nowhere")}, r"--python: no Python in '/nowhere'"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_wrapped_is_one_line(tmp_path, labelled, text, options, message):
    with pytest.raises(UserError, match=message) as error:
        wrap("toy", [file_of(tmp_path, **text)], labelled, tmp_path / "model.pt", **options)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "model.pt").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_runs_only_with_trust(tmp_path, labelled, zipped):
    file, made = tmp_path / "toy.pth", tmp_path / "made"
    content = {"text": {}, "code": MakesFolder(made)}
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    message = (
        r"cannot wrap '.*': reading '.*' may run code in it \(it calls posix\.mkdir\): give --trust"
    )
    with pytest.raises(UserError, match=message) as error:
        wrap("toy", [str(file)], labelled, tmp_path / "model.pt")
    assert "\n" not in str(error.value)
    assert not made.exists()
    wrap("toy", [str(file)], labelled, tmp_path / "model.pt", trust=True)
    assert made.exists()


def test_a_file_without_code_needs_no_trust(tmp_path, labelled):
    arrays = [np.zeros((2, 3)), np.zeros(2, np.float32), np.array([1]), np.array(["Ar"])]
    content = {"text": {}, "tensor": torch.ones(3), "arrays": arrays, "dtype": torch.float64}
    torch.save(content, tmp_path / "toy.pth")
    wrap("toy", [str(tmp_path / "toy.pth")], labelled, tmp_path / "model.pt")
    (tmp_path / "toy.pth").write_text("no pickle")
    with pytest.raises(UserError, match=r"may run code in it \(it holds more than tensors"):
        wrap("toy", [str(tmp_path / "toy.pth")], labelled, tmp_path / "model.pt")


def test_a_named_head_is_chosen(tmp_path, labelled):
    file = file_of(tmp_path, heads=["pbe", "scan"])
    report = wrap("toy", [file], labelled, tmp_path / "model.pt", head="scan")
    assert report.metadata.source["head"] == "scan"


def test_energies_that_no_shift_brings_together_are_refused(tmp_path, labelled):
    frames = [atoms.copy() for atoms in labelled]
    for k, atoms in enumerate(frames):
        atoms.info[ENERGY] += (-1) ** k * 0.5 * len(atoms)
    with pytest.raises(UserError, match=r"differ by 0\.\d+ eV/atom beyond a shift of each element"):
        wrap("toy", [file_of(tmp_path)], frames, tmp_path / "model.pt")
