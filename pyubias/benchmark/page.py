"""The page of a benchmark: sentences, tables and a picture between two marks of a Markdown file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pyubias.benchmark.comparison import Comparison
from pyubias.benchmark.results import Cost, Result
from pyubias.benchmark.tables import coverages, force_ratios, overview, short_table, tables
from pyubias.config.benchmark import BenchmarkConfig
from pyubias.console import print_narrow_table
from pyubias.errors import UserError
from pyubias.files import write_with
from pyubias.report.pictures import save
from pyubias.report.style import arm_color, legend_below, new_panels, plain_numbers

__all__ = ["marks", "print_results", "verdicts", "write_page"]

EXPLANATION = """\
Errors are root mean squares on the test set, coverages the fractions of test structures and atoms
within the calibrated uncertainty; both are means over seeds ± half of the 95 % interval. Ratios are
formed seed by seed: geometric mean [95 % interval]. Those of labels and MD steps are about what an
arm and `{baseline}` need for the same error, the larger one of those that the two end with, so that
both reach it; there is none if a first model has it. Between two models, errors are linear in the
logarithm of 1 + labels, or 1 + MD steps, of which those count that were made before the model."""
# of the x axes: labels and units
AXES: dict[Cost, tuple[str, float]] = {"labels": ("labels", 1.0), "steps": ("1,000 MD steps", 1e3)}

Comparisons = Mapping[str, Comparison]


def comparisons_of(config: BenchmarkConfig, results: Sequence[Result]) -> dict[str, Comparison]:
    """The comparison of each system that has results, by its title."""
    titles = {name: system.title or name for name, system in config.systems.items()}
    of_systems = {n: [r for r in results if r.campaign.system == n] for n in titles}
    return {titles[n]: Comparison(of, config.baseline) for n, of in of_systems.items() if of}


def verdicts(systems: Comparisons) -> str:
    """Sentences about the ratios of `force_ratios`: which are less than 1, and which more."""
    found: dict[str, list[str]] = {"less": [], "more": [], "undecided": []}
    for title, system in systems.items():
        for arm in system.arms:
            ratios = force_ratios(system, arm) if arm != system.baseline else {}
            for name, ratio in ratios.items():
                if ratio is not None:
                    found[ratio.verdict].append(f"{title}, {arm}: {name} {ratio.text}")
    n = sum(map(len, found.values()))
    if not n:
        return "No arm can be compared with the baseline yet."
    baseline = next(iter(systems.values())).baseline
    starts = {"less": f"Less than `{baseline}`", "more": f"More than `{baseline}`"}
    lines = [f"{start}: {'; '.join(found[name])}." for name, start in starts.items() if found[name]]
    return " ".join([*lines, f"Of {n} ratios of force errors, {len(found['undecided'])} may be 1."])


def marks(config: BenchmarkConfig) -> tuple[str, str]:
    """What stands before and after the tables of a benchmark; a page may have several."""
    name = f"pyubias benchmark {config.name}"
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def write_page(config: BenchmarkConfig, results: Sequence[Result], path: Path) -> None:
    """Write what lies between the marks of a page, and the picture NAME.png beside it.

    Raises:
        UserError: the file is there without the marks.
    """
    before, after = marks(config)
    text = path.read_text() if path.is_file() else f"# {config.name}\n\n{before}\n{after}\n"
    begin, end = text.find(before), text.find(after)
    if not 0 <= begin < end:
        raise UserError(f"'{path}' has no place for the tables: write {before} and {after} there")
    systems = comparisons_of(config, results)
    parts = [f"**{verdicts(systems)}**", EXPLANATION.format(baseline=config.baseline)]
    if systems:
        figure = _figure(systems)
        picture = path.with_name(f"{config.name}.png")
        write_with(picture, lambda p: save(figure, p, dpi=100))
        ratios = {
            f"Force errors and what they cost, as ratios to `{config.baseline}`:": overview(
                systems
            ),
            "Coverages: means over all campaigns, of next batches after the third.": coverages(
                systems
            ),
        }
        parts += [f"{caption}\n\n{_markdown(rows)}" for caption, rows in ratios.items() if rows]
        parts.append(f"![Force errors of seeds (thin) and their means (thick)]({picture.name})")
    for title, system in systems.items():
        of_tables = [f"{caption}\n\n{_markdown(rows)}" for caption, rows in tables(system).items()]
        parts += [f"### {title}", *of_tables, *_remarks(system)]
    page = "\n\n".join([f"{text[:begin]}{before}", *parts, text[end:]])
    write_with(path, lambda p: p.write_text(page))


def print_results(config: BenchmarkConfig, results: Sequence[Result]) -> None:
    """Print a table of each system, at equal labels, and the sentences of `verdicts`."""
    systems = comparisons_of(config, results)
    for title, system in systems.items():
        print_narrow_table(f"{title}, {system.labels:.0f} labels, meV and Å", short_table(system))
    print(verdicts(systems))


def _remarks(system: Comparison) -> list[str]:
    """Sentences about campaigns that did not end at their budget."""
    ends = [(r.campaign, r.costs["labels"][-1]) for arm in system.arms.values() for r in arm]
    return [
        f"{campaign}: it ended with {n:.0f} labels; its budget is {campaign.config.stop.labels}."
        for campaign, n in ends
        if n != campaign.config.stop.labels
    ]


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    header, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([header, "|---" * len(rows[0]) + "|", *body])


def _figure(systems: Comparisons) -> Figure:
    """Force errors against labels and MD steps: of seeds thin, their geometric means thick."""
    figure, axes = new_panels(2 * len(systems))
    panels = iter(axes)
    arms = list(dict.fromkeys(arm for system in systems.values() for arm in system.arms))
    for title, system in systems.items():
        for cost, (name, unit) in AXES.items():
            axis = next(panels)
            for arm, results in system.arms.items():
                color = arm_color(arm, arms.index(arm))
                for r in results:
                    y = 1e3 * r.curves["forces_rmse"]
                    axis.plot(r.costs[cost] / unit, y, color=color, lw=0.8, alpha=0.4)
                ends = [r.costs[cost][[0, -1]] for r in results]
                x = np.geomspace(1 + max(e[0] for e in ends), 1 + min(e[1] for e in ends)) - 1.0
                curves = [[r.at(cost, value, "forces_rmse") for value in x] for r in results]
                mean = 1e3 * np.exp(np.log(curves).mean(0))
                axis.plot(x / unit, mean, color=color, lw=2.0, label=arm)
            axis.set_yscale("log")
            plain_numbers(axis.yaxis)
            axis.set_title(title)
            axis.set_xlabel(name)
            axis.set_ylabel("forces RMSE (meV/Å)")
    legend_below(figure, axes)
    return figure
