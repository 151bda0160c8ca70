"""The direction of imports: each group of modules imports only groups to its left, and itself."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pyubias

PACKAGE = Path(pyubias.__file__).parent
GROUPS = [
    "errors plugin kernels contract config parallel options diversity.molecules",
    "graphs guards datasets selection levels calibration",
    "potential uncertainty",
    "objective",
    "fitting",
    "training exporting",
    "lammps_library calculator exploration labelling",
    "state analysis cells progress",
    "candidates",
    "stages records campaign figures pages cell_report report comparison relabelling rehearsal "
    "templates doctor diversity",
    "cli",
]
RANK = {name: rank for rank, group in enumerate(GROUPS) for name in group.split()}
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")
SUBPACKAGE = sorted(f"diversity.{path.stem}" for path in PACKAGE.glob("diversity/[!_]*.py"))


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
    return ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text()).body


def place(name):
    """The entry of GROUPS for a dotted name of ours: the longest that it begins with."""
    parts = name.split(".")[1:3]
    return next((p for p in (".".join(parts), *parts[:1]) if p in RANK), None)


class WithoutFunctions(ast.NodeTransformer):
    """Leaves the statements that run on import."""

    def visit_FunctionDef(self, node):
        return None


def at_module_level(module):
    tree = ast.Module(body=parsed(module), type_ignores=[])
    return WithoutFunctions().visit(tree).body


def top_levels(statements):
    return {name.split(".")[0] for name in imported(statements)}


@pytest.mark.parametrize("module", MODULES + SUBPACKAGE)
def test_a_module_imports_only_groups_to_its_left(module):
    own = place(f"pyubias.{module}")
    assert own, "a new module wants a place in GROUPS and in the design"
    ours = {name for name in imported(parsed(module)) if name.startswith("pyubias.")}
    wrong = {name for name in ours if place(name) and RANK[place(name)] > RANK[own]}
    assert wrong == set()
    assert {name for name in ours if not place(name)} <= {"pyubias.__version__"}


def test_only_parallel_knows_mpi4py():
    assert [m for m in MODULES if "mpi4py" in top_levels(parsed(m))] == ["parallel"]


@pytest.mark.parametrize("module", MODULES + SUBPACKAGE)
def test_lammps_and_mpi4py_are_not_imported_at_module_level(module):
    assert not {"lammps", "mpi4py"} & top_levels(at_module_level(module))


@pytest.mark.parametrize("module", MODULES + SUBPACKAGE)
def test_rdkit_is_imported_by_two_modules_when_they_are_used(module):
    assert "rdkit" not in top_levels(at_module_level(module))
    if module not in ("diversity.molecules", "diversity.conformers"):
        assert "rdkit" not in top_levels(parsed(module))


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
