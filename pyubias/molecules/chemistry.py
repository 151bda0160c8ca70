"""Access to RDKit, which is an optional dependency and imported on first use."""

from typing import Any

from pyubias.errors import UserError

__all__ = ["chemistry"]


def chemistry() -> Any:
    """RDKit's module ``Chem``, with its log messages switched off.

    Raises:
        UserError: RDKit is not installed.
    """
    try:
        from rdkit import Chem, RDLogger
    except ImportError as error:
        raise UserError(
            "molecules need RDKit, which is not installed: pip install 'pyubias[diversity]'"
        ) from error
    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    return Chem
