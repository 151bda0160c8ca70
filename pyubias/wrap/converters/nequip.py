"""Converter for NequIP and Allegro: a checkpoint of nequip-train, or a package (.nequip.zip)."""

import sys
from pathlib import Path

# this file's own name must not hide the package
HERE = str(Path(__file__).parent)
sys.path = [folder for folder in sys.path if folder != HERE]
from e3nn.util.jit import script as e3nn_script
from nequip.integrations.ase import NequIPCalculator
from nequip.model.saved_models.load_utils import load_saved_model
from nequip.utils.global_state import set_global_state

sys.path.insert(0, HERE)

import common
import torch
from torch import Tensor, nn


class Body(nn.Module):
    """Energies and features from edge vectors.

    The features are the node features of the last layer. Allegro has none: its features are the
    sums of those of the edges around each atom.
    """

    def __init__(self, model, index: Tensor, of_edges: bool) -> None:
        super().__init__()
        self.model = model
        self.of_edges = of_edges
        self.n_features = 0
        self.register_buffer("index", index)
        self.register_buffer("columns", torch.zeros(0, dtype=torch.int64))

    def node_features(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor
    ) -> tuple[Tensor, Tensor]:
        n = len(types)
        data: dict[str, Tensor] = {
            "pos": edge_vectors.new_zeros((n, 3)),
            "atom_types": self.index[types],
            "edge_index": edge_index,
            "edge_vectors": edge_vectors,
        }
        result = self.model(data)
        if self.of_edges:
            of_edges = result["edge_features"]
            features = of_edges.new_zeros((n, of_edges.shape[1]))
            features = features.index_add(0, edge_index[0], of_edges)
        else:
            features = result["node_features"]
        return result["atomic_energy"].reshape(-1), features

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> tuple[Tensor, Tensor]:
        if len(types) == 0:
            nothing = edge_vectors.sum() * 0.0
            return nothing.expand(0), nothing.expand(0, self.n_features)
        energies, features = self.node_features(edge_vectors, edge_index, types)
        scalars = features.index_select(1, self.columns)
        return energies[:n_local].double(), scalars[:n_local].double()


def main():
    args = common.arguments()
    set_global_state()
    try:
        model = load_saved_model(args.file)
        calculator = NequIPCalculator._from_saved_model(args.file, device="cpu")
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        common.refuse(f"cannot read '{args.file}' as a NequIP checkpoint or package: {reason}")
    common.choose_head((), args.head)
    metadata = model.metadata
    cutoff = float(metadata["r_max"])
    index = common.type_index(args.elements, metadata["type_names"].split())
    for module in model.modules():
        if hasattr(module, "do_derivatives"):
            module.do_derivatives = False
    of_edges = "node_features" not in model.model.irreps_out
    try:
        scripted = e3nn_script(model.eval())
    except Exception as error:
        common.refuse(f"the model cannot be scripted: {str(error).strip().splitlines()[-1]}")
    body = Body(scripted, index, of_edges)
    body.columns = common.invariant_columns(body, cutoff, len(index))
    body.n_features = len(body.columns)
    common.write(
        args,
        body,
        calculator,
        package="nequip",
        cutoff=cutoff,
        dtype=metadata["model_dtype"],
    )


main()
