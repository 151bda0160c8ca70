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
from torch import Tensor


class Body(common.Body):
    """The features are the node features of the last layer.

    Allegro has none: its features are the sums of those of the edges around each atom.
    """

    def __init__(self, model, index: Tensor, of_edges: bool) -> None:
        super().__init__(model, index)
        self.of_edges = of_edges

    def of_all_atoms(
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
        return result["atomic_energy"], features


def main():
    args = common.arguments()
    of_repository = args.file.startswith("nequip.net:")
    if not of_repository and not Path(args.file).is_file():
        common.refuse(f"'{args.file}' does not exist")
    if not args.trust:
        # a package holds code; a checkpoint names functions, with arguments, that build the model
        common.refuse(f"reading '{args.file}' runs the code that it names: {common.TRUST}")
    set_global_state()
    try:
        model = load_saved_model(args.file)
        calculator = NequIPCalculator._from_saved_model(args.file, device="cpu")
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        common.refuse(f"cannot read '{args.file}' as a NequIP checkpoint or package: {reason}")
    common.choose_head((), args.head)
    metadata = model.metadata
    cutoff = float(metadata["r_max"])
    known = metadata["type_names"].split()
    index = common.type_index(args.elements, known)
    for module in model.modules():
        if hasattr(module, "do_derivatives"):
            module.do_derivatives = False
    of_edges = "node_features" not in model.model.irreps_out
    try:
        scripted = e3nn_script(model.eval())
    except Exception as error:
        common.refuse(f"the model cannot be scripted: {str(error).strip().splitlines()[-1]}")
    common.write(
        args,
        Body(scripted, index, of_edges),
        calculator,
        package="nequip",
        known=known,
        cutoff=cutoff,
        dtype=metadata["model_dtype"],
    )


main()
