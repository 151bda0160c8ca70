"""The report of a study: its sentences, and one HTML page with tables and pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pyubias.analysis.intervals import Interval
from pyubias.diversity.study.arms import METRICS
from pyubias.diversity.study.comparisons import Comparisons
from pyubias.diversity.study.config import StudyConfig
from pyubias.diversity.study.plan import TESTS
from pyubias.files import write_with
from pyubias.report.html import render

__all__ = ["errors_of_arms", "sentences_of", "write_study_report"]

PICTURED = ("forces", "relative_energy")  # metrics with a picture


def sentences_of(
    findings: Mapping[str, Any], comparisons: Comparisons, config: StudyConfig
) -> list[str]:
    """The findings in sentences, from the paragraphs of ``sentences.txt``."""
    text = render(
        "diversity/study/sentences.txt",
        **vars(comparisons),
        allocations=findings["allocations"],
        formula=findings["two_stage_conformers"],
        labels=config.arms.fixed_budget.labels,
        molecules=config.arms.fixed_molecules.molecules,
        tests=TESTS,
    )
    paragraphs = (" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
    return [sentence for sentence in paragraphs if sentence]


def write_study_report(config: StudyConfig, findings: Mapping[str, Any], path: Path) -> None:
    """Write the page; it appears under its name only when it is complete."""
    budget, fixed = config.arms.fixed_budget, config.arms.fixed_molecules
    headings = {
        "fixed_budget": f"Fixed budget: {budget.labels} labels",
        "fixed_molecules": f"Fixed set of {fixed.molecules} molecules",
    }
    tables = findings["tables"]
    text = render(
        "diversity/study/report.html",
        title=config.name,
        sentences=findings["sentences"],
        experiments=[
            {
                "heading": heading,
                "figures": [errors_of_arms(tables[name], m, METRICS[m]) for m in PICTURED],
                "tables": _tables(tables[name]),
            }
            for name, heading in headings.items()
        ],
        allocations=_allocation_rows(findings["allocations"]),
        two_stage=_two_stage_rows(findings["two_stage_conformers"]),
        coverage_wanted=1 - config.uncertainty.alpha,
        coverage=_coverage_rows(findings["coverage"]),
        calibration=_calibration_rows(findings["calibration"]),
        shortfalls=[s for known in findings["calibration"].values() if (s := known["shortfall"])],
        unequal=findings["unequal"],
        failures=findings["failures"],
    )
    write_with(path, lambda p: p.write_text(text))


def errors_of_arms(result: Mapping[str, Any], metric: str, title: str) -> Figure:
    """A curve for each test over molecules (fixed budget) or geometries (fixed molecules)."""
    along = "molecules" if "molecules" in result else "conformers"
    figure = Figure(figsize=(9.5, 4.4))
    axis = figure.subplots()
    for k, test in enumerate(test for test in TESTS if metric in result[test]):
        means = [mean for mean, _, _ in result[test][metric]]
        below = [0.0 if low is None else mean - low for mean, low, _ in result[test][metric]]
        above = [0.0 if high is None else high - mean for mean, _, high in result[test][metric]]
        shift = 1.02 ** (k - 3)  # so that the bars of two tests do not hide each other
        x = [n * shift for n in result[along]]
        axis.errorbar(x, means, [below, above], marker="o", capsize=3, label=TESTS[test])
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_xticks(result[along], [str(n) for n in result[along]])
    axis.set_xlabel("molecules" if along == "molecules" else "geometries of each molecule")
    axis.set_ylabel(title)
    axis.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _tables(result: Mapping[str, Any]) -> list[list[list[str]]]:
    """Rows of one table for each metric, with a column for each arm."""
    along = "molecules" if "molecules" in result else "conformers"
    tables = []
    for metric, title in METRICS.items():
        rows = [[title, *(f"{n} {along}" for n in result[along])]]
        for test, meaning in TESTS.items():
            if metric in result[test]:
                means = [Interval(*known) for known in result[test][metric]]
                rows.append([meaning, *(x.text(2 if abs(x.mean) < 2.0 else 1) for x in means)])
        tables.append(rows)
    return tables


def _allocation_rows(allocations: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    rows = [["test", "molecules", "geometries each", "90 % interval"]]
    rows[0] += ["gain over worst", "chance", "advice"]
    for test, of_test in allocations.items():
        for metric, a in of_test.items():
            rows.append(
                [
                    f"{TESTS[test]}: {METRICS[metric].split(',')[0]}",
                    f"{a['molecules']:.0f}",
                    f"{a['conformers']:.1f}",
                    f"{a['low']:.1f} to {a['high']:.1f}",
                    f"{a['gain']:.0%}",
                    f"{a['chance']:.0%}",
                    "" if a["preference"] else "no preference",
                ]
            )
    return rows


def _two_stage_rows(formula: Mapping[str, float | None]) -> list[list[str]]:
    values = ["all" if k is None else f"{k:.1f}" for k in formula.values()]
    return [["a molecule costs, in geometries", *formula], ["geometries each", *values]]


def _coverage_rows(coverage: Mapping[str, Mapping[str, float | None]]) -> list[list[str]]:
    rows = [["energy errors covered", "one factor", "factors of seen and unseen molecules"]]
    for test, of_test in coverage.items():
        values = (of_test["pooled"], of_test["group"])
        rows.append([TESTS[test], *("–" if x is None else f"{x:.3f}" for x in values)])
    return rows


def _calibration_rows(calibration: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    rows = [["factor of", "calibration frames", "attainable coverage", "factor (of arms)"]]
    for group, known in calibration.items():
        factors = known["factors"]
        stated = "–" if factors is None else "{1:.2f} ({0:.2f} to {2:.2f})".format(*factors)
        name = "all molecules" if group == "pooled" else f"{group} molecules"
        rows.append([name, str(known["n"]), f"{known['attainable']:.3f}", stated])
    return rows
