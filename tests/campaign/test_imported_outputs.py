"""Labels come back from outputs of VASP, Quantum ESPRESSO, ORCA and CP2K."""

from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from campaigns import ALA2, metrics, shared_commands, tiny
from program_outputs import KBAR, OUTPUTS, Result, cp2k, orca, random_result

from pyubias.campaign.by_hand import Imported, import_labels
from pyubias.campaign.label_store import LabelStore
from pyubias.campaign.run_folder import RunFolder
from pyubias.campaign.to_label import remove_frames_to_label, write_frames_to_label
from pyubias.config.schema import CampaignConfig
from pyubias.errors import UserError
from pyubias.files import write_json
from pyubias.training.reading import read_frames

VASP = {"program": "vasp", "arguments": {"encut": 400, "kpts": [2, 2, 2]}}
ORCA = {"program": "orca", "arguments": {"orcasimpleinput": "PBE def2-SVP"}}


def crystals(n: int) -> list[Atoms]:
    """Copper and gold in mixed order, with atoms outside of the cell."""
    generator = np.random.default_rng(0)
    frames = []
    for _ in range(n):
        atoms = bulk("Cu", cubic=True)
        atoms.set_chemical_symbols(["Cu", "Au", "Cu", "Au"])
        atoms.set_cell(atoms.cell + generator.normal(0.0, 0.05, (3, 3)), scale_atoms=True)
        atoms.positions += generator.normal(-0.1, 0.1, (4, 3))
        frames.append(atoms)
    return frames


def waters(n: int) -> list[Atoms]:
    generator = np.random.default_rng(0)
    frames = [molecule("H2O") for _ in range(n)]
    for atoms in frames:
        atoms.positions += generator.normal(0.0, 0.1, (3, 3))
    return frames


def waiting(folder: Path, frames: list[Atoms], **reference: Any) -> RunFolder:
    """A run folder whose frames wait for labels."""
    config = CampaignConfig.model_validate(
        {
            "name": "made",
            "start": {"structures": str(folder / "start.xyz")},
            "reference": {"kind": "files", "max_force": 1e3, **reference},
            "exploration": {"input": str(folder / "walker.in")},
        }
    )
    made = RunFolder(folder)
    write_json(made.settings, config.model_dump(mode="json"))
    LabelStore(made.labels)
    for atoms in frames:
        atoms.info.update(iteration=3, walker=-1, split="train")
    keyed = [(f"0003-{k:02d}", atoms) for k, atoms in enumerate(frames)]
    write_frames_to_label(made, keyed, config.reference)
    return made


def write_output(run: RunFolder, name: str, key: str, *arguments: Any) -> Path:
    path = run.path / key / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(OUTPUTS[name](*arguments))
    return path


def assert_label(run: RunFolder, key: str, result: Result, stress: bool = True) -> None:
    (frame,) = [f for f in LabelStore(run.labels).frames() if f.key == key]
    atoms = frame.atoms
    assert atoms.info["REF_energy"] == pytest.approx(result.energy, abs=2e-6)
    np.testing.assert_allclose(atoms.arrays["REF_forces"], result.forces, rtol=0, atol=2e-5)
    assert ("REF_stress" in atoms.info) == stress
    if stress:
        voigt = result.stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        np.testing.assert_allclose(atoms.info["REF_stress"], voigt, rtol=0, atol=0.02 * KBAR)


@pytest.mark.parametrize("name", sorted(OUTPUTS))
def test_outputs_label_their_frames_with_the_energy_forces_and_stress_in_them(
    tmp_path: Path, name: str
) -> None:
    """One converged, one not, one of another number of atoms; the second import takes the rest."""
    is_orca = name == "orca.out"
    frames = waters(3) if is_orca else crystals(3)
    run = waiting(tmp_path, frames)
    results = [random_result(len(frames[0]), seed) for seed in range(3)]
    # programs write atoms as they got them; the user's script may have sorted them
    order = np.random.default_rng(5).permutation(len(frames[0]))
    sent = [atoms[order] for atoms in frames]
    there = [Result(r.energy, r.forces[order], r.stress) for r in results]
    larger = sent[0] * (2, 1, 1) if not is_orca else sent[0] + Atoms("H", [[5.0, 0.0, 0.0]])
    files = [
        write_output(run, name, "a", sent[0], there[0]),
        write_output(run, name, "b", sent[1], there[1], False),
        write_output(run, name, "c", larger, random_result(len(larger), 9)),
    ]
    done = import_labels(run.path, files)
    assert (done.labelled, done.failed, done.left) == (1, [], 2), done.refused
    unconverged, other = done.refused if "b/" in done.refused[0] else done.refused[::-1]
    assert str(files[1]) in unconverged
    assert "is not converged" in unconverged
    assert "\n" not in unconverged
    assert other.startswith(f"{files[2]}, structure 0: no structure has ")
    assert_label(run, "0003-00", results[0], stress=not is_orca)
    # the folders of a second import hold the first label again
    files[1:] = [write_output(run, name, "b", sent[1], there[1])]
    files.append(write_output(run, name, "d", sent[2], there[2]))
    assert import_labels(run.path, files) == Imported(2, [], 0, [], known=1)
    for k in (1, 2):
        assert_label(run, f"0003-{k:02d}", results[k], stress=not is_orca)


def test_a_slab_and_a_molecule_come_back_from_a_program_that_is_periodic(tmp_path: Path) -> None:
    """Their labels have no stress, which is that of the vacuum."""
    slab = crystals(1)[0]
    slab.center(vacuum=4.0, axis=2)
    slab.positions[:, 2] -= slab.positions[0, 2] + 0.2  # VASP moves an atom to the other side
    slab.pbc = (True, True, False)
    box = waters(1)[0]
    box.cell = [8.0, 9.0, 10.0]
    frames = [slab, box]
    run = waiting(tmp_path, frames)
    results = [random_result(len(atoms), seed) for seed, atoms in enumerate(frames)]
    files = []
    for k, name in enumerate(("vasprun.xml", "cp2k.out")):
        sent = frames[k].copy()
        sent.pbc = True
        files.append(write_output(run, name, f"{k}", sent, results[k]))
    assert import_labels(run.path, files).labelled == 2
    for k in (0, 1):
        assert_label(run, f"0003-{k:02d}", results[k], stress=False)
    labelled = LabelStore(run.labels).frames()
    assert labelled[0].atoms.pbc.tolist() == [True, True, False]


def test_a_missing_file_is_an_error_before_anything_is_imported(tmp_path: Path) -> None:
    frames = waters(1)
    run = waiting(tmp_path, frames)
    there = write_output(run, "orca.out", "a", frames[0], random_result(3, 0))
    with pytest.raises(UserError, match=r"data file '.*typo' does not exist"):
        import_labels(run.path, [there, tmp_path / "typo"])
    assert LabelStore(run.labels).keys() == set()


def test_cp2k_prints_forces_in_the_table_of_newer_versions_and_other_units_of_stress(
    tmp_path: Path,
) -> None:
    (atoms,), result = crystals(1), random_result(4, 0)
    text = cp2k(atoms, result)
    old = text[text.index(" ATOMIC FORCES") : text.index(" SUM OF")]
    table = [line.split()[3:] for line in old.splitlines()[3:]]
    new = " FORCES| Atomic forces [hartree/bohr]\n FORCES|   Atom     x     y     z     |f|\n"
    new += "".join(
        f" FORCES| {k + 1:6d} {' '.join(f'{float(x):.12E}' for x in row)} 1.0E+00\n"
        for k, row in enumerate(table)
    )
    bars = cp2k(atoms, Result(0.0, result.forces, 1e4 * result.stress))
    stress = bars[bars.index(" STRESS| Ana") :].replace("[GPa]", "[bar]")
    (tmp_path / "new.out").write_text(text[: text.index(" ATOMIC FORCES")] + new + stress)
    (tmp_path / "old.out").write_text(text)
    ((one,), _), ((two,), _) = (read_frames(tmp_path / f"{age}.out") for age in ("old", "new"))
    np.testing.assert_allclose(two.arrays["REF_forces"], one.arrays["REF_forces"], atol=1e-9)
    np.testing.assert_allclose(two.info["REF_stress"], one.info["REF_stress"], rtol=1e-9)


@pytest.mark.parametrize(
    ("periodicity", "pbc"),
    [("XYZ", [True] * 3), ("XY", [True, True, False]), ("NONE", [False] * 3)],
)
def test_an_output_of_cp2k_has_its_periodic_directions(
    tmp_path: Path, periodicity: str, pbc: list[bool]
) -> None:
    (atoms,) = crystals(1)
    text = cp2k(atoms, random_result(4, 0)).replace("XYZ", periodicity)
    (tmp_path / "cp2k.out").write_text(text)
    (read,), _ = read_frames(tmp_path / "cp2k.out")
    assert read.pbc.tolist() == pbc


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ATOMIC COORDINATES IN ANGSTROM", "", "switch on ATOMIC_COORDINATES and CELL"),
        (" ENERGY| Total", " ENERGY:", "printed 0 energies"),
        ("ATOMIC FORCES in [a.u.]", "ATOMIC FORCES in [mN]", "forces in mN"),
        ("tensor [GPa]", "tensor [atm]", "stress in atm"),
    ],
)
def test_an_output_of_cp2k_that_lacks_something_says_what(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    (atoms,) = crystals(1)
    text = cp2k(atoms, random_result(4, 0))
    assert old in text
    (tmp_path / "cp2k.out").write_text(text.replace(old, new))
    with pytest.raises(UserError, match=message):
        read_frames(tmp_path / "cp2k.out")


def test_inputs_that_a_user_changed_stay_and_folders_with_outputs_too(tmp_path: Path) -> None:
    frames = crystals(3)
    run = waiting(tmp_path, frames, **VASP)
    first, second, third = sorted(run.inputs.iterdir())
    assert [path.name for path in (first, second, third)] == ["0003-00", "0003-01", "0003-02"]
    for folder, atoms in zip((first, second, third), frames, strict=True):
        assert sorted(path.name for path in folder.iterdir()) == ["INCAR", "KPOINTS", "POSCAR"]
        written = ase.io.read(folder / "POSCAR")
        np.testing.assert_allclose(
            sorted(written.positions[:, 0]), sorted(atoms.positions[:, 0]), atol=1e-9
        )
    (first / "INCAR").write_text("ALGO = All\n")
    (second / "KPOINTS").unlink()
    (third / "OUTCAR").write_text("of a program")
    config = run.read_config()
    keyed = [(f"0003-{k:02d}", atoms) for k, atoms in enumerate(frames)]
    line = write_frames_to_label(run, keyed, config.reference)
    assert f"3 frames wait for a label: run vasp in {run.inputs / '0003-*'} (each folder" in line
    assert f"`pyubias import {run.path} {run.inputs}/0003-*/vasprun.xml`, then this" in line
    assert (first / "INCAR").read_text() == "ALGO = All\n"
    assert (second / "KPOINTS").is_file()
    said = remove_frames_to_label(run)
    assert "keeps 1 folders with more than inputs" in said
    assert not run.to_label.exists()
    assert sorted(path.name for path in run.inputs.iterdir()) == ["0003-02"]
    assert sorted(path.name for path in third.iterdir()) == [
        "INCAR", "KPOINTS", "OUTCAR", "POSCAR",
    ]  # fmt: skip
    # it is said once, not at each start of the campaign
    assert remove_frames_to_label(run) == ""


def pyubias(folder: Path, *arguments: object, fails: bool = False) -> str:
    command = shared_commands().run(folder, *arguments)
    assert (command.wait() != 0) == fails, command.output
    return command.output


@pytest.mark.law("reference.files.program", "reference.files.arguments")
def test_a_campaign_writes_inputs_and_goes_on_with_the_outputs(tmp_path: Path) -> None:
    changes = {"reference": {"kind": "files", "input": None, **ORCA}, "stop": {"labels": 10}}
    file = tiny(tmp_path, changes)
    run = tmp_path / "runs" / "tiny"
    said = pyubias(tmp_path, "run", file)
    assert f"`pyubias import {run} {run}/to_label/0000-*/orca.out`" in said.replace("\n", " ")
    frames = ase.io.read(run / "to_label.extxyz", index=":")
    assert len(frames) == 10
    for k, atoms in enumerate(frames):
        folder = run / "to_label" / f"0000-{k:02d}"
        assert (folder / "orca.inp").read_text().startswith("! PBE def2-SVP EnGrad")
        (folder / "orca.out").write_text(orca(atoms, random_result(len(atoms), k)))
    files = sorted((run / "to_label").glob("0000-*/orca.out"))
    said = pyubias(tmp_path, "import", run, *files)
    assert "10 labels, 0 failed, 0 refused; 0 frames still wait\nrun the campaign again" in said
    for path in files[1:]:
        path.unlink()
    said = pyubias(tmp_path, "run", file)
    assert "keeps 1 folders with more than inputs" in said
    assert [path.name for path in (run / "to_label").iterdir()] == ["0000-00"]
    assert [r["n_labels"] for r in metrics(run)] == [10]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ({"program": "vasp"}, "vasp needs three cell vectors, and C6H12N2O2 has 0"),
        ({"program": "orca", "arguments": {"charge": 0}}, "orcasimpleinput, which names"),
        ({"arguments": {"encut": 400}}, "arguments are those of a program"),
    ],
)
def test_a_mistake_of_the_inputs_shows_before_anything_runs(
    tmp_path: Path, reference: dict[str, Any], message: str
) -> None:
    assert ALA2.is_dir()
    changes = {"reference": {"kind": "files", "input": None, **reference}}
    said = pyubias(tmp_path, "run", tiny(tmp_path, changes), "--dry-run", fails=True)
    assert message in said.replace("\n", " ")
    assert "Traceback" not in said
    assert not (tmp_path / "runs" / "tiny" / "to_label.extxyz").exists()
