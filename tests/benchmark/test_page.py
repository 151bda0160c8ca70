"""The page of a benchmark, and what goes to the terminal."""

from pathlib import Path

import pytest
from made_up import benchmark, result

from pyubias.benchmark.page import print_results, write_page
from pyubias.benchmark.results import Result
from pyubias.config.benchmark import Benchmark
from pyubias.errors import UserError

BEGIN, END = "<!-- pyubias benchmark bench: begin -->", "<!-- pyubias benchmark bench: end -->"
BETTER = {"biased": (0.4, 0.2, 0.1), "unbiased": (0.8, 0.4, 0.2)}


@pytest.fixture
def made_up(tmp_path: Path) -> Benchmark:
    return benchmark(tmp_path, systems={"dipeptide": {"title": "alanine dipeptide", "labels": 32}})


def results(made_up: Benchmark) -> list[Result]:
    factors = {1: 0.9, 2: 1.1}
    return [
        result(
            c,
            [factors[c.seed] * x for x in BETTER[c.arm]],
            finished=(0.05 * c.seed * BETTER[c.arm][0] ** 2,),
        )
        for c in made_up.campaigns
    ]


def test_prose_around_the_tables_stays(made_up: Benchmark, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"Mine.\n\n{BEGIN}\nold\n{END}\n\nThe end.\n")
    write_page(made_up.config, results(made_up), page)
    text = page.read_text()
    assert text.startswith(f"Mine.\n\n{BEGIN}\n")
    assert text.endswith(f"{END}\n\nThe end.\n")
    assert "old" not in text
    assert (tmp_path / "bench.png").stat().st_size > 5000
    write_page(made_up.config, results(made_up), page)
    assert page.read_text() == text


def test_the_page_has_the_numbers(made_up: Benchmark, tmp_path: Path) -> None:
    write_page(made_up.config, results(made_up), tmp_path / "new.md")
    lines = (tmp_path / "new.md").read_text().splitlines()
    assert lines[0] == "# bench"
    (verdict,) = (line for line in lines if line.startswith("**"))
    one = "alanine dipeptide, biased: "
    assert verdict.startswith(
        f"**Less than `unbiased`: {one}error at equal labels 0.50 [0.50, 0.50];"
    )
    assert f"; {one}MD steps 0.33 [0.33, 0.33]; " in verdict
    assert verdict.endswith(" Of 5 ratios of force errors, 0 may be 1.**")
    # half of the interval of 90 and 110: t(0.975, 1) = 12.706, standard error 10
    assert any("100.0 ± 127.1" in line and line.startswith("| biased") for line in lines)
    # each error is half, with half of the labels and a third of the MD steps; that of the last
    # training is a quarter
    ratios = ["0.50 [0.50, 0.50]"] * 3 + ["0.33 [0.33, 0.33]", "0.25 [0.25, 0.25]"]
    assert f"| alanine dipeptide | biased | {' | '.join(ratios)} |" in lines
    # of four campaigns; a coverage is twice the error of the last model: 2 (0.1 + 0.2)/2
    finished = (0.008 + 0.016 + 0.032 + 0.064) / 2.0
    cells = ["0.900", "0.950", "0.300", "0.300", f"{finished:.3f}", f"{finished:.3f}"]
    assert f"| alanine dipeptide | 4 | {' | '.join(cells)} |" in lines
    assert "At 32 labels:" in lines
    assert "After the last training, on 32 labels:" in lines
    assert "At 300 MD steps:" in lines
    # there is no stress
    assert not any("stress" in line for line in lines)


def test_a_page_without_a_place_for_tables_stays(made_up: Benchmark, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{END} {BEGIN}")
    with pytest.raises(UserError, match=f"page.md' has no place for the tables: write {BEGIN} and"):
        write_page(made_up.config, results(made_up), page)
    assert page.read_text() == f"{END} {BEGIN}"


def test_a_campaign_that_ended_early_is_named(made_up: Benchmark, tmp_path: Path) -> None:
    found = results(made_up)
    found[0] = result(found[0].campaign, (0.4, 0.2), (8, 16), (0, 100), finished=(0.1,))
    write_page(made_up.config, found, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    assert "dipeptide, biased, seed 1: it ended with 16 labels; its budget is 32." in text
    assert text.count("it ended with") == 1
    assert "At 16 labels:" in text
    assert "\n| unbiased | 2 | 100 ± 0 |" in text  # MD steps
    # the other last trainings had 32 labels
    assert "After the last training" not in text


def test_nothing_complete_is_said_in_words(made_up: Benchmark, tmp_path: Path) -> None:
    write_page(made_up.config, [], tmp_path / "page.md")
    assert "No arm can be compared" in (tmp_path / "page.md").read_text()


def test_the_table_fits_eighty_columns(
    made_up: Benchmark, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_results(made_up.config, results(made_up))
    *table, verdict = capsys.readouterr().out.splitlines()
    assert max(map(len, table)) <= 80
    assert any("0.50 [0.50, 0.50]  0.33 [0.33, 0.33]" in line for line in table)
    assert verdict.startswith("Less than `unbiased`: ")
