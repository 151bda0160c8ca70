"""Checkpoints hold a whole trained potential, and other files are refused."""

import numpy as np
import pytest
import torch
from ase import Atoms
from structures import graph_arguments

from pyubias.errors import UserError
from pyubias.training.checkpoint import load_trained

KINDS = ["posterior", "posterior, last layer", "distance", "ensemble", "mean"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_checkpoint_is_the_saved_potential(trained, kind, tmp_path):
    saved = trained[kind]
    saved.save(tmp_path / "potential.ckpt")
    assert [p.name for p in tmp_path.iterdir()] == ["potential.ckpt"]
    loaded = load_trained(tmp_path / "potential.ckpt")
    for ours, theirs in zip(loaded.potential.members, saved.potential.members, strict=True):
        assert ours.state_dict().keys() == theirs.state_dict().keys()
        for name, value in theirs.state_dict().items():
            assert torch.equal(ours.state_dict()[name], value)
    for name, value in saved.potential.head.state_dict().items():
        assert torch.equal(loaded.potential.head.state_dict()[name], value)
    for name in ("elements", "model", "uncertainty", "training_hash", "history", "attainable"):
        assert getattr(loaded, name) == getattr(saved, name)
    arguments = graph_arguments(Atoms("HCO", positions=1.2 * np.eye(3)), elements=saved.elements)
    for ours, theirs in zip(loaded.potential.members, saved.potential.members, strict=True):
        assert torch.equal(ours(*arguments), theirs(*arguments))


def test_a_checkpoint_of_other_features_is_refused(trained, tmp_path):
    trained["posterior"].save(tmp_path / "new.ckpt")
    state = torch.load(tmp_path / "new.ckpt")
    del state["version"]
    torch.save(state, tmp_path / "old.ckpt")
    with pytest.raises(UserError, match=r"old.ckpt' has version 1, wanted 2: .*; train again"):
        load_trained(tmp_path / "old.ckpt")


def test_a_missing_checkpoint_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"checkpoint '.*none.ckpt' does not exist"):
        load_trained(tmp_path / "none.ckpt")


def test_files_that_are_not_checkpoints_are_refused(tmp_path, model_file):
    text, other, part = (tmp_path / name for name in ("text", "other", "part"))
    text.write_text("not a checkpoint")
    torch.save({"weights": torch.zeros(3)}, other)
    part.write_bytes(model_file.read_bytes()[:1000])
    for path in (text, other, part, model_file):
        with pytest.raises(UserError, match=f"'{path}' is not a pyubias checkpoint"):
            load_trained(path)
