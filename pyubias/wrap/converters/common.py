"""What the converters share. They run in the environment of a model's package, without pyubias.

A converter reads a model file of one package and writes into a folder:

* ``body.pt``, TorchScript: forward(edge_vectors f64, edge_index, types, n_local) ->
  (energies (n_local,) f64 in eV, features (n_local, p) f64), in the graph of `pyubias.contract`;
* ``body.json``: package, cutoff, dtype, elements and head;
* ``expected.json``: energies, forces and stresses of structures by the package's ASE calculator.
"""

import argparse
import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import ase.io
import numpy as np
import torch


def arguments():
    """The command line of a converter."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=Path, required=True, help="structures for the comparison")
    parser.add_argument("--elements", nargs="+", required=True, help="in type order")
    parser.add_argument("--head", help="for models of several heads")
    parser.add_argument("--trust", action="store_true", help="unpickle the file")
    return parser.parse_args()


def refuse(message):
    """End with one line, which pyubias prints."""
    print(f"REFUSED: {message}", file=sys.stderr)
    sys.exit(3)


def choose_head(heads, wanted):
    """The head to use; a model of several heads must be told which."""
    heads = list(heads)
    if len(heads) <= 1 and wanted in (None, *heads):
        return heads[0] if heads else None
    if wanted not in heads:
        got = "none was named" if wanted is None else f"got {wanted!r}"
        refuse(f"the model has the heads {', '.join(heads) or 'none'}: {got}; use --head")
    return wanted


def type_index(elements, known):
    """Positions in the model's list of elements, in type order."""
    known = list(known)
    missing = [symbol for symbol in elements if symbol not in known]
    if missing:
        refuse(f"the model has no element {missing[0]}; it has {' '.join(known)}")
    return torch.tensor([known.index(symbol) for symbol in elements])


def invariant_columns(body, cutoff, n_types):
    """The columns of the node features that do not change when a structure rotates."""
    generator = torch.Generator().manual_seed(0)
    n = 6
    positions = 0.4 * cutoff * torch.randn((n, 3), generator=generator, dtype=torch.float64)
    types = torch.arange(n) % n_types
    i, j = torch.nonzero(~torch.eye(n, dtype=torch.bool), as_tuple=True)
    found = []
    for _ in range(3):
        rotation, _ = torch.linalg.qr(torch.randn((3, 3), generator=generator, dtype=torch.float64))
        vectors = (positions[j] - positions[i]) @ (rotation * torch.linalg.det(rotation))
        kept = vectors.norm(dim=1) < cutoff
        edge_index = torch.stack([i[kept], j[kept]])
        found.append(body.node_features(vectors[kept], edge_index, types)[1].detach().double())
    change = torch.stack([(x - found[0]).abs().amax(0) for x in found[1:]]).amax(0)
    return torch.nonzero(change <= 1e-3 * found[0].abs().amax(0) + 1e-12).flatten()


def write(args, body, calculator, *, package, cutoff, dtype, head=None, **more):
    """Write the body, its description, and what the package's own calculator says."""
    body = body.eval().requires_grad_(False)
    try:
        scripted = torch.jit.script(body)
    except Exception as error:
        refuse(f"the model cannot be scripted: {str(error).strip().splitlines()[-1]}")
    torch.jit.save(scripted, str(args.folder / "body.pt"))
    try:
        package = f"{package} {version(package)}"
    except PackageNotFoundError:  # a compiled file does not need its package
        package = f"{package} (not installed)"
    description = {
        "package": package,
        "cutoff": float(cutoff),
        "dtype": dtype,
        "elements": args.elements,
        "head": head,
        **more,
    }
    expected = []
    for atoms in ase.io.read(args.frames, ":"):
        atoms.calc = calculator
        stress = np.asarray(atoms.get_stress()).tolist() if atoms.pbc.all() else None
        expected.append(
            {
                "energy": float(atoms.get_potential_energy()),
                "forces": np.asarray(atoms.get_forces()).tolist(),
                "stress": stress,
            }
        )
    (args.folder / "expected.json").write_text(json.dumps(expected))
    (args.folder / "body.json").write_text(json.dumps(description))
