"""Each setting that a campaign passes on arrives where it acts, and makes its difference there.

One campaign runs with an unusual value of every setting, and with spies at the places of use.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from campaigns import ALA2, metrics, tiny
from outcomes import labels, walks_of
from peptide import conformations

from pyubias.analysis.collective_variables import collective_variables, quadtree_coverage
from pyubias.campaign import select_stage, train_stage, walk_task
from pyubias.campaign.loop import run_campaign
from pyubias.campaign.seeds import seed_of
from pyubias.campaign.selection import select
from pyubias.campaign.structures import perturbed
from pyubias.config.loading import load_campaign
from pyubias.config.schema import CampaignConfig
from pyubias.files import read_json
from pyubias.model.archive import load
from pyubias.model.prediction import Model
from pyubias.training.reading import read_frames
from pyubias.training.splits import split_frames

law = pytest.mark.law
UNUSUAL: dict[str, Any] = {
    "name": "un_usual.1",
    "seed": 4,
    "elements": ["O", "N", "H", "C"],
    "start": {"structures": "starts.xyz", "count": 11, "perturb": 0.03},
    "training": {"seed": 10, "validation": 0.2, "calibration": 0.3},
    "uncertainty": {"regularisation": 0.05, "alpha": 0.2},
    "exploration": {"walkers": 3, "every": 2, "variables": {"threshold": [5.0, 1e6, 1e6]}},
    "selection": {"method": "max_dist", "batch_size": 3, "max_pool": 6},
    "stop": {"labels": 16},
}


@dataclass
class Spied:
    """A finished campaign, and what its stages were called with.

    Attributes:
        config: of the campaign.
        folder: its run folder.
        calls: for each function that a stage calls, arguments and result of each call.
        pools: the frames that each selection compared.
    """

    config: CampaignConfig
    folder: Path
    calls: dict[str, list[tuple[tuple[Any, ...], dict[str, Any], Any]]]
    pools: list[list[Atoms]]


@pytest.fixture(scope="module")
def spied(tmp_path_factory: pytest.TempPathFactory) -> Spied:
    """The campaign with unusual settings, from two start structures."""
    folder = tmp_path_factory.mktemp("spied")
    start = ase.io.read(ALA2 / "c7eq.xyz")
    ase.io.write(folder / "starts.xyz", [start, *conformations(start, 1)])
    config = load_campaign(tiny(folder, UNUSUAL))
    calls: dict[str, list[tuple[tuple[Any, ...], dict[str, Any], Any]]] = defaultdict(list)
    pools: list[list[Atoms]] = []
    mean_features = Model.mean_features

    def watch(module: Any, name: str) -> Any:
        original = getattr(module, name)

        def spy(*arguments: Any, **options: Any) -> Any:
            result = original(*arguments, **options)
            calls[name].append((arguments, options, result))
            return result

        return mock.patch.object(module, name, spy)

    def features(model: Model, frames: list[Atoms]) -> Any:
        if "timestep" in frames[0].info:
            pools.append(frames)
        return mean_features(model, frames)

    with (
        watch(train_stage, "train"),
        watch(walk_task, "run_walker"),
        watch(select_stage, "select"),
        watch(select_stage, "split_frames"),
        mock.patch.object(Model, "mean_features", features),
    ):
        run_folder = run_campaign(config, folder / "runs")
    return Spied(config, run_folder, calls, pools)


@law("name")
def test_the_run_folder_has_the_name_of_the_campaign(spied: Spied) -> None:
    assert spied.folder.parent.name == "runs"
    assert spied.folder.name == "un_usual.1"


@law("elements")
def test_models_have_the_elements_in_their_order(spied: Spied, uninterrupted: Path) -> None:
    assert load(spied.folder / "model.pt")[1].elements == ["O", "N", "H", "C"]
    assert load(uninterrupted / "model.pt")[1].elements == ["C", "H", "N", "O"]
    for arguments, _, _ in spied.calls["run_walker"]:
        assert arguments[3] == ["O", "N", "H", "C"]


@law("start.structures", "start.count", "start.perturb")
def test_the_first_labels_are_perturbed_copies_of_the_start_structures(spied: Spied) -> None:
    first = [f.atoms for f in labels(spied.folder) if f.iteration == 0]
    assert len(first) == 11
    starts = ase.io.read(spied.config.start.structures, index=":")
    shifts = [np.abs(atoms.positions - starts[k % 2].positions) for k, atoms in enumerate(first)]
    assert all(0.025 < shift.max() <= 0.03 for shift in shifts)
    assert len({shift.max() for shift in shifts}) == 11


@law("seed")
def test_another_seed_perturbs_the_start_structures_otherwise(spied: Spied) -> None:
    starts = ase.io.read(spied.config.start.structures, index=":")
    first, again, other = (
        perturbed(starts, spied.config.model_copy(update={"seed": seed}))[0].positions
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


@law("start.strain")
def test_copies_of_periodic_structures_are_strained_by_no_more_than_asked_for(
    spied: Spied,
) -> None:
    def strains(strain: float) -> np.ndarray:
        start = spied.config.start.model_copy(update={"strain": strain, "perturb": 0.0})
        copies = perturbed(
            [bulk("Cu", cubic=True)], spied.config.model_copy(update={"start": start})
        )
        found = [np.linalg.solve(bulk("Cu", cubic=True).cell.array, a.cell.array) for a in copies]
        return np.array(found) - np.eye(3)

    assert np.abs(strains(0.0)).max() < 1e-12
    found = strains(0.1)
    assert 0.08 < np.abs(found).max() <= 0.1
    np.testing.assert_allclose(found, found.transpose(0, 2, 1), atol=1e-12)


def test_stages_get_the_sections_of_the_file(spied: Spied) -> None:
    config = spied.config
    for arguments, options, _ in spied.calls["train"]:
        frames, model, training, uncertainty = arguments
        assert (model, uncertainty) == (config.model, config.uncertainty)
        assert training == config.training.model_copy(update={"seed": 14})
        assert options["elements"] == config.elements
        assert len(frames) == len(options["splits"])
    assert [len(a[0]) for a, _, _ in spied.calls["train"]] == [11, 14, 16, 16]
    finish = [options["finish"] for _, options, _ in spied.calls["train"]]
    assert finish == [None, None, None, config.finish]
    assert all(arguments[0] == config.exploration for arguments, _, _ in spied.calls["run_walker"])


@law("seed", "training.seed")
def test_every_walker_of_every_iteration_and_campaign_has_a_seed_of_its_own(
    spied: Spied, uninterrupted: Path
) -> None:
    seeds = [arguments[5] for arguments, _, _ in spied.calls["run_walker"]]
    seeds += [options["seed"] for _, options, _ in spied.calls["select"]]
    assert len(seeds) == 2 * 3 + 2
    assert len(set(seeds)) == len(seeds)
    assert all(1 <= seed < 2**31 for seed in seeds)
    other = {seed_of(3, iteration, k) for iteration in (0, 1) for k in (0, 1, 10**6)}
    assert not other & set(seeds)
    # and the copies of the start structures are others in another campaign
    ours, theirs = (labels(folder)[0].atoms for folder in (spied.folder, uninterrupted))
    assert np.abs(ours.positions - theirs.positions).max() > 1e-3


@law("training.validation", "training.calibration")
def test_new_labels_are_split_by_the_fractions_of_the_file(spied: Spied) -> None:
    frames = labels(spied.folder)
    for iteration, n_before, n in ((0, 0, 11), (1, 11, 3), (2, 14, 2)):
        found = [f.split for f in frames if f.iteration == iteration]
        calibration = 0.0 if iteration else 0.3
        assert found == split_frames(n, 0.2, calibration, 4, n_before=n_before)
    counts = [sum(f.split == s for f in frames) for s in ("train", "validation", "calibration")]
    assert counts == [10, 3, 3]


@law("exploration.walkers")
def test_an_iteration_has_the_walkers_asked_for(spied: Spied) -> None:
    for iteration in (0, 1):
        assert [a[1] for a, _, _ in spied.calls["run_walker"]][3 * iteration :][:3] == [0, 1, 2]
        assert len(walks_of(spied.folder, iteration)) == 3


@law("selection.method", "selection.batch_size")
def test_a_batch_is_what_the_method_picks_from_the_pool(spied: Spied) -> None:
    frames = labels(spied.folder)
    as_others = []
    for iteration, (pool, size) in enumerate(zip(spied.pools, (3, 2), strict=True)):
        model = Model(spied.folder / "iterations" / f"{iteration:04d}" / "model.pt")
        known = [f.atoms for f in frames if f.iteration <= iteration]
        features = model.mean_features(pool), model.mean_features(known)
        wanted = select("max_dist", *features, size)
        new = [f.atoms for f in frames if f.iteration == iteration + 1]
        assert len(new) == len(wanted) == size
        for atoms, k in zip(new, wanted, strict=True):
            np.testing.assert_allclose(atoms.positions, pool[k].positions, rtol=0, atol=1e-8)
        others = [select(m, *features, size).tolist() for m in ("random", "max_det", "max_diag")]
        as_others.append(wanted.tolist() in others)
    assert not all(as_others), "other methods must pick others for this test"


@law("uncertainty.regularisation")
def test_a_selection_regularises_its_kernel_as_the_uncertainty_does(spied: Spied) -> None:
    assert {options["regularisation"] for _, options, _ in spied.calls["select"]} == {0.05}


@law("selection.max_pool")
def test_a_pool_is_thinned_evenly_and_keeps_the_frames_that_crossed(spied: Spied) -> None:
    for iteration, pool in enumerate(spied.pools):
        walks = walks_of(spied.folder, iteration)
        stride = -(-sum(len(w.positions) for w in walks) // 6)
        assert stride > 1
        assert walks[0].crossed
        last = int(walks[0].timesteps[-1])
        wanted = [
            (k, int(t))
            for k, walk in enumerate(walks)
            for i, t in enumerate(walk.timesteps)
            if i % stride == 0 or (walk.crossed and i == len(walk.timesteps) - 1)
        ]
        assert [(a.info["walker"], a.info["timestep"]) for a in pool] == wanted
        assert (0, last) in wanted
    crossing = [w for it in (0, 1) for w in walks_of(spied.folder, it)[:1]]
    # at least once, only the rule for crossing frames keeps it
    strides = [-(-sum(len(w.positions) for w in walks_of(spied.folder, it)) // 6) for it in (0, 1)]
    assert any((len(w.timesteps) - 1) % stride for w, stride in zip(crossing, strides, strict=True))


@law("evaluation.test")
def test_errors_of_a_record_are_those_on_the_test_set(spied: Spied) -> None:
    frames = read_frames(spied.config.evaluation.test)[0]
    for iteration, record in enumerate(metrics(spied.folder)):
        model = Model(spied.folder / "iterations" / f"{iteration:04d}" / "model.pt")
        found = model.predict(frames)
        energy = [
            (p.energy - a.info["REF_energy"]) / len(a) for a, p in zip(frames, found, strict=True)
        ]
        forces = [p.forces - a.arrays["REF_forces"] for a, p in zip(frames, found, strict=True)]
        assert record["energy_rmse"] == pytest.approx(np.sqrt(np.mean(np.square(energy))))
        assert record["forces_rmse"] == pytest.approx(np.sqrt(np.mean(np.square(forces))))


def covered(model: Model, frames: list[Atoms]) -> tuple[float, float]:
    """Fractions of atoms and of structures whose errors are below their uncertainties."""
    atoms, structures = [], []
    for frame, predicted in zip(frames, model.predict(frames), strict=True):
        errors = np.sqrt(np.mean((predicted.forces - frame.arrays["REF_forces"]) ** 2, axis=1))
        atoms += (errors <= predicted.atomic_uncertainty).tolist()
        error = abs(predicted.energy - frame.info["REF_energy"]) / len(frame)
        structures.append(bool(error <= predicted.total_uncertainty))
    return float(np.mean(atoms)), float(np.mean(structures))


@law("uncertainty.alpha")
def test_coverage_of_the_next_batch_is_that_of_labels_the_model_has_not_seen(
    spied: Spied,
) -> None:
    frames, records = labels(spied.folder), metrics(spied.folder)
    for iteration in (0, 1):
        model = Model(spied.folder / "iterations" / f"{iteration:04d}" / "model.pt")
        of_next = covered(model, [f.atoms for f in frames if f.iteration == iteration + 1])
        record = records[iteration]
        found = record["conformal_coverage"], record["conformal_coverage_total"]
        assert found == pytest.approx(of_next)
        known = covered(model, [f.atoms for f in frames if f.iteration <= iteration])
        assert found[0] != pytest.approx(known[0]), "the two sets must differ for this test"
        calibration = [f.atoms for f in frames if f.split == "calibration"]
        batches = [f for f in frames if 0 < f.iteration <= iteration]
        assert record["n_calibration"] == len(calibration) + len(batches)
        if not batches:
            # the uncertainties are calibrated: they cover the frames that calibrated them
            assert covered(model, calibration)[0] == pytest.approx(0.8, abs=0.02)
    assert records[-1]["conformal_coverage"] is None


@law("evaluation.collective_variables.range")
def test_coverage_is_that_of_the_ranges_of_the_variables(spied: Spied) -> None:
    walks = [w for iteration in (0, 1) for w in walks_of(spied.folder, iteration)]
    frames = [atoms for walk in walks for atoms in walk.frames()]
    variables = spied.config.evaluation.collective_variables
    points = collective_variables(frames, variables)
    wanted = quadtree_coverage(points, [v.bounds for v in variables])
    assert metrics(spied.folder)[-1]["coverage"] == pytest.approx(wanted)
    near = variables[0].model_copy(update={"range": (-100.0, -60.0)})
    assert variables[0].bounds == (-180.0, 180.0)
    assert near.bounds == (-100.0, -60.0)
    assert quadtree_coverage(points, [near.bounds, variables[1].bounds]) != pytest.approx(wanted)


def test_the_settings_are_kept_beside_the_results(spied: Spied) -> None:
    assert read_json(spied.folder / "config.json") == spied.config.model_dump(mode="json")
