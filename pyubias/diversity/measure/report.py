"""`pyubias diversity report`: the numbers of `summary` as tables and as a page."""

from collections.abc import Sequence
from typing import Any

from pyubias.diversity.measure import figures
from pyubias.diversity.measure.measures import MAX_COMPARED
from pyubias.diversity.measure.overlap import Overlap
from pyubias.report.html import render

__all__ = ["diversity_page", "overlap_rows", "summary_rows"]

MAX_LISTED = 50  # lines of a list on the page; the JSON file has all


def summary_rows(result: dict[str, Any]) -> list[list[str]]:
    """Rows of the summary: a header, then a row for each number, with a column for each set."""
    columns = [_summary(found) for found in result["sets"].values()]
    rows = [[title, *(column[title] for column in columns)] for title in columns[0]]
    return [["", *result["sets"]], *rows]


def _summary(found: dict[str, Any]) -> dict[str, str]:
    """The numbers of one set as text, by title."""
    census, structural, conformational = (
        found[level] for level in ("census", "structural", "conformational")
    )
    vendi = f"{structural['vendi']:.2f}"
    if structural["vendi_molecules"] < census["molecules"]:
        vendi += f" (of a sample of {structural['vendi_molecules']:,})"
    effective = _stated(conformational["effective_conformers"], "{:.2f}")
    if n := conformational["sampled_molecules"]:
        effective += f" ({n:,} of them from a sample of {MAX_COMPARED:,})"
    deviation = conformational["energy_spread"]
    shares = {
        quantity: found["variance"].get(quantity, {}).get("fraction")
        for quantity in ("geometry", "energy")
    }
    return {
        "structures": f"{census['structures']:,}",
        "molecules": f"{census['molecules']:,}",
        "conformers per molecule": f"{census['conformers_per_molecule']:.1f}",
        "duplicates": _duplicates(census),
        "problems of structures and labels": str(len(census["problems"])),
        "structural: Vendi score of fingerprints": vendi,
        "structural: effective molecules (Hill)": f"{structural['hill_molecules']:.2f}",
        "structural: scaffolds": f"{structural['scaffolds']:,}",
        "conformational: effective conformers of a molecule": effective,
        "conformational: torsion coverage": _stated(conformational["torsion_coverage"], "{:.3f}"),
        "conformational: energy spread in a molecule, meV": _stated(
            None if deviation is None else 1e3 * deviation, "{:.1f}"
        ),
        "environments: entropy, nats": f"{found['environments']['entropy']:.2f}",
        "variance of geometry between molecules": _stated(shares["geometry"], "{:.1%}"),
        "variance of energy between molecules": _stated(shares["energy"], "{:.1%}"),
    }


def _stated(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def _duplicates(census: dict[str, Any]) -> str:
    if census["periodic"] == census["structures"]:
        return "–"
    return f"{len(census['duplicates'])}{_not_compared(census['periodic'])}"


def _not_compared(periodic: int) -> str:
    return f" ({periodic:,} periodic ones not compared)" if periodic else ""


def content_rows(result: dict[str, Any]) -> list[list[str]]:
    """Rows of elements, charges and scaffolds: a header, then a row for each set."""
    rows = [["", "elements, fraction of atoms", "charges", "effective scaffolds (Hill)"]]
    for name, s in result["sets"].items():
        shares = ", ".join(f"{e} {x:.1%}" for e, x in s["structural"]["elements"].items())
        charges = ", ".join(_charge(c) for c in s["census"]["charges"])
        rows.append([name, shares, charges, f"{s['structural']['hill_scaffolds']:.2f}"])
    return rows


def molecule_rows(found: dict[str, Any]) -> list[list[str]]:
    """Rows of molecules: a header, then those of one set with the largest energy ranges."""
    rows = [["molecule", "charge", "atoms", "conformers", "effective", "energy range, eV"]]
    effective = found["conformational"]["effective_conformers_of_molecules"]
    molecules = list(zip(found["census"]["of_molecules"], effective, strict=True))
    molecules.sort(key=lambda pair: -(pair[0]["energy_range"] or 0.0))
    for m, n in molecules[:MAX_LISTED]:
        counts = [str(m["atoms"]), str(m["conformers"]), _stated(n, "{:.2f}")]
        energy_range = _stated(m["energy_range"], "{:.3f}")
        rows.append([m["molecule"], _charge(m["charge"]), *counts, energy_range])
    return rows


def _charge(charge: int) -> str:
    return f"{charge:+d}" if charge else "0"


def overlap_rows(found: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Rows of overlaps: a header, then a row for each pair of sets."""
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
    sets: dict[str, dict[str, Any]] = result["sets"]
    censuses = {name: found["census"] for name, found in sets.items()}
    of_molecules = {name: census["of_molecules"] for name, census in censuses.items()}
    return render(
        "diversity/measure/report.html",
        title="Diversity",
        summary=summary_rows(result),
        content=content_rows(result),
        overlaps=overlap_rows(result["overlaps"]) if result["overlaps"] else None,
        budget_map=figures.budget_map(
            {n: (c["molecules"], c["conformers_per_molecule"]) for n, c in censuses.items()}
        ),
        within_molecules=figures.within_molecules(
            {name: [m["conformers"] for m in found] for name, found in of_molecules.items()},
            {
                name: [m["energy_range"] for m in found if m["energy_range"]]
                for name, found in of_molecules.items()
            },
        ),
        entropies=figures.entropy_of_elements(
            {name: found["environments"]["of_elements"] for name, found in sets.items()}
        ),
        sets=[
            {
                "name": name,
                "molecules": molecule_rows(found),
                "n_molecules": found["census"]["molecules"],
                "problems": _problem_lines(found["census"]),
            }
            for name, found in sets.items()
        ],
        resolution=result["resolution"],
        bandwidth=result["bandwidth"],
        max_compared=MAX_COMPARED,
        max_listed=MAX_LISTED,
    )


def _problem_lines(census: dict[str, Any]) -> list[str]:
    lines = [f"structure {k}: {reason}" for k, reason in census["problems"]]
    return lines + [f"structure {k} repeats {j}" for k, j in census["duplicates"]]
