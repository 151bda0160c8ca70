"""Python objects that settings name: by an import path, or by a name in a file."""

import pkgutil
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import cast

__all__ = ["load_object"]


def load_object(path: str, file: Path | None = None) -> object:
    """The object of an import path such as ``tblite.ase.TBLite``, or of its last name in a file.

    The file runs, and may raise anything.

    Args:
        path: import path, or the name in the file.
        file: Python file; it may have any suffix.
    """
    if file is None:
        return pkgutil.resolve_name(path)
    # with a loader of its own, the file may have any suffix
    loader = SourceFileLoader(file.stem, str(file))
    module = module_from_spec(cast(ModuleSpec, spec_from_file_location(file.stem, loader=loader)))
    loader.exec_module(module)
    return getattr(module, path.rpartition(".")[2])
