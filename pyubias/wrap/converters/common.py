"""What the converters share. They run in the environment of a model's package, without pyubias.

A converter reads a model file of one package and writes into a folder:

* ``body.pt``, TorchScript: forward(edge_vectors f64, edge_index, types, n_local) ->
  (energies (n_local,) f64 in eV, features (n_local, p) f64), in the graph of `pyubias.contract`;
* ``body.json``: package, cutoff, dtype, head, elements, and all elements that the model knows;
* ``expected.json``: energies, forces and stresses of structures by the package's ASE calculator.
"""

import argparse
import json
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import ase.io
import numpy as np
import torch
from torch import Tensor, nn

TRUST = "give --trust, or trust: true in a campaign, if you know who made it"


class Body(nn.Module):
    """What the converters write: energies of a model, and those of its features that are scalars.

    `of_all_atoms` of a derived class calls the model.

    Args:
        model: a scripted model of the package.
        index: (types,) i64, positions of our elements in the model's list.
    """

    def __init__(self, model, index: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("index", index)
        self.register_buffer("scalars", torch.zeros(0, dtype=torch.int64))

    def find_scalars(self, cutoff: float) -> None:
        """Keep those features that do not change when a structure rotates."""
        generator = torch.Generator().manual_seed(0)
        n = 6
        positions = 0.4 * cutoff * torch.randn((n, 3), generator=generator, dtype=torch.float64)
        types = torch.arange(n) % len(self.index)
        i, j = torch.nonzero(~torch.eye(n, dtype=torch.bool), as_tuple=True)
        found = []
        for _ in range(3):
            turn = torch.randn((3, 3), generator=generator, dtype=torch.float64)
            rotation, _ = torch.linalg.qr(turn)
            vectors = (positions[j] - positions[i]) @ (rotation * torch.linalg.det(rotation))
            kept = vectors.norm(dim=1) < cutoff
            edge_index = torch.stack([i[kept], j[kept]])
            _, features = self.of_all_atoms(vectors[kept], edge_index, types)
            found.append(features.detach().double())
        change = torch.stack([(x - found[0]).abs().amax(0) for x in found[1:]]).amax(0)
        invariant = change <= 1e-3 * found[0].abs().amax(0) + 1e-12
        self.scalars = torch.nonzero(invariant).flatten()

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> tuple[Tensor, Tensor]:
        if len(types) == 0:  # models of the packages fail there
            nothing = edge_vectors.sum() * 0.0
            return nothing.expand(0), nothing.expand(0, len(self.scalars))
        energies, features = self.of_all_atoms(edge_vectors, edge_index, types)
        features = features[:n_local].index_select(1, self.scalars)
        return energies.reshape(-1)[:n_local].double(), features.double()


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


def forbid_code(args, path):
    """Refuse a file of torch.save whose reading could run code in it, unless it is trusted.

    The packages unpickle such files without restrictions. What the restricted reader of torch
    accepts holds only tensors, arrays of numpy and plain values, and runs no code there either.
    """
    if args.trust:
        return
    allowed = [np.ndarray, np.dtype, *(type(np.dtype(code)) for code in "?ilqfdOU")]
    make_array = np.zeros(0).__reduce__()[0]
    allowed += [
        (make_array, f"{core}.multiarray._reconstruct") for core in ("numpy.core", "numpy._core")
    ]
    try:
        with torch.serialization.safe_globals(allowed):
            torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it calls {found[1]}" if found else "it holds more than tensors and numbers"
        refuse(f"reading '{args.file}' may run code in it ({reason}): {TRUST}")


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


def write(args, body, calculator, *, package, known, cutoff, dtype, head=None):
    """Write the body, its description, and what the package's own calculator says."""
    body.find_scalars(cutoff)
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
        "known": list(known),
        "head": head,
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
