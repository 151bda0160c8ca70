"""The direction of imports: each room imports only rooms above it in the list, and itself."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyubias

PACKAGE = Path(pyubias.__file__).parent
ROOMS = [
    "errors",
    "files",
    "import_path",
    "console",
    "interruption",
    "plugin",
    "parallel",
    "config",
    "jobs",
    "molecules",
    "model",
    "contract",
    "training",
    "lammps",
    "reference",
    "analysis",
    "wrap",
    "trainers",
    "campaign",
    "report",
    "diversity.measure",
    "diversity.domain",
    "diversity.study",
    "benchmark",
    "cli",
]
FILES = sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or p.stem != "__init__")
MODULES = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in FILES}


def room_of(module: str) -> str | None:
    """The room that a module is in; None for the packages around rooms."""
    found = [room for room in ROOMS if module == room or module.startswith(f"{room}.")]
    return found[0] if found else None


def imported(statements: list[ast.stmt]) -> Iterator[str]:
    """Names of modules, also of those that functions import."""
    for statement in statements:
        for node in ast.walk(statement):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, "imports are absolute"
                assert node.module is not None
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parsed(path: Path) -> list[ast.stmt]:
    return ast.parse(path.read_text()).body


class WithoutFunctions(ast.NodeTransformer):
    """Leaves the statements that run on import."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        return None


def at_module_level(path: Path) -> list[ast.stmt]:
    tree = ast.Module(body=parsed(path), type_ignores=[])
    return WithoutFunctions().visit(tree).body


def top_levels(statements: list[ast.stmt]) -> set[str]:
    return {name.split(".")[0] for name in imported(statements)}


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_rooms_above_it(module: str) -> None:
    mine = room_of(module)
    assert mine or module == "diversity.__init__", "a new room wants a place in ROOMS"
    names = {name for name in imported(parsed(MODULES[module])) if name.startswith("pyubias.")}
    rooms = {room_of(name.removeprefix("pyubias.")) for name in names} - {None}
    below = {room for room in rooms if ROOMS.index(room) > ROOMS.index(mine)}
    assert below == set()


def test_the_rooms_are_explained_in_their_readme() -> None:
    text = (PACKAGE / "README.md").read_text()
    for entry in {path.relative_to(PACKAGE).parts[0] for path in FILES}:
        assert f"`{entry.removesuffix('.py')}" in text, f"README.md has no line about {entry}"


def modules_that_import(name: str) -> set[str]:
    return {module for module, path in MODULES.items() if name in top_levels(parsed(path))}


def test_only_the_room_of_molecules_imports_rdkit() -> None:
    assert {room_of(module) for module in modules_that_import("rdkit")} == {"molecules"}


def test_only_parallel_imports_mpi4py() -> None:
    assert modules_that_import("mpi4py") == {"parallel"}


@pytest.mark.parametrize("module", MODULES)
def test_lammps_and_mpi4py_are_not_imported_at_module_level(module: str) -> None:
    assert not {"lammps", "mpi4py"} & top_levels(at_module_level(MODULES[module]))


def loaded_after(statement: str) -> set[str]:
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


def test_importing_the_package_does_not_load_torch() -> None:
    """Every start of `lmp` does both, to find the plugin."""
    loaded = loaded_after("import pyubias\nimport pyubias.plugin")
    assert "pyubias.plugin" in loaded
    assert not {"torch", "numpy", "ase", "mpi4py", "lammps"} & loaded


def test_the_command_line_answers_before_it_loads_torch() -> None:
    loaded = loaded_after("import pyubias.cli")
    assert "typer" in loaded
    assert not {"torch", "numpy", "ase", "scipy", "matplotlib", "mpi4py", "lammps"} & loaded


def test_the_process_of_a_reference_loads_neither_torch_nor_pydantic() -> None:
    loaded = loaded_after("import pyubias.reference.worker\nimport pyubias.reference.lammps")
    assert "pyubias.reference.lammps" in loaded
    assert not {"torch", "vesin", "scipy", "pydantic", "yaml"} & loaded


def test_every_public_name_can_be_imported() -> None:
    for name in pyubias.__all__:
        assert getattr(pyubias, name).__module__.startswith("pyubias.")
    assert set(pyubias.__all__) <= set(dir(pyubias))


def test_a_name_that_is_not_there_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'pyubias' has no attribute 'trian'"):
        pyubias.trian  # noqa: B018
