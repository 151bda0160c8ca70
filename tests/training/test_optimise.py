"""Reference energies and the energy scale come from the labels; gradients are those of a batch."""

import numpy as np
import pytest
import torch
from ase import Atoms
from structures import ELEMENTS, copper, molecule

from pyubias.config.potential import TrainingConfig
from pyubias.model.potential import Potential
from pyubias.training.batches import make_sample
from pyubias.training.optimise import _gradient, set_gradient, set_reference


def small_potential():
    potential = Potential(ELEMENTS, 4.0, n_radial=2, n_basis=4, hidden=[16], seed=3)
    return potential.set_dtype(torch.float64)


def mixtures(noise=0.0):
    """Energies that are sums over atoms, C -1030, H -13.6, O -2040 eV, plus normal noise in eV."""
    generator = np.random.default_rng(0)
    each = {"C": -1030.0, "H": -13.6, "O": -2040.0}
    frames = []
    for formula in ("CH4", "H2O", "CO2", "CH3OH", "C2H6", "H2"):
        energy = sum(each[s] for s in Atoms(formula).get_chemical_symbols())
        frames.append(Atoms(formula, info={"REF_energy": energy + noise * generator.normal()}))
    return frames


def test_reference_recovers_energies_that_are_sums_over_atoms():
    potential = small_potential()
    set_reference(potential, mixtures())
    np.testing.assert_allclose(potential.atomic_reference, [-1030.0, -13.6, -2040.0], atol=1e-3)


def test_energy_scale_follows_the_standard_deviation_and_is_never_zero():
    potential = small_potential()
    set_reference(potential, mixtures())
    assert float(potential.energy_scale) == pytest.approx(1e-3, rel=0.1)
    scales = []
    for noise in (1.0, 10.0):
        set_reference(potential, mixtures(noise))
        scales.append(float(potential.energy_scale))
    assert scales[1] / scales[0] == pytest.approx(10, rel=0.01)


def test_reference_of_one_composition_has_the_right_total():
    """More elements than equations: the ridge shares the energy out, the total is right."""
    potential = small_potential()
    frames = [molecule(k) for k in range(3)]
    for atoms in frames:
        atoms.info["REF_energy"] = -500.0
    set_reference(potential, frames)
    total = potential.atomic_reference[torch.tensor([0, 1, 2, 1, 1, 2, 0])].sum()
    assert float(total) == pytest.approx(-500.0, rel=1e-6)


@pytest.mark.parametrize("fused", [True, False])
def test_a_gradient_is_that_of_the_last_batch_and_is_in_grad_of_each_parameter(fused):
    potential = Potential(["Cu"], 4.0, n_radial=2, n_basis=4, hidden=[8], seed=1)
    potential.set_dtype(torch.float64)
    potential.descriptor.fused &= fused
    first, second = ([make_sample(a, 4.0, ["Cu"])] for a in copper(2))
    gradient = _gradient(potential)

    def of(samples):
        set_gradient(potential, samples, 1, TrainingConfig(), gradient)
        grads = [parameter.grad.flatten() for parameter in potential.parameters()]
        assert torch.equal(torch.cat(grads), gradient)
        return gradient.clone()

    wanted = of(second)
    assert not torch.allclose(of(first), wanted)
    torch.testing.assert_close(of(second), wanted)
    assert not of([]).any()
