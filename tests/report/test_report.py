"""The report is one file that needs no other, and its numbers are those of the walkers."""

import base64
import html
import re
import shutil
from html.parser import HTMLParser
from importlib import metadata
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase.build import molecule
from campaigns import WALKER, tiny
from outcomes import bias_factors, labels, log_of

from pyubias.analysis.collective_variables import collective_variables, quadtree_coverage
from pyubias.analysis.residuals import evaluate
from pyubias.campaign.arms import arms_of
from pyubias.campaign.loop import run_campaign
from pyubias.config.loading import load_campaign
from pyubias.config.schema import CampaignConfig
from pyubias.lammps.walk import load_walks
from pyubias.model.prediction import Model
from pyubias.report import campaign, figures
from pyubias.report.arm_result import collect
from pyubias.report.campaign import write_report
from pyubias.report.overview import facts
from pyubias.training.reading import read_frames

LINKS = [
    *("model.pt", "labels.db", "log.txt", "config.json"),
    *("control/model.pt", "control/labels.db"),
]
SECTIONS = [
    "Learning",
    "What the walkers visited",
    "How long the walkers ran",
    "Labelled structures",
    "Model against reference",
    "Predicted uncertainty against true error",
    "Calibration checked on fresh labels",
    "Time per stage",
    "Failed labels",
    "Settings",
]


class Page(HTMLParser):
    """What a browser would load, and what a reader would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.headings: list[str] = []
        self.captions: list[str] = []
        self.cells: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        if not data.strip():
            return
        if self.tags[-1:] == ["h2"]:
            self.headings.append(data)
        if self.tags[-1:] == ["figcaption"]:
            self.captions.append(data.strip())
        if self.tags[-1:] in (["td"], ["th"]):
            self.cells.append(data)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[CampaignConfig, Path]:
    """A campaign with a control arm that differs from the first step on; some labels fail."""
    folder = tmp_path_factory.mktemp("report")
    changes = {
        "stop": {"labels": 12},
        "reference": {"max_force": 8.0},
        "control": {"exploration": {"tau": 0.0, "variables": {"temperature": 20.0}}},
    }
    config = load_campaign(tiny(folder, changes))
    run_folder = run_campaign(config, folder / "runs")
    write_report(config, run_folder)
    return config, run_folder


def test_the_campaign_is_biased_crosses_and_fails_labels_and_its_control_is_not_biased(
    finished: tuple[CampaignConfig, Path],
) -> None:
    main, control = results(finished)
    assert max(bias_factors(log_of(finished[1], 0, 1))) > 0.0
    assert bias_factors(log_of(finished[1] / "control", 0, 1)) == []
    assert main.records[0].walkers_crossed == 1
    assert all(result.records[-1].n_failed_labels > 0 for result in (main, control))
    assert main.records[-1].n_labels > main.records[0].n_labels


def test_parity_and_uncertainty_are_those_of_the_final_model_on_the_test_set(
    finished: tuple[CampaignConfig, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, tuple[Any, ...]] = {}
    for name in ("parity_figure", "uncertainty_figure"):
        original = getattr(figures, name)
        monkeypatch.setattr(
            figures,
            name,
            lambda *numbers, name=name, original=original: (
                drawn.update({name: numbers}) or original(*numbers)
            ),
        )
    config, folder = finished
    write_report(config, folder)
    frames = read_frames(config.evaluation.test)[0]
    predictions = Model(folder / "model.pt").predict(frames)
    true, predicted = drawn["parity_figure"]
    np.testing.assert_allclose(true["energy"], [a.info["REF_energy"] / len(a) for a in frames])
    np.testing.assert_allclose(
        predicted["energy"], [p.energy / len(a) for a, p in zip(frames, predictions, strict=True)]
    )
    np.testing.assert_allclose(
        true["forces"], np.concatenate([a.arrays["REF_forces"].ravel() for a in frames])
    )
    np.testing.assert_allclose(
        predicted["forces"], np.concatenate([p.forces.ravel() for p in predictions]), atol=1e-12
    )
    (residuals,) = drawn["uncertainty_figure"]
    np.testing.assert_allclose(
        residuals.total_uncertainty, [p.total_uncertainty for p in predictions]
    )


def test_the_summary_is_of_the_last_records(finished: tuple[CampaignConfig, Path]) -> None:
    both = results(finished)
    header, *rows = campaign.summary_rows(both)
    for row, result in zip(rows, both, strict=True):
        cells = dict(zip(header, row, strict=True))
        first, last = result.records[0], result.records[-1]
        assert cells["labels"] == str(last.n_labels)
        assert cells["E RMSE meV/atom"] == f"{1e3 * last.energy_rmse:.2f}"
        assert cells["F RMSE meV/Å"] == f"{1e3 * last.forces_rmse:.1f}"
        assert cells["F RMSE meV/Å"] != f"{1e3 * first.forces_rmse:.1f}"
        assert cells["MD steps"] == f"{last.md_steps:,}"
        found = [r.conformal_coverage for r in result.records if r.conformal_coverage is not None]
        assert cells["next-batch calibration"] == f"{np.mean(found):.3f}"
    assert dict(facts(both))["Last training, biased"].endswith(" s")


def test_the_report_is_one_file_that_loads_nothing(
    finished: tuple[CampaignConfig, Path],
) -> None:
    text = (finished[1] / "report.html").read_text()
    page = Page(text)
    assert not {"link", "iframe", "object"} & set(page.tags)
    assert not re.search(r"https?://|@import|url\(|<script[^>]*src", text)
    assert "default-src 'none'" in text  # a browser would refuse the rest
    pictures = [source for source in page.sources if source not in LINKS]
    assert len(pictures) >= 6
    for source in pictures:
        head, _, data = source.partition(",")
        assert head == "data:image/svg+xml;base64"
        assert b"<svg" in base64.b64decode(data, validate=True)[:1000]


def test_the_report_leads_to_the_model_the_log_and_the_labels(
    finished: tuple[CampaignConfig, Path],
) -> None:
    _, folder = finished
    page = (folder / "report.html").read_text()
    links = re.findall(r'<a href="([^"]+)"', page)
    assert links == LINKS
    assert all((folder / link).is_file() for link in links)
    assert f"<code>pyubias labels {folder} -o data.extxyz</code>" in page


def test_the_report_has_its_sections_and_names_both_arms(
    finished: tuple[CampaignConfig, Path],
) -> None:
    page = Page((finished[1] / "report.html").read_text())
    failed = sum(result.records[-1].n_failed_labels for result in results(finished))
    assert failed > 0
    assert page.headings == SECTIONS
    pictures = page.tags.count("img") + page.tags.count("canvas")
    assert page.tags.count("figure") == len(page.captions) == pictures
    assert all(caption.endswith(".") for caption in page.captions)
    assert {"biased", "unbiased"} <= set(page.cells)


def results(finished: tuple[CampaignConfig, Path]) -> list:
    config, folder = finished
    return [collect(arm) for arm in arms_of(config, folder)]


def test_coverage_is_that_of_all_frames_the_walkers_wrote(
    finished: tuple[CampaignConfig, Path],
) -> None:
    config, _ = finished
    variables = config.evaluation.collective_variables
    cells = Page((finished[1] / "report.html").read_text()).cells
    for result in results(finished):
        frames = [
            atoms
            for iteration in result.arm.folder.iterations()
            for walk in load_walks(iteration.walkers)
            for atoms in walk.frames()
        ]
        visited = collective_variables(frames, variables)
        coverage = quadtree_coverage(visited, [(-180, 180), (-180, 180)])
        assert result.coverage() == pytest.approx(coverage, abs=1e-12)
        assert result.records[-1].coverage == pytest.approx(coverage, abs=1e-12)
        assert f"{coverage:.3f}" in cells
        np.testing.assert_allclose(np.sort(result.visited(), 0), np.sort(visited, 0))


def test_arms_are_compared_at_the_same_number_of_steps(
    finished: tuple[CampaignConfig, Path],
) -> None:
    both = results(finished)
    common = min(r.steps for r in both)
    for result in both:
        assert result.steps == result.records[-1].md_steps
        within = result.visited(common)
        assert len(within) <= len(result.visited())
        if result.steps == common:
            assert len(within) == len(result.visited())
        assert result.coverage(common) <= result.coverage() + 1e-12
        assert len(result.visited(0)) <= result.arm.config.exploration.walkers
    cells = Page((finished[1] / "report.html").read_text()).cells
    assert f"coverage at {common:,} steps" in cells


def test_failed_labels_are_listed_with_their_reasons(
    finished: tuple[CampaignConfig, Path],
) -> None:
    text = (finished[1] / "report.html").read_text()
    listed = [line for line in text.split("<li>") if "is above the limit of 8</li>" in line]
    folders = (finished[1], finished[1] / "control")
    n_failed = sum(frame.failed for folder in folders for frame in labels(folder))
    assert len(listed) == n_failed > 0
    failed = [frame.key for frame in labels(folders[1]) if frame.failed]
    assert [key for key in failed if not any(f"unbiased {key}: " in line for line in listed)] == []


def test_a_report_needs_no_test_set_and_no_collective_variables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {
        "name": "a-b.c_1",
        "stop": {"labels": 10},
        "evaluation": {"test": None, "collective_variables": None},
    }
    config = load_campaign(tiny(tmp_path, changes))
    folder = run_campaign(config, tmp_path)
    write_report(config, folder)
    page = Page((folder / "report.html").read_text())
    wanted = {
        "Parity": 0,
        "What the walkers visited": 0,
        "Learning": 1,
        "Model against reference": 1,
    }
    assert {name: page.headings.count(name) for name in wanted} == wanted
    assert "–" not in page.cells
    assert not any("coverage" in cell for cell in page.cells)
    cells = dict(zip(page.cells[::2], page.cells[1::2], strict=False))
    unseen = [f.atoms for f in labels(folder) if f.split == "validation" and not f.failed]
    errors = evaluate(Model(folder / "iterations" / "0000" / "model.pt"), unseen)
    assert cells["E RMSE meV/atom, validation"] == f"{1e3 * errors['energy_rmse']:.2f}"
    assert cells["F RMSE meV/Å, validation"] == f"{1e3 * errors['forces_rmse']:.1f}"
    text = (folder / "report.html").read_text()
    assert "There is no test set: labels of the validation split stand in" in text
    assert f"report: {folder / 'report.html'}" in capsys.readouterr().out


def test_molecules_are_counted_where_there_is_more_than_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rdkit")
    ase.io.write(tmp_path / "two.xyz", [molecule("H2O"), molecule("CH4")])
    changes = {
        "start": {"structures": "two.xyz", "count": 9},
        "reference": {"kind": "ase", "calculator": "ase.calculators.emt.EMT", "input": None},
        "selection": {"per_molecule": 2},
        "stop": {"labels": 9},
        "evaluation": {"test": None, "collective_variables": None},
    }
    config = load_campaign(tiny(tmp_path, changes))
    folder = run_campaign(config, tmp_path)
    write_report(config, folder)
    cells = Page((folder / "report.html").read_text()).cells
    assert cells[::2][:4] == ["arm", "labels", "molecules", "labels per molecule"]
    assert {"9", "2", "4.5"} <= set(cells)
    assert "labels per molecule" in capsys.readouterr().out


def test_the_report_tells_what_the_campaign_was(finished: tuple[CampaignConfig, Path]) -> None:
    config, folder = finished
    text = html.unescape((folder / "report.html").read_text())
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text))
    n = len(results(finished)[0].records)
    assert facts["State"] == f"complete, after {n} iterations"
    assert facts["Structures"] == "C H N O, 22 atoms"
    assert facts["Reference"] == f"LAMMPS, {config.reference.input}"
    assert facts["Potential"] == "Gaussian-moment neural network, cutoff 4 Å"
    assert facts["Walkers, biased"].startswith("2 in each iteration, up to 20 steps, biased")
    assert "without bias" in facts["Walkers, unbiased"]
    assert facts["Seed"] == "3"
    versions = {name: metadata.version(name) for name in ("pyubias", "torch")}
    for name, version in versions.items():
        assert f"{name} {version}" in facts["Versions"]
    log = next(folder.glob("iterations/*/walkers/*/log.lammps")).read_text()
    assert facts["Versions"].endswith(f"LAMMPS {log[8 : log.index(')')]}")


def test_settings_are_those_that_are_not_at_their_defaults_and_what_the_control_differs_in(
    finished: tuple[CampaignConfig, Path],
) -> None:
    _, folder = finished
    text = html.unescape((folder / "report.html").read_text())
    table = text[text.index('<table class="settings">') :]
    rows = re.findall(r"<td>(.*?)</td><td>(.*?)</td><td>(.*?)</td>", table)
    shown = {key: (main, control) for key, main, control in rows}
    assert shown["exploration.tau"] == ("0.25", "0.0")
    assert shown["exploration.variables.temperature"] == ("null", "20.0")
    assert shown["training.epochs"] == ("6", "")
    assert shown["elements"] == ("[C, H, N, O]", "")
    assert shown["evaluation.collective_variables"][0].startswith("[{name: phi, dihedral: [5, 7,")
    assert not {"training.batch_size", "exploration.threshold", "name"} & set(shown)


def test_the_table_on_the_terminal_fits_80_columns(
    finished: tuple[CampaignConfig, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_report(*finished)
    lines = capsys.readouterr().out.splitlines()
    table = [line for line in lines if line[:1] in "┏┃┡│└"]
    assert len(table) > 9
    assert max(map(len, table)) <= 80
    assert not any("…" in line for line in table)


def test_times_of_walks_are_in_ps(finished: tuple[CampaignConfig, Path]) -> None:
    main, control = results(finished)
    walks = [w for r in (main, control) for walkers in r.walks for w in walkers]
    script = WALKER.read_text()
    wanted = float(re.search(r"^timestep\s+(\S+)", script, re.MULTILINE)[1])
    assert {w.time_step for w in walks} == {wanted}
    header, *rows = campaign.summary_rows([main, control])
    for row, result in zip(rows, (main, control), strict=True):
        cells = dict(zip(header, row, strict=True))
        assert cells["simulated ps"] == f"{result.steps * wanted:.4g}"
    text = (finished[1] / "report.html").read_text()
    assert "length of a walk (ps)" in html.unescape(text)


def test_a_test_set_that_is_gone_leaves_a_report_that_says_so(
    finished: tuple[CampaignConfig, Path], tmp_path: Path
) -> None:
    config, folder = finished
    shutil.copytree(folder, tmp_path / "run")
    gone = config.evaluation.model_copy(update={"test": tmp_path / "gone.extxyz"})
    config = config.model_copy(update={"evaluation": gone, "control": None})
    write_report(config, tmp_path / "run")
    text = (tmp_path / "run" / "report.html").read_text()
    assert f"The test set {tmp_path}/gone.extxyz is not there any more" in text
    assert "Model against reference" in text
