"""Morgan fingerprints of molecules, and their Tanimoto similarity."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["N_BITS", "fingerprint", "similarities"]

RADIUS = 2  # bonds

N_BITS = 2048


def fingerprint(molecule: Any) -> frozenset[int]:
    """The bits that are set in the Morgan fingerprint of an RDKit molecule."""
    from rdkit.Chem import rdFingerprintGenerator

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=N_BITS)
    return frozenset(generator.GetFingerprint(molecule).GetOnBits())


def similarities(a: Sequence[Collection[int]], b: Sequence[Collection[int]]) -> NDArray[np.float64]:
    """Tanimoto similarity (a, b) of each a with each b; 1 for equal fingerprints, even if empty."""
    rows, columns = _matrix(a), _matrix(b)
    shared = (rows @ columns.T).astype(np.float64)
    union = rows.sum(1)[:, None] + columns.sum(1) - shared
    return np.where(union > 0.0, shared / np.maximum(union, 1.0), 1.0)


def _matrix(fingerprints: Sequence[Collection[int]]) -> NDArray[np.float32]:
    bits = np.zeros((len(fingerprints), N_BITS), dtype=np.float32)
    for row, found in zip(bits, fingerprints, strict=True):
        row[list(found)] = 1.0
    return bits
