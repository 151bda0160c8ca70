"""A converter like those of the package, for files that name a toy and a fault."""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT / "pyubias" / "wrap" / "converters"), str(ROOT / "tests")]

import common
import numpy as np
import torch
from ase.calculators.calculator import Calculator, all_changes
from ase.neighborlist import neighbor_list
from torch import Tensor, nn
from toys import MessagePassing

CUTOFF = 4.0
KNOWN = ["Ar", "Ne", "Kr"]


class Body(common.Body):
    def __init__(self, toy: nn.Module, index: Tensor, scale: float) -> None:
        super().__init__(toy, index)
        self.scale = scale

    def of_all_atoms(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor
    ) -> tuple[Tensor, Tensor]:
        result = self.model(edge_vectors, edge_index, types, len(types))
        vector = edge_vectors.new_zeros((len(types), 3)).index_add(0, edge_index[0], edge_vectors)
        features = torch.cat([result["features"][:, :1], vector, result["features"][:, 1:]], dim=1)
        return self.scale * result["energies"], features


class NotScriptable(Body):
    def of_all_atoms(self, *graph):
        return super().of_all_atoms(*graph)


class FromPositions(Calculator):
    """The toy from positions and a strain, with the neighbor list of ASE."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, body, elements, factor):
        super().__init__()
        self.body, self.elements, self.factor = body, elements, factor

    def calculate(self, atoms=None, properties=(), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        i, j, shift = neighbor_list("ijS", atoms, CUTOFF)
        positions = torch.tensor(atoms.positions, requires_grad=True)
        strain = torch.zeros((3, 3), dtype=torch.float64, requires_grad=True)
        vectors = positions[j] - positions[i] + torch.tensor(shift @ atoms.cell.array)
        types = torch.tensor([self.elements.index(s) for s in atoms.symbols])
        edges = torch.tensor(np.stack([i, j]))
        strained = vectors + vectors @ (strain + strain.T) / 2
        energies, _ = self.body(strained, edges, types, len(atoms))
        energy = self.factor * energies.sum()
        forces, stress = torch.autograd.grad(-energy, [positions, strain])
        self.results = {"energy": float(energy.detach()), "forces": forces.numpy()}
        if atoms.pbc.all():
            voigt = -stress.numpy()[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
            self.results["stress"] = voigt / atoms.get_volume()


def main():
    args = common.arguments()
    if args.file.endswith(".pth"):
        common.forbid_code(args, args.file)
        text = torch.load(args.file, weights_only=False)["text"]
    else:
        text = json.loads(Path(args.file).read_text())
    fault = text.get("fault")
    if fault == "crash":
        raise RuntimeError("the toy fell apart")
    if fault == "package":
        import a_package_that_nobody_has  # noqa: F401
    head = common.choose_head(text.get("heads", ()), args.head)
    index = common.type_index(args.elements, KNOWN)
    toy = MessagePassing(text.get("layers", 2), CUTOFF)
    body = (NotScriptable if fault == "script" else Body)(toy, index, text.get("scale", 1.0))
    calculator = FromPositions(body, args.elements, 1.001 if fault == "wrong" else 1.0)
    common.write(
        args,
        body,
        calculator,
        package="numpy",
        known=KNOWN,
        cutoff=CUTOFF,
        dtype="float64",
        head=head,
    )


main()
