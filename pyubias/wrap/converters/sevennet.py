"""Converter for SevenNet: a checkpoint, or the name of a pretrained model such as 7net-0."""

import common
import torch
from ase.data import chemical_symbols
from e3nn.util.jit import script as e3nn_script
from sevenn.calculator import SevenNetCalculator
from sevenn.util import load_checkpoint, pretrained_name_to_path
from torch import Tensor, nn


class Body(nn.Module):
    """Energies, and the hidden features of the readout, from edge vectors."""

    def __init__(self, model, index: Tensor, n_features: int) -> None:
        super().__init__()
        self.model = model
        self.n_features = n_features
        self.register_buffer("index", index)

    def forward(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor, n_local: int
    ) -> tuple[Tensor, Tensor]:
        if len(types) == 0:
            nothing = edge_vectors.sum() * 0.0
            return nothing.expand(0), nothing.expand(0, self.n_features)
        data: dict[str, Tensor] = {
            "x": self.index[types],
            "edge_index": edge_index,
            "edge_vec": edge_vectors.float(),
            "num_atoms": torch.tensor([len(types)], device=types.device),
        }
        result = self.model(data)
        energies = result["atomic_energy"].reshape(-1)[:n_local].double()
        return energies, result["x"][:n_local].double()


def main():
    args = common.arguments()
    try:
        path = args.file if args.file.endswith(".pth") else pretrained_name_to_path(args.file)
        checkpoint = load_checkpoint(path)
    except Exception as error:
        common.refuse(f"cannot read '{args.file}' as a SevenNet checkpoint: {error}")
    config = checkpoint.config
    model = checkpoint.build_model(enable_cueq=False, enable_flash=False, enable_oeq=False)
    head = common.choose_head(model.modal_map or (), args.head)
    if head is not None:
        model.prepare_modal_deploy(head)
    model.delete_module_by_key("force_output")
    model.eval_type_map = False
    model.key_grad = None
    model.set_is_batch_data(False)
    type_map = config["_type_map"]
    known = [chemical_symbols[z] for z in sorted(type_map, key=type_map.get)]
    index = common.type_index(args.elements, known)
    n_features = model.reduce_hidden_to_energy.linear.irreps_in.dim
    common.write(
        args,
        Body(e3nn_script(model.eval()), index, n_features),
        SevenNetCalculator(args.file, device="cpu", **({"modal": head} if head else {})),
        package="sevenn",
        cutoff=config["cutoff"],
        dtype="float32",
        head=head,
    )


main()
