"""Makes ala2.data and c7eq.xyz: alanine dipeptide (ACE-ALA-NME, L, 22 atoms) in vacuum.

The force field is AMBER ff14SB (Maier et al., J. Chem. Theory Comput. 2015, 11, 3696) of OpenMM's
amber14-all.xml. The geometry is its C7eq minimum.

The script needs openmm, and writes into its own folder:

    python make_ala2_data.py
"""

import itertools
import math
from pathlib import Path

import numpy as np
import openmm as mm
from openmm import app, unit

HERE = Path(__file__).parent
KCAL = 4.184  # kJ
BOX = 30.0  # half the edge of the header's box, angstrom
STYLES = {"Bond": "harmonic", "Angle": "harmonic", "Dihedral": "fourier", "Improper": "cvff"}
PHI, PSI = -83.0, 70.0  # where the minimisation starts

# residue, name (the force field's), element, (bonded to, angle with, torsion with), bond/A,
# angle/deg, torsion/deg; the reference atoms are 0-based. The minimisation starts from these.
ATOMS = [
    ("ACE", "HH31", "H", (1, 4, 6), 1.09, 109.5, 60.0),
    ("ACE", "CH3", "C", (), 0.0, 0.0, 0.0),
    ("ACE", "HH32", "H", (1, 4, 6), 1.09, 109.5, 180.0),
    ("ACE", "HH33", "H", (1, 4, 6), 1.09, 109.5, -60.0),
    ("ACE", "C", "C", (1,), 1.52, 0.0, 0.0),
    ("ACE", "O", "O", (4, 6, 8), 1.23, 123.0, 0.0),
    ("ALA", "N", "N", (4, 1), 1.34, 116.0, 0.0),
    ("ALA", "H", "H", (6, 4, 1), 1.01, 119.0, 0.0),
    ("ALA", "CA", "C", (6, 4, 1), 1.45, 122.0, 180.0),
    ("ALA", "HA", "H", (8, 6, 4), 1.09, 109.5, PHI + 120.0),
    ("ALA", "CB", "C", (8, 6, 4), 1.53, 110.0, PHI - 120.0),  # minus makes it L
    ("ALA", "HB1", "H", (10, 8, 6), 1.09, 109.5, 60.0),
    ("ALA", "HB2", "H", (10, 8, 6), 1.09, 109.5, 180.0),
    ("ALA", "HB3", "H", (10, 8, 6), 1.09, 109.5, -60.0),
    ("ALA", "C", "C", (8, 6, 4), 1.52, 111.0, PHI),
    ("ALA", "O", "O", (14, 8, 6), 1.23, 120.0, PSI + 180.0),
    ("NME", "N", "N", (14, 8, 6), 1.34, 116.0, PSI),
    ("NME", "H", "H", (16, 14, 8), 1.01, 119.0, 0.0),
    ("NME", "CH3", "C", (16, 14, 8), 1.45, 122.0, 180.0),
    ("NME", "HH31", "H", (18, 16, 14), 1.09, 109.5, 60.0),
    ("NME", "HH32", "H", (18, 16, 14), 1.09, 109.5, 180.0),
    ("NME", "HH33", "H", (18, 16, 14), 1.09, 109.5, -60.0),
]
BONDS = sorted(tuple(sorted((i, atom[3][0]))) for i, atom in enumerate(ATOMS) if atom[3])


def start_positions() -> np.ndarray:
    """Builds the starting geometry, in angstrom, from the table of internal coordinates."""
    placed: dict[int, np.ndarray] = {}
    # the first three atoms have no references: these points stand in for them
    stand_ins = [np.zeros(3), np.array([1.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.0])]
    while len(placed) < len(ATOMS):
        for i, (*_, refs, bond, angle, torsion) in enumerate(ATOMS):
            if i in placed or not placed.keys() >= set(refs):
                continue
            one, two, three = [placed[r] for r in refs] + stand_ins[len(refs) :]
            axis = (one - two) / np.linalg.norm(one - two)
            normal = np.cross(two - three, axis)
            normal /= np.linalg.norm(normal)
            side = np.cross(normal, axis)
            out, turn = np.deg2rad(180.0 - angle), np.deg2rad(torsion)
            around = np.cos(turn) * side + np.sin(turn) * normal
            placed[i] = one + bond * (np.cos(out) * axis + np.sin(out) * around)
    return np.array([placed[i] for i in range(len(ATOMS))])


def topology() -> app.Topology:
    """Returns the molecule's OpenMM topology, its atoms in the order of ATOMS."""
    top = app.Topology()
    chain = top.addChain()
    residues = {name: top.addResidue(name, chain) for name in ("ACE", "ALA", "NME")}
    atoms = [
        top.addAtom(name, app.Element.getBySymbol(element), residues[residue])
        for residue, name, element, *_ in ATOMS
    ]
    for i, j in BONDS:
        top.addBond(atoms[i], atoms[j])
    return top


def minimised(top: app.Topology, system: mm.System) -> np.ndarray:
    """Returns the positions of the minimum next to the start, centred, in angstrom."""
    context = mm.Context(
        system, mm.VerletIntegrator(0.001), mm.Platform.getPlatformByName("Reference")
    )
    context.setPositions(start_positions() / 10.0)
    mm.LocalEnergyMinimizer.minimize(context, tolerance=1e-6)
    state = context.getState(getPositions=True)
    positions = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    return positions - positions.mean(axis=0)


class Terms:
    """The bonded terms of one LAMMPS section, and their types."""

    def __init__(self, section: str) -> None:
        """Starts without terms; section is Bond, Angle, Dihedral or Improper."""
        self.section = section
        self.types: dict[str, int] = {}
        self.rows: list[str] = []

    def add(self, atoms: tuple[int, ...], names: list[str], *coefficients: float) -> None:
        """Adds a term over 0-based atoms of the AMBER types names."""
        if self.section != "Improper":
            names = min(names, names[::-1])
        kind = f"{' '.join(f'{c:.12g}' for c in coefficients)} # {'-'.join(names)}"
        number = self.types.setdefault(kind, len(self.types) + 1)
        self.rows.append(" ".join(str(n) for n in (number, *(a + 1 for a in atoms))))

    def coefficients(self) -> list[str]:
        """Returns the data file's section of types."""
        title = f"{self.section} Coeffs # {STYLES[self.section]}"
        return ["", title, "", *(f"{number} {kind}" for kind, number in self.types.items())]

    def topology(self) -> list[str]:
        """Returns the data file's section of terms."""
        return ["", f"{self.section}s", "", *(f"{i} {row}" for i, row in enumerate(self.rows, 1))]


def bonded_terms(system: mm.System, names: list[str]) -> list[Terms]:
    """Returns the bonded terms of system in LAMMPS's real units and conventions."""
    bonds, angles, dihedrals, impropers = (Terms(section) for section in STYLES)
    series: dict[tuple[int, ...], list[float]] = {}
    for force in system.getForces():
        if isinstance(force, mm.HarmonicBondForce):
            for n in range(force.getNumBonds()):
                *atoms, length, k = plain(force.getBondParameters(n))
                # LAMMPS leaves out the factor 1/2 of a harmonic term.
                bonds.add(tuple(atoms), [names[a] for a in atoms], k / KCAL / 200, length * 10)
        elif isinstance(force, mm.HarmonicAngleForce):
            for n in range(force.getNumAngles()):
                *atoms, angle, k = plain(force.getAngleParameters(n))
                angles.add(tuple(atoms), [names[a] for a in atoms], k / KCAL / 2, degrees(angle))
        elif isinstance(force, mm.PeriodicTorsionForce):
            for n in range(force.getNumTorsions()):
                *atoms, period, phase, k = plain(force.getTorsionParameters(n))
                if k != 0.0:
                    terms = series.setdefault(tuple(atoms), [])
                    terms += [k / KCAL, period, degrees(phase)]
    for atoms, terms in series.items():
        classes = [names[a] for a in atoms]
        chain = itertools.pairwise(atoms)
        if all(tuple(sorted(pair)) in BONDS for pair in chain):
            dihedrals.add(atoms, classes, len(terms) // 3, *terms)
        else:
            k, period, phase = terms
            impropers.add(atoms, classes, k, {0.0: 1, 180.0: -1}[phase], period)
    return [bonds, angles, dihedrals, impropers]


def plain(parameters: list) -> list:
    """Strips OpenMM's units (nm, kJ/mol, rad) off parameters."""
    return [
        p.value_in_unit_system(unit.md_unit_system) if unit.is_quantity(p) else p
        for p in parameters
    ]


def degrees(angle: float) -> float:
    """Returns angle in degrees, without the rounding noise of the file's radians."""
    return round(math.degrees(angle), 8)


def data_file(
    system: mm.System, names: list[str], elements: list[str], positions: np.ndarray
) -> str:
    """Returns the LAMMPS data file; names are the atoms' AMBER types."""
    kinds = sorted(set(zip(elements, names, strict=True)))  # elements stay together: C H N O
    number = {name: n for n, (_, name) in enumerate(kinds, 1)}
    first = [names.index(name) for _, name in kinds]
    (nonbonded,) = (f for f in system.getForces() if isinstance(f, mm.NonbondedForce))
    particles = [plain(nonbonded.getParticleParameters(i)) for i in range(len(ATOMS))]
    terms = bonded_terms(system, names)

    lines = ["Alanine dipeptide, AMBER ff14SB, C7eq, units real (made by make_ala2_data.py)", ""]
    lines += [f"{len(ATOMS)} atoms", f"{len(kinds)} atom types"]
    for t in terms:
        lines += [
            f"{len(t.rows)} {t.section.lower()}s",
            f"{len(t.types)} {t.section.lower()} types",
        ]
    lines += ["", *(f"{-BOX} {BOX} {x}lo {x}hi" for x in "xyz")]
    lines += ["", "Masses", ""]
    for n, i in enumerate(first, 1):
        mass = system.getParticleMass(i).value_in_unit(unit.dalton)
        lines.append(f"{n} {mass:.12g} # {names[i]}")
    lines += ["", "Pair Coeffs # lj/cut/coul/cut", ""]
    for n, i in enumerate(first, 1):
        _, sigma, epsilon = particles[i]
        lines.append(f"{n} {epsilon / KCAL:.12g} {sigma * 10:.12g} # {names[i]}")
    for t in terms:
        lines += t.coefficients()
    lines += ["", "Atoms # full", ""]
    for i, (residue, atom, *_) in enumerate(ATOMS):
        xyz = " ".join(f"{x:.10f}" for x in positions[i])
        lines.append(
            f"{i + 1} 1 {number[names[i]]} {particles[i][0]:.12g} {xyz} # {residue} {atom}"
        )
    for t in terms:
        lines += t.topology()
    return "\n".join(lines) + "\n"


def xyz_file(elements: list[str], positions: np.ndarray) -> str:
    """Returns the geometry as extended XYZ."""
    lines = [str(len(elements)), 'Properties=species:S:1:pos:R:3 pbc="F F F"']
    lines += [
        f"{e} " + " ".join(f"{x:.10f}" for x in xyz)
        for e, xyz in zip(elements, positions, strict=True)
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Writes ala2.data and c7eq.xyz."""
    top = topology()
    field = app.ForceField("amber14-all.xml")
    system = field.createSystem(
        top, nonbondedMethod=app.NoCutoff, constraints=None, removeCMMotion=False
    )
    names = []
    for residue, template in zip(top.residues(), field.getMatchingTemplates(top), strict=True):
        types = {a.name: a.type for a in template.atoms}
        names += [types[a.name].removeprefix("protein-") for a in residue.atoms()]
    elements = [atom[2] for atom in ATOMS]
    positions = minimised(top, system)
    (HERE / "ala2.data").write_text(data_file(system, names, elements, positions))
    (HERE / "c7eq.xyz").write_text(xyz_file(elements, positions))


if __name__ == "__main__":
    main()
