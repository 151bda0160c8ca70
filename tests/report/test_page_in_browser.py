"""The report in a real browser: nothing fails, nothing is cut off, and the view can be turned."""

import html
import re
from pathlib import Path
from typing import Any

import pytest
from browser import look_at, needs_browser
from campaigns import tiny

from pyubias.campaign.label_store import LabelStore
from pyubias.campaign.loop import run_campaign
from pyubias.config.loading import load_campaign
from pyubias.report.campaign import write_report
from pyubias.report.html import _environment

EVIL = "<img src=x onerror=\"problems.push('ran')\"></script>"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a campaign with a control arm; a label fails with an evil reason."""
    folder = tmp_path_factory.mktemp("page")
    changes = {"stop": {"labels": 14}, "control": {"exploration": {"tau": 0.0}}}
    config = load_campaign(tiny(folder, changes))
    run_folder = run_campaign(config, folder / "runs")
    store = LabelStore(run_folder / "labels.db")
    atoms = store.frames()[0].atoms
    atoms.info |= {"iteration": 1, "walker": 0, "split": "train", "timestep": 5}
    store.add("0001-99", atoms, None, EVIL)
    variables = config.evaluation.collective_variables
    renamed = [variables[0].model_copy(update={"name": "<b>phi"}), *variables[1:]]
    evaluation = config.evaluation.model_copy(update={"collective_variables": renamed})
    write_report(config.model_copy(update={"evaluation": evaluation}), run_folder)
    return run_folder / "report.html"


@needs_browser
def test_every_picture_is_there_and_the_page_is_no_wider_than_a_window(page: Path) -> None:
    found = look_at(
        page,
        """return {
          pictures: [...document.images].map(function (i) { return i.complete && i.naturalWidth; }),
          window: innerWidth, page: document.documentElement.scrollWidth,
          wide: [...document.querySelectorAll("table, .picture, dl, .viewer")].filter(
            function (e) { return e.scrollWidth > e.clientWidth + 1; }).map(
            function (e) { return e.outerHTML.slice(0, 80); }),
        };""",
    )
    assert len(found["pictures"]) >= 7
    assert all(width > 100 for width in found["pictures"])
    assert found["page"] == found["window"] == 1000
    assert found["wide"] == []


@needs_browser
def test_the_structure_turns_zooms_and_changes(page: Path) -> None:
    found = look_at(
        page,
        """
        const canvas = document.querySelector("canvas");
        const choice = document.querySelector("select"), about = document.querySelector(".about");
        const inked = function () { // pixels of atoms and bonds, as a part of all
          const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
          copy.drawImage(canvas, 0, 0);
          const pixels = copy.getImageData(0, 0, canvas.width, canvas.height).data;
          let n = 0;
          for (let k = 3; k < pixels.length; k += 4) if (pixels[k]) n++;
          return n / (pixels.length / 4);
        };
        const states = [];
        const keep = async function () {
          await frames();
          states.push([canvas.toDataURL(), inked(), choice.value, about.textContent]);
        };
        await keep();
        canvas.dispatchEvent(new PointerEvent("pointermove", { buttons: 1, movementX: 60 }));
        await keep();
        canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: -400 }));
        await keep();
        canvas.dispatchEvent(new MouseEvent("dblclick"));
        await keep();
        choice.value = 3;
        choice.dispatchEvent(new Event("change"));
        await keep();
        document.querySelector(".next").click();
        await keep();
        document.querySelector(".back").click();
        document.querySelector(".back").click();
        await keep();
        return {
          states: states, last: choice.options.length - 1,
          legend: document.querySelector(".legend").textContent,
          groups: [...document.querySelectorAll("optgroup")].map(function (g) { return g.label; }),
        };""",
    )
    pictures, inked, chosen, about = zip(*found["states"], strict=True)
    assert 0.005 < inked[0] < 0.5
    assert pictures[1] != pictures[0], "it turns"
    assert inked[2] > 1.5 * inked[1], "the wheel zooms"
    assert pictures[3] == pictures[1], "a double click goes back to the first zoom"
    assert [int(k) for k in chosen] == [found["last"]] * 4 + [3, 4, 2]
    assert len(set(pictures[3:])) == 4
    assert all("22 atoms" in text for text in about)
    assert sorted(re.findall("[A-Z]", found["legend"])) == ["C", "H", "N", "O"]
    assert found["groups"][0] == "biased, iteration 0"
    assert found["groups"][-1].startswith("unbiased, iteration ")


def page_with_view(structures: dict[str, Any]) -> str:
    """A page with nothing but the view."""
    source = """{% extends "report/templates/page.html" %}
      {% from "report/templates/viewer.html" import viewer, viewer_scripts %}
      {% block content %}{{ viewer(structures) }}{% endblock %}
      {% block scripts %}{{ viewer_scripts(structures) }}{% endblock %}"""
    return _environment().from_string(source).render(title="view", structures=structures)


@needs_browser
def test_a_drag_to_the_right_moves_what_is_in_front_to_the_right(tmp_path: Path) -> None:
    """An atom in front of another one: the mouse over it tells which one it is."""
    element = {"symbol": "C", "color": "#909090", "radius": 0.76}
    frame = {
        "group": "one",
        "name": "one",
        "about": "Two atoms.",
        "numbers": [6, 6],
        "positions": [0, 0, 4, 0, 0, -4],
        "cell": None,
    }
    data = {"elements": {6: element}, "frames": [frame], "n_frames": 1}
    page = tmp_path / "view.html"
    page.write_text(page_with_view(data), encoding="utf-8")
    places = look_at(
        page,
        """
        const canvas = document.querySelector("canvas"), box = canvas.getBoundingClientRect();
        const find = function () { // the mean place of the mouse over each atom
          const found = {};
          for (let x = 0; x < box.width; x += 4) for (let y = 0; y < box.height; y += 4) {
            canvas.dispatchEvent(new PointerEvent("pointermove",
              { clientX: box.left + x, clientY: box.top + y }));
            if (canvas.title) (found[canvas.title] ||= []).push([x, y]);
          }
          return Object.entries(found).map(function ([name, all]) {
            const mean = function (d) {
              return all.reduce(function (sum, p) { return sum + p[d]; }, 0) / all.length;
            };
            return [name, mean(0), mean(1), all.length];
          }).sort();
        };
        const before = find();
        canvas.dispatchEvent(new PointerEvent("pointermove", { buttons: 1, movementX: 50 }));
        await frames();
        return [before, find()];""",
    )
    (first, second), (first_then, second_then) = places
    assert (first[0], second[0]) == ("C, atom 1", "C, atom 2")
    assert first[3] > second[3], "what is near is larger"
    assert first_then[1] > first[1] + 20
    assert second_then[1] < second[1] - 20


@needs_browser
def test_the_mouse_over_a_point_of_a_curve_shows_its_values(page: Path) -> None:
    found = look_at(
        page,
        """
        const picture = document.querySelector(".picture"), box = picture.getBoundingClientRect();
        const point = JSON.parse(picture.dataset.points)[1];
        const move = function (dx) {
          picture.dispatchEvent(new MouseEvent("mousemove", {
            clientX: box.left + point[0] * box.width + dx, clientY: box.top + point[1] * box.height,
          }));
          const tip = picture.querySelector(".tip"), mark = picture.querySelector(".mark");
          return tip && [tip.textContent, mark.getBoundingClientRect().left + 5.5 - box.left,
                         tip.getBoundingClientRect().right <= box.right];
        };
        const there = move(3);
        const far = picture.querySelector(".tip") && move(-5000);
        return [there, far, point, box.width, picture.querySelector(".tip")];""",
    )
    (text, left, inside), far, point, width, after = found
    assert text == point[2]
    assert text.startswith("biased\nlabels: ")
    assert "coverage" in text
    assert left == pytest.approx(point[0] * width, abs=2.0)
    assert inside
    assert far is None
    assert after is None


@needs_browser
def test_text_of_users_is_text(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert EVIL not in text
    found = look_at(
        page,
        """
        const choice = document.querySelector("select");
        choice.value = [...choice.options].findIndex(
          function (o) { return o.textContent.startsWith("0001-99"); });
        choice.dispatchEvent(new Event("change"));
        await frames();
        return [document.querySelector(".about").textContent, document.body.textContent];""",
    )
    assert EVIL in found[0]
    assert f"biased 0001-99: {EVIL}" in found[1]


def test_text_of_users_is_escaped(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "<img src=x" not in text
    assert (
        f"<li>biased 0001-99: {html.escape(EVIL, quote=True)}".replace("&quot;", "&#34;").replace(
            "&#x27;", "&#39;"
        )
        in text
    )


@needs_browser
def test_the_browser_tells_what_is_wrong(tmp_path: Path) -> None:
    """The other tests would pass on a page that is broken if this one did not hold."""
    page = tmp_path / "broken.html"
    for fault in (
        "<script>nothing.here()</script>",
        "<img src='data:image/png;base64,AAAA'>",
        "<script>console.error('bad')</script>",
    ):
        page.write_text(f"<html><head></head><body>{fault}</body></html>")
        with pytest.raises(AssertionError, match=r"not loaded|nothing|bad"):
            look_at(page, "return 1;")
