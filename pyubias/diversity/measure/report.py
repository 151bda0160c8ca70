"""`pyubias diversity report`: the numbers of `summary` as a table and as a page."""

import html
from collections.abc import Sequence
from typing import Any

from pyubias.diversity.measure import figures
from pyubias.diversity.measure.measures import MOST
from pyubias.diversity.measure.overlap import Overlap
from pyubias.diversity.measure.summary import BANDWIDTH, RESOLUTION
from pyubias.report.pages import image, items, page, table

__all__ = ["diversity_page", "overlap_rows", "summary_rows"]

LISTED = 50  # lines of a list on the page; JSON has all

NOTE = (
    "Doubling a set changes none of the diversity numbers. One effective conformer means that "
    "every molecule has one geometry. Mirror images count as one. A dash is what was not measured: "
    "geometries of periodic structures are not compared, and energies of as many elements as "
    "there are molecules leave no variance between them. The variance of energy is estimated "
    "without bias from distinct geometries, without the part that composition explains."
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
    rows.append(["duplicates", *(_duplicates(s["census"]) for s in sets)])
    problems = [str(len(s["census"]["problems"])) for s in sets]
    rows.append(["problems of structures and labels", *problems])
    add("structural: Vendi score of fingerprints", "structural", "vendi", "{:.2f}")
    for k, s in enumerate(sets, 1):
        if s["structural"]["vendi_molecules"] < s["census"]["molecules"]:
            rows[-1][k] += f" (of a sample of {s['structural']['vendi_molecules']:,})"
    add("structural: effective molecules (Hill)", "structural", "hill_molecules", "{:.2f}")
    add("structural: scaffolds", "structural", "scaffolds")
    add(
        "conformational: effective conformers of a molecule",
        "conformational",
        "effective_conformers",
        "{:.2f}",
    )
    for k, s in enumerate(sets, 1):
        if n := s["conformational"]["sampled_molecules"]:
            rows[-1][k] += f" ({n:,} of them from a sample of {MOST:,})"
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


def content_rows(result: dict[str, Any]) -> list[list[str]]:
    """What sets are made of: a header, then a row for each set."""
    rows = [["", "elements, fraction of atoms", "charges", "effective scaffolds (Hill)"]]
    for name, s in result["sets"].items():
        shares = ", ".join(f"{e} {x:.1%}" for e, x in s["structural"]["elements"].items())
        charges = ", ".join(f"{c:+d}" if c else "0" for c in s["census"]["charges"])
        rows.append([name, shares, charges, f"{s['structural']['hill_scaffolds']:.2f}"])
    return rows


def molecule_rows(found: dict[str, Any]) -> list[list[str]]:
    """Molecules of one set: a header, then those with the largest energy ranges."""
    rows = [["molecule", "charge", "atoms", "conformers", "effective", "energy range, eV"]]
    effective = found["conformational"]["effective_conformers_of_molecules"]
    both = list(zip(found["census"]["of_molecules"], effective, strict=True))
    both.sort(key=lambda pair: -(pair[0]["energy_range"] or 0.0))
    for m, n in both[:LISTED]:
        spread = "–" if m["energy_range"] is None else f"{m['energy_range']:.3f}"
        counts = [
            f"{m['charge']:+d}" if m["charge"] else "0",
            str(m["atoms"]),
            str(m["conformers"]),
        ]
        rows.append([m["molecule"], *counts, "–" if n is None else f"{n:.2f}", spread])
    return rows


def _duplicates(census: dict[str, Any]) -> str:
    if census["periodic"] == census["structures"]:
        return "–"
    return f"{len(census['duplicates'])}{_not_compared(census['periodic'])}"


def _not_compared(periodic: int) -> str:
    return f" ({periodic:,} periodic ones not compared)" if periodic else ""


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
                "–" if o.leaked is None else f"{o.leaked}{_not_compared(o.not_compared)}",
                f"{o.similarity:.2f}",
            ]
        )
    return rows


def diversity_page(result: dict[str, Any]) -> str:
    """The report as one HTML file."""
    sections = [("Content", table(content_rows(result)))]
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
        n = s["census"]["molecules"]
        sections.append((f"Molecules: {name}", table(molecule_rows(s)) + _more(n)))
        lines = [f"structure {k}: {reason}" for k, reason in s["census"]["problems"]]
        lines += [f"structure {k} repeats {j}" for k, j in s["census"]["duplicates"]]
        if lines:
            listed = items(lines[:LISTED]) + _more(len(lines))
            sections.append((f"Problems and duplicates: {name}", listed))
    introduction = table(summary_rows(result)) + (
        f"<p>Geometries of a molecule count as different from about {RESOLUTION} Å; entropies "
        f"have a bandwidth of {BANDWIDTH} covalent diameters, and are averages over {MOST:,} of an "
        f"element's environments, evenly spread, where it has more. {html.escape(NOTE)}</p>"
    )
    return page("Diversity", introduction, sections)


def _more(n: int) -> str:
    return f"<p>… and {n - LISTED} more</p>" if n > LISTED else ""
