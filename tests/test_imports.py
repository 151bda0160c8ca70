"""The direction of imports: each group of modules imports only groups to its left, and itself."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pyubias

PACKAGE = Path(pyubias.__file__).parent
GROUPS = [
    "errors plugin kernels contract settings parallel",
    "config",
    "graphs guards datasets selection levels calibration",
    "potential uncertainty",
    "objective",
    "fitting",
    "training exporting",
    "lammps_library calculator metadynamics exploration labelling",
    "state analysis cells progress",
    "candidates visits gathering",
    "stages records campaign figures options pages cell_report report comparison "
    "relabelling rehearsal templates doctor",
    "cli",
]
DIVERSITY = [
    "bonds measures scores force_field intervals",
    "molecules",
    "geometry conformers",
    "census",
    "overlap domain allocation sets config",
    "plan",
    "figures findings arms walkers",
    "summary study_report pool applicability",
    "study report",
    "commands",
]


def ranks(groups):
    return {name: rank for rank, group in enumerate(groups) for name in group.split()}


RANK, DIVERSITY_RANK = ranks(GROUPS), ranks(DIVERSITY)
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")
DIVERSITY_MODULES = sorted(
    f"diversity/{path.stem}"
    for path in (PACKAGE / "diversity").glob("*.py")
    if path.stem != "__init__"
)


def imported(statements):
    """Dotted names of all modules that these statements, or what they contain, import."""
    for statement in statements:
        for node in ast.walk(statement):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, "imports are absolute"
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parsed(module):
    return ast.parse((PACKAGE / f"{module}.py").read_text()).body


class WithoutFunctions(ast.NodeTransformer):
    """Leaves the statements that run on import."""

    def visit_FunctionDef(self, node):
        return None


def at_module_level(module):
    tree = ast.Module(body=parsed(module), type_ignores=[])
    return WithoutFunctions().visit(tree).body


def top_levels(statements):
    return {name.split(".")[0] for name in imported(statements)}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_groups_to_its_left(module):
    assert module in RANK, "a new module wants a place in GROUPS and in the design"
    names = [name.split(".") for name in imported(parsed(module))]
    ours = {name[1] for name in names if name[0] == "pyubias" and len(name) > 1}
    assert {name for name in ours & set(RANK) if RANK[name] > RANK[module]} == set()
    assert ours <= {*RANK, "diversity", "__version__"}
    # the campaign knows molecules, and nothing else of the second strand
    theirs = {name[2] for name in names if name[:2] == ["pyubias", "diversity"] and len(name) > 2}
    assert theirs <= {"commands"} if module == "cli" else theirs <= {"molecules"}


@pytest.mark.parametrize("module", DIVERSITY_MODULES)
def test_a_module_of_diversity_imports_only_groups_to_its_left(module):
    name = module.removeprefix("diversity/")
    assert name in DIVERSITY_RANK, "a new module wants a place in DIVERSITY"
    names = [found.split(".") for found in imported(parsed(module))]
    theirs = {found[2] for found in names if found[:2] == ["pyubias", "diversity"] if found[2:]}
    assert {t for t in theirs if DIVERSITY_RANK[t] > DIVERSITY_RANK[name]} == set()
    assert not {"campaign", "stages", "report", "cli"} & {
        found[1] for found in names if found[0] == "pyubias" and found[1:]
    }


def test_only_molecules_and_their_geometries_know_rdkit():
    knowing = {m for m in DIVERSITY_MODULES if "rdkit" in top_levels(parsed(m))}
    assert knowing == {f"diversity/{name}" for name in ("molecules", "conformers", "force_field")}


def test_only_parallel_knows_mpi4py():
    assert [m for m in MODULES if "mpi4py" in top_levels(parsed(m))] == ["parallel"]


@pytest.mark.parametrize("module", [*MODULES, *DIVERSITY_MODULES])
def test_lammps_and_mpi4py_are_not_imported_at_module_level(module):
    assert not {"lammps", "mpi4py"} & top_levels(at_module_level(module))


def loaded_after(statement):
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


def test_importing_the_package_does_not_load_torch():
    """Every start of `lmp` does both, to find the plugin."""
    loaded = loaded_after("import pyubias\nimport pyubias.plugin")
    assert "pyubias.plugin" in loaded
    assert not {"torch", "numpy", "ase", "mpi4py", "lammps"} & loaded


def test_every_public_name_can_be_imported():
    for name in pyubias.__all__:
        assert getattr(pyubias, name).__module__.startswith("pyubias.")
    assert set(pyubias.__all__) <= set(dir(pyubias))


def test_a_name_that_is_not_there_is_no_attribute():
    with pytest.raises(AttributeError, match="module 'pyubias' has no attribute 'trian'"):
        pyubias.trian  # noqa: B018
