"""The report of a study: one HTML file with sentences, tables and pictures."""

import html
from pathlib import Path
from typing import Any

from pyubias.diversity.study import figures
from pyubias.diversity.study.config import StudyConfig
from pyubias.diversity.study.intervals import Interval
from pyubias.diversity.study.plan import TESTS
from pyubias.diversity.study.scores import METRICS
from pyubias.files import write_with
from pyubias.report.pages import image, items, page, table

__all__ = ["write_study_report"]

SHOWN = ("forces", "relative_energy")


def write_study_report(config: StudyConfig, findings: dict[str, Any], path: Path) -> None:
    """Write the page; it appears under its name only when it is complete."""
    budget, fixed = config.arms.fixed_budget, config.arms.fixed_molecules
    headings = {
        "fixed_budget": f"Fixed budget: {budget.labels} labels",
        "fixed_molecules": f"Fixed set of {fixed.molecules} molecules",
    }
    sections = []
    for name, heading in headings.items():
        result = findings["tables"][name]
        pictures = "".join(image(figures.errors_of_arms(result, m, METRICS[m])) for m in SHOWN)
        sections.append((heading, pictures + "".join(_tables(result))))
    sections.append(("Allocation", _allocations(findings)))
    sections.append(("Error bars for seen and unseen molecules", _coverage(config, findings)))
    if findings["unequal"]:
        sections.append(("Arms with fewer labels than planned", items(findings["unequal"])))
    if findings["failures"]:
        sections.append(("What could not be used", items(findings["failures"])))
    text = page(config.name, items(findings["sentences"]) + f"<p>{NOTE}</p>", sections)
    write_with(path, lambda p: p.write_text(text))


NOTE = (
    "Geometric means of errors over repetitions, arithmetic ones of ranks, with 95 % intervals "
    "(Student's t); arms are told apart by the ratios of their errors in the same repetition. "
    "Every repetition draws molecules and geometries of arms from the same pool: large arms share "
    "most of their molecules, which is said above, and tests of molecules that no arm has are the "
    "same in all. Intervals are those of repeating the training, and hold less of the choice of "
    "molecules the larger the arm. Molecules, sizes and reference are this project's, not those "
    "of the 2023 study."
)


def _tables(result: dict[str, Any]) -> list[str]:
    along = "molecules" if "molecules" in result else "conformers"
    parts = []
    for metric, title in METRICS.items():
        rows = [[title, *(f"{n} {along}" for n in result[along])]]
        for test, meaning in TESTS.items():
            if metric in result[test]:
                rows.append([meaning, *(_cell(*known) for known in result[test][metric])])
        parts.append(table(rows) + "<br>")
    return parts


def _cell(mean: float, low: float | None, high: float | None) -> str:
    return Interval(mean, low, high).state(2 if abs(mean) < 2.0 else 1)


def _allocations(findings: dict[str, Any]) -> str:
    rows = [["test", "molecules", "geometries each", "90 % interval"]]
    rows[0] += ["gain over worst", "chance", "advice"]
    for test, of_test in findings["allocations"].items():
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
    formula = findings["two_stage_conformers"]
    values = ["all" if k is None else f"{k:.1f}" for k in formula.values()]
    said = [["a molecule costs, in geometries", *formula], ["geometries each", *values]]
    curve = "a M<sup>-α</sup> + b K<sup>-β</sup> + c M<sup>-α</sup> K<sup>-β</sup> + d"
    return table(rows) + (
        f"<p>From error(M, K) = {curve}. The chance is that of such a gain where there is no "
        "preference. The two-stage sampling formula, which knows only variances and costs, "
        f"says:</p>{table(said)}"
    )


def _coverage(config: StudyConfig, findings: dict[str, Any]) -> str:
    rows = [["energy errors covered", "one factor", "factors of seen and unseen molecules"]]
    for test, of_test in findings["coverage"].items():
        cells = ["–" if x is None else f"{x:.3f}" for x in (of_test["pooled"], of_test["group"])]
        rows.append([html.escape(TESTS[test]), *cells])
    groups = [["factor of", "calibration frames", "attainable coverage", "factor (of arms)"]]
    lacking = []
    for group, known in findings["calibration"].items():
        factors = known["factors"]
        said = "–" if factors is None else "{1:.2f} ({0:.2f} to {2:.2f})".format(*factors)
        name = "all molecules" if group == "pooled" else f"{group} molecules"
        groups.append([name, str(known["n"]), f"{known['attainable']:.3f}", said])
        lacking += [known["shortfall"]] if known["shortfall"] else []
    wanted = f"<p>Wanted: {1 - config.uncertainty.alpha:.2f}, mean over all arms.</p>"
    words = "<p>Frames: of the arm that has fewest. Factors: median, least and largest.</p>"
    return wanted + table(rows) + words + table(groups) + (items(lacking) if lacking else "")
