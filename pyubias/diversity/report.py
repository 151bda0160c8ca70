"""`pyubias diversity report`: the numbers of `summary` as a table and as a page."""

import html
from collections.abc import Sequence
from typing import Any

from pyubias.diversity import figures
from pyubias.diversity.overlap import Overlap
from pyubias.diversity.summary import BANDWIDTH, RESOLUTION
from pyubias.pages import image, items, page, table

__all__ = ["diversity_page", "overlap_rows", "summary_rows"]

LISTED = 50  # lines of a list on the page; JSON has all
NOTE = (
    "Doubling a set changes none of the diversity numbers. One effective conformer means that "
    "every molecule has one geometry."
)


def summary_rows(result: dict[str, Any]) -> list[list[str]]:
    """A header, then one row for each number, with a column for each set."""
    sets = result["sets"].values()
    rows = [["", *result["sets"]]]

    def add(title: str, section: str, key: str, form: str = "{:,}", unit: int = 1) -> None:
        values = [s[section].get(key) for s in sets]
        rows.append([title, *("–" if v is None else form.format(v * unit) for v in values)])

    add("structures", "census", "structures")
    add("molecules", "census", "molecules")
    add("conformers per molecule", "census", "conformers_per_molecule", "{:.1f}")
    counts = [(len(s["census"]["duplicates"]), len(s["census"]["problems"])) for s in sets]
    rows.append(["duplicates", *(str(d) for d, _ in counts)])
    rows.append(["problems of structures and labels", *(str(p) for _, p in counts)])
    add("structural: Vendi score of fingerprints", "structural", "vendi", "{:.2f}")
    add("structural: effective molecules (Hill)", "structural", "hill_molecules", "{:.2f}")
    add("structural: scaffolds", "structural", "scaffolds")
    add(
        "conformational: effective conformers of a molecule",
        "conformational",
        "effective_conformers",
        "{:.2f}",
    )
    add("conformational: torsion coverage", "conformational", "torsion_coverage", "{:.3f}")
    add(
        "conformational: energy spread in a molecule, meV",
        "conformational",
        "energy_spread",
        "{:.1f}",
        1000,
    )
    add("environments: entropy, nats", "environments", "entropy", "{:.2f}")
    for quantity in ("geometry", "energy"):
        values = [s["variance"].get(quantity, {}).get("fraction") for s in sets]
        rows.append(
            [
                f"variance of {quantity} between molecules",
                *("–" if v is None else f"{v:.1%}" for v in values),
            ]
        )
    return rows


def overlap_rows(found: Sequence[dict[str, Any]]) -> list[list[str]]:
    header = ["sets", "shared molecules", "structures of them", "of shared scaffolds"]
    rows = [[*header, "geometries within 0.05 Å", "mean largest similarity"]]
    for o in map(lambda fields: Overlap(**fields), found):
        rows.append(
            [
                f"{o.second} in {o.first}",
                str(len(o.shared_molecules)),
                f"{o.molecules:.1%}",
                f"{o.scaffolds:.1%}",
                str(o.leaked),
                f"{o.similarity:.2f}",
            ]
        )
    return rows


def diversity_page(result: dict[str, Any]) -> str:
    """The report as one HTML file."""
    sections = []
    if result["overlaps"]:
        words = "<p>What the second set of each pair shares with the first.</p>"
        sections.append(("Overlap and leakage", words + table(overlap_rows(result["overlaps"]))))
    points = {
        name: (s["census"]["molecules"], s["census"]["conformers_per_molecule"])
        for name, s in result["sets"].items()
    }
    sections.append(
        ("Molecules against conformers per molecule", image(figures.budget_map(points)))
    )
    counts = {
        name: [m["conformers"] for m in s["census"]["of_molecules"]]
        for name, s in result["sets"].items()
    }
    ranges = {
        name: [m["energy_range"] for m in s["census"]["of_molecules"] if m["energy_range"]]
        for name, s in result["sets"].items()
    }
    sections.append(("Within molecules", image(figures.within_molecules(counts, ranges))))
    entropies = {name: s["environments"]["of_elements"] for name, s in result["sets"].items()}
    sections.append(
        ("Entropy of atomic environments", image(figures.entropy_of_elements(entropies)))
    )
    for name, s in result["sets"].items():
        lines = [f"structure {k}: {reason}" for k, reason in s["census"]["problems"]]
        lines += [f"structure {k} repeats {j}" for k, j in s["census"]["duplicates"]]
        if lines:
            more = f"<p>… and {len(lines) - LISTED} more</p>" if len(lines) > LISTED else ""
            sections.append((f"Problems and duplicates: {name}", items(lines[:LISTED]) + more))
    introduction = table(summary_rows(result)) + (
        f"<p>Geometries of a molecule count as different from about {RESOLUTION} Å; entropies "
        f"have a bandwidth of {BANDWIDTH} covalent diameters. {html.escape(NOTE)}</p>"
    )
    return page("Diversity", introduction, sections)
