"""The loss is that of the paper, and its written-out gradient is that of autograd."""

import numpy as np
import pytest
import torch
from ase import Atoms
from structures import copper, energy_only, predictions, without_stress

from pyubias.config.potential import TrainingConfig
from pyubias.model.potential import Potential
from pyubias.training.batches import collate, make_sample
from pyubias.training.loss import batch_loss, loss_gradient, predict


def copper_potential(hidden=(16,), fused=True, seed=3):
    potential = Potential(["Cu"], 4.0, n_radial=2, n_basis=4, hidden=list(hidden), seed=seed)
    potential.descriptor.fused = fused
    return potential.set_dtype(torch.float64)


def literal_loss(potential, frames):
    """Σ ΔE² + 4 Σ|ΔF|² + 0.01 Σ|ΔW|², W = -V σ: S times equation (9) with the default weights."""
    loss = 0.0
    for atoms in frames:
        energy, forces, strain_gradient = predictions(potential, atoms)
        loss += (energy - atoms.info["REF_energy"]) ** 2
        if "REF_forces" in atoms.arrays:
            loss += 4 * np.sum((forces - atoms.arrays["REF_forces"]) ** 2)
        if "REF_stress" in atoms.info:
            xx, yy, zz, yz, xz, xy = atoms.get_volume() * atoms.info["REF_stress"]
            w = -np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
            loss += 0.01 * np.sum((-strain_gradient - w) ** 2)
    return loss


def test_loss_is_that_of_the_paper_per_structure():
    first, second, third, fourth = copper(4)
    frames = [first, without_stress(second), energy_only(third), fourth]
    potential = copper_potential(fused=False)
    batch = collate([make_sample(a, 4.0, ["Cu"]) for a in frames])
    found = batch_loss(potential, batch, TrainingConfig()).item()
    assert found == pytest.approx(literal_loss(potential, frames) / 4, rel=1e-10)


def test_energies_of_structures_of_more_than_20_atoms_count_per_atom():
    def weight(n: int) -> float:
        atoms = Atoms("Cu" * n, positions=4.5 * np.arange(n)[:, None] * [[1, 0, 0]])
        atoms.info["REF_energy"] = 7.0
        potential = copper_potential(fused=False)
        alone = TrainingConfig(energy_weight=3.0, forces_weight=0.0)
        batch = collate([make_sample(atoms, 4.0, ["Cu"])])
        error = predictions(potential, atoms)[0] - 7.0
        return batch_loss(potential, batch, alone).item() / error**2

    assert [weight(n) for n in (1, 2, 20)] == pytest.approx([3.0, 3.0, 3.0])
    assert [weight(n) for n in (40, 60)] == pytest.approx([3.0 / 4, 3.0 / 9])


def test_predictions_of_a_batch_are_those_of_its_structures():
    frames = copper(3)
    potential = copper_potential()
    batch = collate([make_sample(a, 4.0, ["Cu"]) for a in frames])
    energies, forces, strain_gradients = predict(potential, batch, False, with_stress=True)
    each = [predictions(potential, a) for a in frames]
    np.testing.assert_allclose(energies.detach(), [e for e, _, _ in each], rtol=1e-12)
    np.testing.assert_allclose(forces.detach(), np.concatenate([f for _, f, _ in each]), atol=1e-10)
    np.testing.assert_allclose(strain_gradients.detach(), [w for _, _, w in each], atol=1e-10)


def gradient_by_autograd(potential, batch, config):
    potential.descriptor.fused = False
    parameters = dict(potential.named_parameters())
    gradients = torch.autograd.grad(batch_loss(potential, batch, config), list(parameters.values()))
    potential.descriptor.fused = True
    return dict(zip(parameters, gradients, strict=True))


def assert_gradients_agree(potential, batch, config=None):
    config = config or TrainingConfig()
    wanted = gradient_by_autograd(potential, batch, config)
    parts = loss_gradient(potential, batch, config).split([g.numel() for g in wanted.values()])
    for (name, gradient), found in zip(wanted.items(), parts, strict=True):
        scale = float(gradient.abs().max())
        assert scale > 0 or config.energy_weight == 0, name
        np.testing.assert_allclose(
            found.view_as(gradient), gradient, rtol=1e-9, atol=1e-11 * scale, err_msg=name
        )


@pytest.mark.parametrize("hidden", [(), (16,), (16, 8), (8, 8, 8)])
def test_gradient_is_that_of_autograd(hidden):
    potential = copper_potential(hidden)
    with torch.no_grad():
        for parameter in potential.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    first, second, third, fourth = copper(4)
    frames = [first, without_stress(second), energy_only(third), fourth]
    assert_gradients_agree(potential, collate([make_sample(a, 4.0, ["Cu"]) for a in frames]))


def test_gradient_of_a_molecule_of_several_elements(ala2_frames):
    elements = ["C", "H", "N", "O"]
    potential = Potential(elements, 5.0, 5, 12, [16, 16], seed=1).set_dtype(torch.float64)
    potential.energy_scale.fill_(0.3)
    batch = collate([make_sample(a, 5.0, elements) for a in ala2_frames[:3]])
    assert_gradients_agree(potential, batch)


@pytest.mark.parametrize(
    "weights",
    [
        {"energy_weight": 0.0},
        {"forces_weight": 0.0},
        {"stress_weight": 0.0},
        {"energy_weight": 3.0, "forces_weight": 0.5, "stress_weight": 2.0},
    ],
)
def test_gradient_follows_the_weights(weights):
    batch = collate([make_sample(a, 4.0, ["Cu"]) for a in copper(3)])
    assert_gradients_agree(copper_potential(), batch, TrainingConfig(**weights))
