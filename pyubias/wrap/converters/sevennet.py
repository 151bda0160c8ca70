"""Converter for SevenNet: a checkpoint, or the name of a pretrained model such as 7net-0."""

from pathlib import Path

import common
import torch
from ase.data import chemical_symbols
from e3nn.util.jit import script as e3nn_script
from sevenn.calculator import SevenNetCalculator
from sevenn.util import load_checkpoint, pretrained_name_to_path
from torch import Tensor, nn


class Keeps(nn.Module):
    """A layer that adds its features to those of the layers before it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        data = self.layer(data)
        kept = data["x"]
        if "layers" in data:
            kept = torch.cat([data["layers"], kept], dim=1)
        data["layers"] = kept
        return data


class Body(common.Body):
    """The features are the node features of all layers."""

    def of_all_atoms(
        self, edge_vectors: Tensor, edge_index: Tensor, types: Tensor
    ) -> tuple[Tensor, Tensor]:
        data: dict[str, Tensor] = {
            "x": self.index[types],
            "edge_index": edge_index,
            "edge_vec": edge_vectors.float(),
            "num_atoms": torch.tensor([len(types)], device=types.device),
        }
        result = self.model(data)
        return result["atomic_energy"], result["layers"]


def main():
    args = common.arguments()
    path = args.file
    if Path(path).is_file():
        common.forbid_code(args, path)
    elif path.endswith(".pth"):
        common.refuse(f"'{path}' does not exist")
    try:
        # models that the package knows by a name are its own
        path = path if Path(path).is_file() else pretrained_name_to_path(path)
        checkpoint = load_checkpoint(path)
        config = checkpoint.config
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        common.refuse(f"cannot read '{args.file}' as a SevenNet checkpoint: {reason}")
    model = checkpoint.build_model(enable_cueq=False, enable_flash=False, enable_oeq=False)
    head = common.choose_head(model.modal_map or (), args.head)
    if head is not None:
        model.prepare_modal_deploy(head)
    model.delete_module_by_key("force_output")
    for name, module in list(model.named_children()):
        if name.endswith("equivariant_gate"):  # the last module of a layer
            model.replace_module(name, Keeps(module))
    model.eval_type_map = False
    model.key_grad = None
    model.set_is_batch_data(False)
    type_map = config["_type_map"]
    known = [chemical_symbols[z] for z in sorted(type_map, key=type_map.get)]
    index = common.type_index(args.elements, known)
    common.write(
        args,
        Body(e3nn_script(model.eval()), index),
        SevenNetCalculator(path, device="cpu", **({"modal": head} if head else {})),
        package="sevenn",
        known=known,
        cutoff=config["cutoff"],
        dtype="float32",
        head=head,
    )


main()
