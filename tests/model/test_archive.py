"""Model files hold what was saved, and damaged or foreign files are refused."""

import json
from pathlib import Path

import pytest
import torch
from toys import LennardJones, MessagePassing, Toy, save_toy

from pyubias.model.archive import (
    METADATA_FILE,
    ContractError,
    Metadata,
    attainable_of,
    load,
    save,
)

METADATA = Metadata(elements=["Ar", "Ne"], cutoff=4.0, n_features=2)


def test_a_loaded_model_has_the_saved_metadata_and_results(tmp_path):
    written = {"uncertainty": "toy", "alpha": 0.1, "total_factor": 2.5, "training_hash": "abc"}
    module, metadata = load(save_toy(tmp_path / "toy.pt", **written))
    assert metadata.elements == ["Ar", "Ne"]
    assert metadata.model_dump().items() >= written.items()
    edges = torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, -2.0]], dtype=torch.float64)
    arguments = (edges, torch.tensor([[0, 1], [1, 0]]), torch.tensor([0, 1]), 2)
    for name, value in Toy()(*arguments).items():
        assert torch.equal(module(*arguments)[name], value)


def test_metadata_hold_the_versions_that_wrote_them():
    assert METADATA.contract_version == 1
    assert METADATA.torch_version == torch.__version__
    assert METADATA.pyubias_version


def test_further_metadata_fields_are_kept(tmp_path):
    _, metadata = load(save_toy(tmp_path / "toy.pt", author="somebody"))
    assert metadata.model_extra == {"author": "somebody"}


def test_a_file_appears_only_when_it_is_complete(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        Path(arguments[1]).write_bytes(b"half")
        raise OSError("disk full")

    save_toy(tmp_path / "good.pt")
    assert [p.name for p in tmp_path.iterdir()] == ["good.pt"]
    monkeypatch.setattr(torch.jit, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_toy(tmp_path / "bad.pt")
    assert not (tmp_path / "bad.pt").exists()


def test_a_module_that_is_not_scripted_is_refused(tmp_path):
    with pytest.raises(ContractError, match=r"got Toy; pass it through torch.jit.script first"):
        save(Toy(), tmp_path / "toy.pt", METADATA)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ContractError, match=r"model file '.*none.pt' does not exist"):
        load(tmp_path / "none.pt")


def test_a_checkpoint_is_told_from_a_model(tmp_path):
    path = tmp_path / "x.ckpt"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(ContractError, match=r"is a checkpoint, not a model file: `pyubias export"):
        load(path)


@pytest.mark.parametrize("part", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, part):
    path = save_toy(tmp_path / "toy.pt")
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ContractError, match=r"toy.pt' is not a readable TorchScript archive"):
        load(path)


def save_with_text(path, text):
    """A model file with `text` as its metadata, or without metadata."""
    extra_files = {} if text is None else {METADATA_FILE: text}
    torch.jit.save(torch.jit.script(Toy()), str(path), _extra_files=extra_files)
    return path


def test_several_hops_need_version_2_and_one_hop_does_not(tmp_path):
    assert load(save_toy(tmp_path / "one.pt"))[1].contract_version == 1
    assert load(save_toy(tmp_path / "two.pt", MessagePassing(2)))[1].contract_version == 2


def fields(**changes):
    return json.dumps({**METADATA.model_dump(), **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "carries no pyubias metadata; write it with pyubias.contract.save"),
        ("{", "metadata are not JSON"),
        (fields(contract_version=3), "has contract version 3, this pyubias reads versions 1 to 2"),
        (fields(contract_version=None), "has contract version None, this pyubias reads versions 1"),
        ("{}", "has contract version None"),
        ("[1]", "metadata are not a JSON object, got list"),
        (fields(cutoff=-1.0), "metadata field 'cutoff': .* equal to 0.1, got -1.0"),
        (fields(cutoff=1e-9), "metadata field 'cutoff': .* equal to 0.1, got 1e-09"),
        (fields(cutoff=float("inf")), "metadata field 'cutoff': .* equal to 1000, got inf"),
        (fields(cutoff=float("nan")), "metadata field 'cutoff': .*, got nan"),
        (fields(cutoff="4.0"), "metadata field 'cutoff': .* valid number, got '4.0'"),
        (fields(n_features=0), "metadata field 'n_features': .* equal to 1, got 0"),
        (fields(n_features=-10), "metadata field 'n_features': .* equal to 1, got -10"),
        (fields(n_features=10**8), "metadata field 'n_features': .* to 1000000, got 100000000"),
        (fields(n_features=True), "metadata field 'n_features': .* valid integer, got True"),
        (fields(alpha=-5.0), "metadata field 'alpha': .* greater than 0, got -5.0"),
        (fields(alpha=1.0), "metadata field 'alpha': .* less than 1, got 1.0"),
        (fields(alpha=float("nan")), "metadata field 'alpha': .*, got nan"),
        (fields(total_factor=0.0), "metadata field 'total_factor': .* greater than 0, got 0.0"),
        (fields(atomic_factor=float("inf")), "metadata field 'atomic_factor': .* finite .*, got"),
        (fields(elements=["Ar", "Xx"]), "metadata field 'elements': .*'Xx' is no chemical symbol"),
        (fields(elements=["Ar", "Ar"]), "metadata field 'elements': .*an element occurs twice"),
        (fields(elements=[]), "metadata field 'elements': .* at least 1 item"),
        (fields(dtype="float16"), "metadata field 'dtype': .*, got 'float16'"),
    ],
)
def test_invalid_metadata_are_refused(tmp_path, text, message):
    with pytest.raises(ContractError, match=message):
        load(save_with_text(tmp_path / "toy.pt", text))


def test_the_hash_of_a_model_depends_on_its_numbers_and_its_code_only(tmp_path):
    def hash_of(name: str, toy: Toy) -> str:
        return load(save_toy(tmp_path / name, toy))[1].model_hash

    first = hash_of("first.pt", Toy())
    assert len(first) == 12
    assert hash_of("again.pt", Toy()) == first
    assert hash_of("code.pt", LennardJones()) != first
    shifted = Toy()
    shifted.register_buffer("shift", torch.ones(1))
    assert hash_of("number.pt", shifted) != first


@pytest.mark.parametrize(
    ("fields", "total", "atomic"),
    [
        ({"alpha": 0.1, "total_attainable": 0.8, "total_factor": 1.0}, 0.8, 0.0),
        ({"alpha": 0.1, "total_attainable": 0.0, "total_factor": 1.0}, 0.0, 0.0),
        ({"alpha": 0.1, "total_factor": 1.0}, 0.0, 0.0),
        ({"alpha": 0.1, "total_factor": 3.7}, None, 0.0),
        ({"alpha": 0.1, "total_factor": 3.7, "atomic_factor": 1.0}, None, 0.0),
        ({"alpha": 0.1}, None, None),
        ({}, 0.0, 0.0),
    ],
)
def test_a_factor_that_calibration_never_set_is_no_calibration(fields, total, atomic):
    metadata = Metadata(elements=["H"], cutoff=4.0, n_features=2, **fields)
    assert attainable_of(metadata, "total") == total
    assert attainable_of(metadata, "atomic") == atomic
