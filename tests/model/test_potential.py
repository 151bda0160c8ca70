"""The potential is equation (8), with the symmetries, limits and derivatives of an energy."""

import numpy as np
import pytest
import torch
from ase import Atoms
from structures import ELEMENTS, by_positions, by_strain, crystal, graph_arguments, molecule

from pyubias.model.graphs import build_graph, forces_from, strain_gradient_from
from pyubias.model.potential import Potential

CUTOFF = 4.0


def energies(potential, atoms):
    return potential(*graph_arguments(atoms)).detach().numpy()


def energy(potential, atoms):
    return float(energies(potential, atoms).sum())


def edge_gradient(potential, atoms):
    graph = build_graph(atoms, CUTOFF, ELEMENTS)
    vectors = graph.edge_vectors.requires_grad_(True)
    atomic = potential(vectors, graph.edge_index, graph.types, graph.n_atoms)
    (gradient,) = torch.autograd.grad(atomic.sum(), vectors)
    return graph, gradient


def forces(potential, atoms):
    return forces_from(*edge_gradient(potential, atoms)).numpy()


def test_energies_are_equation_8(potential):
    edge_vectors, edge_index, types, n_atoms = graph_arguments(molecule())
    invariants = potential.descriptor(edge_vectors, edge_index, types, n_atoms)
    network = potential.network(invariants).detach().numpy()
    reference, c, scale, shift = (
        value.detach().numpy()
        for value in (
            potential.atomic_reference[types],
            potential.energy_scale,
            potential.scale[types],
            potential.shift[types],
        )
    )
    wanted = reference + c * (scale * network + shift)
    np.testing.assert_allclose(energies(potential, molecule()), wanted, rtol=1e-12)


def test_layer_gradients_are_factors_of_the_gradients_of_the_energies(potential):
    """∂E_i/∂W_l = δ_l ⊗ x_l/√d_l and ∂E_i/∂b_l = 0.1 δ_l."""
    _, inputs, sensitivities = potential.layer_gradients(*graph_arguments(molecule()), True)
    for i, atomic in enumerate(potential(*graph_arguments(molecule()))):
        for layer, x, delta in zip(potential.network.layers, inputs, sensitivities, strict=True):
            weight, bias = torch.autograd.grad(
                atomic, [layer.weight, layer.bias], retain_graph=True
            )
            found = torch.outer(delta[i], x[i])
            torch.testing.assert_close(found[:, :-1], weight)
            torch.testing.assert_close(found[:, -1], bias)


@pytest.mark.parametrize("all_layers", [True, False])
def test_layer_gradients_come_with_the_same_energies(potential, all_layers):
    found, inputs, _ = potential.layer_gradients(*graph_arguments(molecule()), all_layers)
    np.testing.assert_allclose(found.detach(), energies(potential, molecule()), rtol=1e-13)
    assert len(inputs) == (3 if all_layers else 1)


@pytest.mark.parametrize("structure", [molecule, crystal])
def test_energy_is_invariant_and_forces_turn_with_the_structure(potential, structure):
    atoms, turned = structure(), structure()
    turned.rotate(37, (1, 2, -1), rotate_cell=True)
    axes = Atoms("H3", positions=np.eye(3))
    axes.rotate(37, (1, 2, -1))
    np.testing.assert_allclose(energies(potential, turned), energies(potential, atoms), rtol=1e-10)
    np.testing.assert_allclose(
        forces(potential, turned), forces(potential, atoms) @ axes.positions, atol=1e-9
    )


def test_energy_is_the_same_in_a_mirror(potential):
    mirrored = molecule()
    mirrored.positions[:, 0] *= -1
    np.testing.assert_allclose(
        energies(potential, mirrored), energies(potential, molecule()), rtol=1e-10
    )


@pytest.mark.parametrize("structure", [molecule, crystal])
def test_energy_does_not_change_in_a_translation(potential, structure):
    moved = structure()
    moved.translate([13.7, -2.1, 0.4])
    moved.wrap()  # leaves a structure without a cell where it is
    np.testing.assert_allclose(
        energies(potential, moved), energies(potential, structure()), rtol=1e-10
    )


def test_atomic_energies_are_permuted_with_the_atoms(potential):
    order = [4, 2, 6, 0, 1, 5, 3]
    np.testing.assert_allclose(
        energies(potential, molecule()[order]), energies(potential, molecule())[order], rtol=1e-10
    )


def test_two_distant_copies_have_twice_the_energy(potential):
    copy = molecule()
    copy.translate([50, 0, 0])
    both = energy(potential, molecule() + copy)
    assert both == pytest.approx(2 * energy(potential, molecule()), rel=1e-12)


def test_a_supercell_of_eight_has_eight_times_the_energy(potential):
    whole = energy(potential, crystal().repeat(2))
    assert whole == pytest.approx(8 * energy(potential, crystal()), rel=1e-11)


def test_energies_of_centres_do_not_depend_on_which_other_atoms_are_ghosts(potential):
    edge_vectors, edge_index, types, n = graph_arguments(molecule())
    mine = edge_index[0] < n - 2
    local = potential(edge_vectors[mine], edge_index[:, mine], types, n - 2)
    np.testing.assert_allclose(local.detach(), energies(potential, molecule())[:-2], rtol=1e-12)


def test_energy_and_force_are_smooth_at_the_cutoff(potential):
    """The energy of a pair falls to zero with the square of its distance from the cutoff."""

    def dimer(distance):
        return Atoms("CH", positions=[[0, 0, 0], [0, distance, 0]])

    apart = energy(potential, dimer(CUTOFF + 1e-6))
    h = 2e-3
    near, nearer = (energy(potential, dimer(CUTOFF - x)) - apart for x in (h, h / 2))
    assert abs(near) < 1e-4
    assert near / nearer == pytest.approx(4, abs=0.05)
    pull, weaker = (forces(potential, dimer(CUTOFF - x))[0, 1] for x in (h, h / 2))
    assert pull / weaker == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("structure", [molecule, crystal])
def test_forces_are_minus_the_gradient_of_the_energy(potential, structure):
    wanted = -by_positions(lambda a: energy(potential, a), structure())
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(forces(potential, structure()), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("structure", [molecule, crystal])
def test_strain_gradient_is_that_of_the_energy(potential, structure):
    (found,) = strain_gradient_from(*edge_gradient(potential, structure())).detach()
    wanted = by_strain(lambda a: energy(potential, a), structure())
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_an_atom_alone_has_an_energy_and_no_force(potential):
    alone = Atoms("H")
    assert np.isfinite(energy(potential, alone))
    np.testing.assert_array_equal(forces(potential, alone), np.zeros((1, 3)))


def parameters(seed):
    potential = Potential(ELEMENTS, CUTOFF, 2, 4, [16], seed)
    return torch.cat([p.detach().flatten() for p in potential.parameters()])


def test_a_seed_fixes_the_parameters_and_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(parameters(1), parameters(1))
    assert not torch.equal(parameters(1), parameters(2))
    assert torch.equal(torch.rand(3), expected)


def test_initial_parameters_have_the_distributions_of_the_paper():
    potential = Potential(ELEMENTS, CUTOFF, 5, 12, [64, 64])
    beta = potential.descriptor.beta.detach()
    assert beta.shape == (3, 3, 5, 12)
    assert float(beta.min()) > -1.0
    assert float(beta.max()) < 1.0
    assert float(beta.std()) == pytest.approx(3**-0.5, abs=0.04)
    first = potential.network.layers[0]
    assert float(first.weight.detach().std()) == pytest.approx(1.0, abs=0.02)
    assert not first.bias.any()


def test_float32_is_close_to_float64(potential):
    wanted = energies(potential, molecule())
    found = energies(potential.set_dtype(torch.float32), molecule())
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_torchscript_computes_the_same(potential):
    scripted = torch.jit.script(potential)
    np.testing.assert_allclose(
        energies(scripted, molecule()), energies(potential, molecule()), rtol=1e-13
    )
