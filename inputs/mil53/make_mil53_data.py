"""Makes framework.data: MIL-53(Al) with its flexible force field, from the two tables beside it.

forcefield.csv holds the parameters of Vanduyfhuys et al., J. Chem. Theory Comput. 2012, 8, 3217
(QuickFF form), structure.csv the large pore minimised with them. Atom types and bonded terms follow
from the bonds, which are found by distance in any geometry that is not too deformed:

    python make_mil53_data.py                                        # framework.data
    python make_mil53_data.py --structure cp.xyz --supercell 1 2 4 --output big.data

The force field needs at least two cells along the short vector c: in a single cell an Al atom is a
next-nearest neighbor of two images of another Al atom, of which LAMMPS can exclude only one.

It needs ase only, and writes into its own folder unless there is an --output.
"""

import argparse
import csv
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ase.io
from ase import Atoms
from ase.calculators.lammps import Prism
from ase.neighborlist import natural_cutoffs, neighbor_list
from ase.spacegroup import crystal

HERE = Path(__file__).parent
C2_C = 15  # space group
CELL = (18.36460, 12.55233, 6.68587, 90.0, 110.58455, 90.0)  # Å, degrees
BOND_FACTOR = 1.2  # bonds are shorter than this times the sum of covalent radii
BONDS = {"H": (1,), "C": (3,), "O": (2, 3), "Al": (6,)}  # numbers of bonds in the framework
SECTIONS = ("bond", "angle", "dihedral", "improper")


@dataclass(frozen=True)
class Parameters:
    """One line of forcefield.csv."""

    pattern: tuple[str, ...]
    style: str
    values: tuple[str, ...]


def read_table(name: str) -> list[dict[str, str]]:
    lines = (HERE / name).read_text().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def read_forcefield() -> dict[str, list[Parameters]]:
    """The lines of the table for each term: atom, bond, angle, dihedral, improper."""
    field: dict[str, list[Parameters]] = {}
    for row in read_table("forcefield.csv"):
        parameters = Parameters(
            tuple(row["pattern"].split("-")), row["style"], tuple(row["parameters"].split())
        )
        field.setdefault(row["term"], []).append(parameters)
    return field


def large_pore() -> Atoms:
    """The 76 atoms of the monoclinic cell."""
    rows = read_table("structure.csv")
    symbols = [row["type"].split("_")[0].capitalize() for row in rows]
    basis = [[float(row[x]) for x in "xyz"] for row in rows]
    atoms = crystal(symbols, basis, spacegroup=C2_C, cellpar=CELL)
    return Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)


# a bonded atom: its index, and the cell in which its image is
Neighbor = tuple[int, tuple[int, int, int]]


def neighbors_of(atoms: Atoms) -> list[list[Neighbor]]:
    """The atoms that each atom is bonded to."""
    found: list[list[Neighbor]] = [[] for _ in atoms]
    for i, j, cell in zip(
        *neighbor_list("ijS", atoms, natural_cutoffs(atoms, mult=BOND_FACTOR)), strict=True
    ):
        found[i].append((int(j), tuple(int(c) for c in cell)))
    # ASE sorts its neighbor list by an unstable sort, whose order of ties depends on the processor
    for bonded in found:
        bonded.sort()
    check_bonds(atoms, found)
    check_images(found)
    return found


def check_bonds(atoms: Atoms, neighbors: list[list[Neighbor]]) -> None:
    """Refuse an atom with another number of bonds than in the framework."""
    for i, (symbol, bonded) in enumerate(zip(atoms.symbols, neighbors, strict=True), 1):
        wanted = BONDS.get(symbol, ())
        if len(bonded) not in wanted:
            known = " or ".join(map(str, wanted)) or "none: the framework has H, C, O and Al"
            raise SystemExit(
                f"atom {i} ({symbol}) has {len(bonded)} bonds, wanted {known}. Bonds are found by "
                f"distance (up to {BOND_FACTOR} times the covalent radii): use a geometry that is "
                "less deformed"
            )


def check_images(neighbors: list[list[Neighbor]]) -> None:
    """Refuse an atom that is bonded, or next-nearest, to two images of the same atom."""
    for i, bonded in enumerate(neighbors):
        near = {*bonded}
        for j, cell in bonded:
            near |= {(k, (cell[0] + s[0], cell[1] + s[1], cell[2] + s[2])) for k, s in neighbors[j]}
        near.discard((i, (0, 0, 0)))
        atoms = [j for j, _ in near]
        double = next((j for j in atoms if atoms.count(j) > 1 or j == i), None)
        if double is not None:
            raise SystemExit(
                f"atom {i + 1} is a near neighbor of two images of atom {double + 1}, of which "
                "LAMMPS can exclude only one: use a larger supercell, two cells along c at least"
            )


def types_of(atoms: Atoms, neighbors: list[list[Neighbor]]) -> list[str]:
    """Atom types of the force field, from what each atom is bonded to."""
    symbols = atoms.get_chemical_symbols()

    def type_of(i: int) -> str:
        bonded = {symbols[j] for j, _ in neighbors[i]}
        if symbols[i] == "H":
            return "H_HY" if "O" in bonded else "H_PH"
        if symbols[i] == "O":
            return "O_CA" if "C" in bonded else "O_HY"
        if symbols[i] == "C":
            return "C_CA" if "O" in bonded else "C_PH" if "H" in bonded else "C_PC"
        return symbols[i].upper()

    return [type_of(i) for i in range(len(atoms))]


def chains(neighbors: list[list[Neighbor]], length: int) -> Iterator[tuple[int, ...]]:
    """All chains of `length` bonded atoms, each in one of its two directions."""

    def grow(chain: list[Neighbor]) -> Iterator[list[Neighbor]]:
        if len(chain) == length:
            yield chain
            return
        last, cell = chain[-1]
        for j, shift in neighbors[last]:
            image = (j, (cell[0] + shift[0], cell[1] + shift[1], cell[2] + shift[2]))
            if image not in chain:
                yield from grow([*chain, image])

    for i in range(len(neighbors)):
        for chain in grow([(i, (0, 0, 0))]):
            atoms = tuple(j for j, _ in chain)
            if len(set(atoms)) < length:
                raise SystemExit(
                    f"atoms {atoms} are a chain through images of one atom: use a larger supercell"
                )
            if atoms < atoms[::-1]:
                yield atoms


def centres(neighbors: list[list[Neighbor]]) -> Iterator[tuple[int, ...]]:
    """Atoms with three neighbors, and these; the centre comes first."""
    for i, bonded in enumerate(neighbors):
        if len(bonded) == 3:
            yield (i, *(j for j, _ in bonded))


def orders(section: str, atoms: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The orders of the atoms of a term that give the same energy."""
    if section == "improper":
        return [(atoms[0], *rest) for rest in itertools.permutations(atoms[1:])]
    return [atoms, atoms[::-1]]


def terms_of(
    section: str, field: list[Parameters], types: list[str], neighbors: list[list[Neighbor]]
) -> list[tuple[int, tuple[int, ...]]]:
    """(index of the parameters, atoms) of every term of a section.

    A tuple of atoms may have terms of several styles, each with the first line that fits.
    """
    length = {"bond": 2, "angle": 3, "dihedral": 4, "improper": 4}[section]
    tuples = centres(neighbors) if section == "improper" else chains(neighbors, length)
    by_pattern: dict[tuple[str, ...], list[int]] = {}
    for k, parameters in enumerate(field):
        by_pattern.setdefault(parameters.pattern, []).append(k)
    terms = []
    for atoms in tuples:
        of_style: dict[str, tuple[int, tuple[int, ...]]] = {}
        for order in orders(section, atoms):
            for k in by_pattern.get(tuple(types[i] for i in order), []):
                of_style.setdefault(field[k].style, (k, order))
        terms += of_style.values()
    return terms


def data_file(atoms: Atoms) -> str:
    """The LAMMPS data file, atom_style full, units real."""
    field = read_forcefield()
    neighbors = neighbors_of(atoms)
    types = types_of(atoms, neighbors)
    terms = {name: terms_of(name, field[name], types, neighbors) for name in SECTIONS}
    kinds = [parameters.pattern[0] for parameters in field["atom"]]

    lines = ["MIL-53(Al), units real (made by make_mil53_data.py)", "", f"{len(atoms)} atoms"]
    lines += [f"{len(terms[name])} {name}s" for name in SECTIONS]
    lines += [f"{len(field[name])} {name} types" for name in ("atom", *SECTIONS)]
    prism = Prism(atoms.cell.array, pbc=True)
    *lengths, xy, xz, yz = prism.get_lammps_prism()
    lines += ["", *(f"0.0 {h:.12g} {x}lo {x}hi" for h, x in zip(lengths, "xyz", strict=True))]
    lines += [f"{xy:.12g} {xz:.12g} {yz:.12g} xy xz yz"]

    masses = [f"{p.values[0]} # {p.pattern[0]}" for p in field["atom"]]
    lines += numbered("Masses", masses)
    lines += numbered("Pair Coeffs", [" ".join(p.values[2:]) for p in field["atom"]])
    for name in SECTIONS:
        hybrid = len({p.style for p in field[name]}) > 1
        rows = [
            f"{p.style + ' ' if hybrid else ''}{' '.join(p.values)} # {'-'.join(p.pattern)}"
            for p in field[name]
        ]
        lines += numbered(f"{name.capitalize()} Coeffs", rows)

    rows = []
    for kind, position in zip(types, prism.vector_to_lammps(atoms.positions), strict=True):
        k = kinds.index(kind)
        xyz = " ".join(f"{x:.10f}" for x in position)
        rows.append(f"1 {k + 1} {field['atom'][k].values[1]} {xyz} # {kind}")
    lines += numbered("Atoms # full", rows)
    for name in SECTIONS:
        rows = [" ".join(map(str, (k + 1, *(i + 1 for i in t)))) for k, t in terms[name]]
        lines += numbered(f"{name.capitalize()}s", rows)
    return "\n".join(lines) + "\n"


def numbered(title: str, rows: list[str]) -> list[str]:
    return ["", title, "", *(f"{k} {row}" for k, row in enumerate(rows, 1))]


def main() -> None:
    parser = argparse.ArgumentParser(description="MIL-53(Al) with its force field, for LAMMPS")
    parser.add_argument("--structure", type=Path, help="geometry (default: the large pore)")
    parser.add_argument("--supercell", type=int, nargs=3, default=(1, 1, 2), metavar="N")
    parser.add_argument("--output", type=Path, default=HERE / "framework.data")
    options = parser.parse_args()
    atoms = ase.io.read(options.structure) if options.structure else large_pore()
    atoms *= tuple(options.supercell)
    options.output.write_text(data_file(atoms))


if __name__ == "__main__":
    main()
