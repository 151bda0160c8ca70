"""Converter for MACE: NAME_compiled.model, which is TorchScript, or NAME.model, a pickle.

The compiled file needs no unpickling. With mace installed, its own ASE calculator is the reference
of the comparison; without, the model's own forces from positions are.
"""

import sys
from pathlib import Path

# this file's own name must not hide the package
HERE = str(Path(__file__).parent)
sys.path = [folder for folder in sys.path if folder != HERE]
try:
    from mace.calculators import MACECalculator
except ImportError:
    MACECalculator = None
sys.path.insert(0, HERE)

import common
import numpy as np
import torch
from ase.calculators.calculator import Calculator, all_changes
from ase.data import chemical_symbols
from ase.neighborlist import neighbor_list
from ase.stress import full_3x3_to_voigt_6_stress
from torch import Tensor


class Body(common.Body):
    """The features are the node features of all layers.

    MACE's vector of an edge is positions[receiver] - positions[sender] + shift: with positions of
    zero, the centre as receiver and the shift -r_e, it is that of our edge from the other side.
    """

    def __init__(self, model, index: Tensor, n_elements: int, head: int) -> None:
        super().__init__(model, index)
        self.dtype = next(iter(model.parameters())).dtype
        self.head = head
        self.register_buffer("attributes", torch.eye(n_elements, dtype=self.dtype)[index])

    def of_all_atoms(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor
    ) -> tuple[Tensor, Tensor]:
        n = len(types)
        shifts = -edge_vectors.to(self.dtype)
        no_batch = torch.zeros(n, dtype=torch.int64, device=types.device)
        data: dict[str, Tensor] = {
            "positions": torch.zeros((n, 3), dtype=self.dtype, device=types.device),
            "node_attrs": self.attributes[types],
            "edge_index": edge_index.flip(0),
            "shifts": shifts,
            "unit_shifts": torch.zeros_like(shifts),
            "cell": torch.eye(3, dtype=self.dtype, device=types.device),
            "batch": no_batch,
            "ptr": torch.tensor([0, n], device=types.device),
            "head": torch.tensor([self.head], device=types.device),
        }
        result = self.model(data, compute_force=False)
        energies, features = result["node_energy"], result["node_feats"]
        assert energies is not None
        assert features is not None
        return energies, features


class FromPositions(Calculator):
    """The model's own energies, forces and stresses, for environments without mace."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, body, index, elements, cutoff):
        super().__init__()
        self.body, self.index, self.elements, self.cutoff = body, index, elements, cutoff

    def calculate(self, atoms=None, properties=(), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        i, j, unit = neighbor_list("ijS", atoms, self.cutoff)
        dtype = self.body.dtype
        cell = torch.tensor(atoms.cell.array, dtype=dtype)
        unit = torch.tensor(unit, dtype=dtype)
        n = len(atoms)
        types = torch.tensor([self.elements.index(s) for s in atoms.symbols])
        data = {
            "positions": torch.tensor(atoms.positions, dtype=dtype),
            "node_attrs": self.body.attributes[types],
            "edge_index": torch.tensor(np.stack([i, j])),
            "shifts": unit @ cell,
            "unit_shifts": unit,
            "cell": cell,
            "batch": torch.zeros(n, dtype=torch.int64),
            "ptr": torch.tensor([0, n]),
            "head": torch.tensor([self.body.head]),
        }
        periodic = bool(atoms.pbc.all())
        result = self.body.model(data, compute_force=True, compute_stress=periodic)
        self.results = {
            "energy": float(result["energy"].detach()[0]),
            "forces": result["forces"].detach().numpy(),
        }
        if periodic:
            stress = result["stress"].detach()[0].numpy()
            self.results["stress"] = full_3x3_to_voigt_6_stress(stress)


def load(args):
    """The model as TorchScript."""
    try:
        return torch.jit.load(args.file)
    except (RuntimeError, ValueError) as error:
        if not Path(args.file).is_file():
            common.refuse(f"'{args.file}' does not exist")
        if not args.trust:
            common.refuse(
                f"'{args.file}' is no TorchScript ({str(error).splitlines()[0][:80]}): give "
                "NAME_compiled.model, which mace_run_train writes beside it; unpickling it runs "
                f"the code in it: {common.TRUST}"
            )
    if MACECalculator is None:
        raise ModuleNotFoundError("No module named 'mace'")
    from e3nn.util import jit

    try:
        model = torch.load(args.file, map_location="cpu", weights_only=False)
    except Exception as error:
        common.refuse(f"cannot unpickle '{args.file}': {error}")
    try:
        return jit.compile(model.eval())
    except Exception as error:
        reason = str(error).strip().splitlines()[-1]
        common.refuse(f"the model cannot be scripted: {reason}")


def main():
    args = common.arguments()
    model = load(args)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    known = [chemical_symbols[int(z)] for z in model.atomic_numbers]
    index = common.type_index(args.elements, known)
    heads = list(getattr(model, "heads", ["Default"]))
    head = common.choose_head(heads, args.head)
    cutoff = float(model.r_max)
    body = Body(model, index, len(known), heads.index(head))
    dtype = str(body.dtype).removeprefix("torch.")
    if MACECalculator is None:
        calculator = FromPositions(body, index, args.elements, cutoff)
    else:
        calculator = MACECalculator(models=[model], device="cpu", default_dtype=dtype, head=head)
    common.write(
        args,
        body,
        calculator,
        package="mace-torch",
        known=known,
        cutoff=cutoff,
        dtype=dtype,
        head=head if len(heads) > 1 else None,
    )


main()
