import itertools

import numpy as np
import pytest
import torch
from ase import Atoms
from structures import ELEMENTS, by_positions, by_strain, crystal, molecule

from pyubias.model.descriptor import GaussianMoments, n_invariants
from pyubias.model.graphs import build_graph, forces_from, strain_gradient_from
from pyubias.model.network import AtomicNetwork
from pyubias.model.potential import Potential

CUTOFF = 4.0


@pytest.fixture(params=["fused", "portable"])
def potential(request):
    """Random parameters everywhere, also where training starts from zeros and ones."""
    potential = Potential(ELEMENTS, CUTOFF, n_radial=2, n_basis=4, hidden=[16, 8], seed=1)
    potential.set_dtype(torch.float64)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for layer in potential.network.layers:
            layer.bias.normal_(generator=generator)
        potential.scale.normal_(1.0, 0.2, generator=generator)
        potential.shift.normal_(generator=generator)
        potential.atomic_reference.normal_(generator=generator)
        potential.energy_scale.fill_(0.7)
    if request.param == "fused" and not potential.descriptor.fused:
        pytest.skip("the compiled operators are not built")
    potential.descriptor.fused = request.param == "fused"
    return potential


def arguments(atoms):
    graph = build_graph(atoms, CUTOFF, ELEMENTS)
    return graph.edge_vectors, graph.edge_index, graph.types, graph.n_atoms


def energies(potential, atoms):
    return potential(*arguments(atoms)).detach().numpy()


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


# --- the equations -------------------------------------------------------------------------


@pytest.mark.parametrize(("n_radial", "length"), [(5, 360), (7, 910)])
@pytest.mark.parametrize("fused", [True, False])
def test_descriptor_lengths_are_those_of_the_paper(n_radial, length, fused):
    assert n_invariants(n_radial) == length
    descriptor = GaussianMoments(3, CUTOFF, n_radial, n_basis=4).double()
    descriptor.fused = descriptor.fused and fused
    assert descriptor(*arguments(molecule())).shape == (7, length)


def literal_radial(descriptor, r, pair):
    """f_c(r) R_s(r), as in the design, section 4."""
    n_basis, cutoff = descriptor.n_basis, descriptor.cutoff
    gamma = n_basis**2 / cutoff**2
    beta = descriptor.beta.detach().numpy()[pair]
    total = np.zeros(descriptor.n_radial)
    for s, k in itertools.product(range(descriptor.n_radial), range(n_basis)):
        centre = 0.5 + k * (cutoff - 0.5) / n_basis
        gaussian = (2 * gamma / np.pi) ** 0.25 * np.exp(-gamma * (r - centre) ** 2)
        total[s] += n_basis**-0.5 * beta[s, k] * gaussian
    return 0.5 * (np.cos(np.pi * r / cutoff) + 1) * total


def literal_moments(descriptor, edge_vectors, edge_index, types, n_local):
    """Ψ_L as full tensors (n, N_r, 3, …), L = 0 … 3."""
    psi = [np.zeros((n_local, descriptor.n_radial) + (3,) * rank) for rank in range(4)]
    for vector, (i, j) in zip(edge_vectors.numpy(), edge_index.T.tolist(), strict=True):
        r = np.linalg.norm(vector)
        radial = literal_radial(descriptor, r, (int(types[i]), int(types[j])))
        n = vector / r
        psi[0][i] += radial
        psi[1][i] += np.einsum("s,a->sa", radial, n)
        psi[2][i] += np.einsum("s,a,b->sab", radial, n, n)
        psi[3][i] += np.einsum("s,a,b,c->sabc", radial, n, n, n)
    return psi


def literal_invariants(descriptor, *graph):
    """Contractions with the index restrictions of the design, one number at a time."""
    rows = []
    for psi0, psi1, psi2, psi3 in zip(*literal_moments(descriptor, *graph), strict=True):
        radial = range(descriptor.n_radial)
        pairs = [(s, t) for s in radial for t in radial if s <= t]
        triples = [(s, t, u) for s, t in pairs for u in radial]
        row = [*psi0]
        row += [np.einsum("a,a", psi1[s], psi1[t]) for s, t in pairs]
        row += [np.einsum("ab,ab", psi2[s], psi2[t]) for s, t in pairs]
        row += [np.einsum("abc,abc", psi3[s], psi3[t]) for s, t in pairs]
        row += [np.einsum("ab,ac,bc", psi2[s], psi2[t], psi2[u]) for s, t, u in triples if t <= u]
        row += [np.einsum("a,b,ab", psi1[s], psi1[t], psi2[u]) for s, t, u in triples]
        row += [np.einsum("abc,abd,cd", psi3[s], psi3[t], psi2[u]) for s, t, u in triples]
        row += [
            np.einsum("abc,ab,c", psi3[s], psi2[t], psi1[u])
            for s, t, u in itertools.product(radial, repeat=3)
        ]
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("atoms", [molecule(), crystal()], ids=["molecule", "crystal"])
def test_invariants_are_the_contractions_of_the_design(potential, atoms):
    found = potential.descriptor(*arguments(atoms)).detach().numpy()
    wanted = literal_invariants(potential.descriptor, *arguments(atoms))
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


def test_radial_functions_are_those_of_the_design():
    descriptor = GaussianMoments(3, CUTOFF, n_radial=3, n_basis=5).double()
    r = np.linspace(0.3, CUTOFF, 7)
    centres, neighbours = torch.arange(7) % 3, torch.arange(7) % 2
    found = descriptor.radial(torch.from_numpy(r), centres, neighbours).detach().numpy()
    pairs = zip(centres.tolist(), neighbours.tolist(), strict=True)
    wanted = [literal_radial(descriptor, *row) for row in zip(r, pairs, strict=True)]
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-15)


def test_network_and_energies_are_those_of_the_design(potential):
    """z = W x/√d + 0.1 b between 1.6765·SiLU; E_i = E⁰ + c (σ NN + μ)."""
    x = potential.descriptor(*arguments(molecule())).detach().numpy()
    for k, layer in enumerate(potential.network.layers):
        if k > 0:
            x = 1.6765 * x / (1 + np.exp(-x))
        weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        x = x @ weight.T / np.sqrt(weight.shape[1]) + 0.1 * bias
    types = arguments(molecule())[2]
    reference, c, scale, shift = (
        value.detach().numpy()
        for value in (
            potential.atomic_reference[types],
            potential.energy_scale,
            potential.scale[types],
            potential.shift[types],
        )
    )
    wanted = reference + c * (scale * x[:, 0] + shift)
    np.testing.assert_allclose(energies(potential, molecule()), wanted, rtol=1e-12)


def test_activation_keeps_the_second_moment_of_a_normal_input():
    x = torch.linspace(-12, 12, 100001, dtype=torch.float64)
    density = torch.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)
    activated = AtomicNetwork(1, [1]).gain * torch.nn.functional.silu(x)
    assert float(torch.trapezoid(density * activated**2, x)) == pytest.approx(1.0, abs=1e-3)


def test_layer_gradients_give_the_gradient_by_every_parameter_of_the_network(potential):
    """∂E_i/∂W_l = δ_l ⊗ x_l/√d_l and ∂E_i/∂b_l = 0.1 δ_l."""
    _, inputs, sensitivities = potential.layer_gradients(*arguments(molecule()), True)
    for i, atomic in enumerate(potential(*arguments(molecule()))):
        for layer, x, delta in zip(potential.network.layers, inputs, sensitivities, strict=True):
            weight, bias = torch.autograd.grad(
                atomic, [layer.weight, layer.bias], retain_graph=True
            )
            found = torch.outer(delta[i], x[i])
            torch.testing.assert_close(found[:, :-1], weight)
            torch.testing.assert_close(found[:, -1], bias)


@pytest.mark.parametrize("all_layers", [True, False])
def test_layer_gradients_come_with_the_same_energies(potential, all_layers):
    found, inputs, _ = potential.layer_gradients(*arguments(molecule()), all_layers)
    np.testing.assert_allclose(found.detach(), energies(potential, molecule()), rtol=1e-13)
    assert len(inputs) == (3 if all_layers else 1)


# --- symmetries ----------------------------------------------------------------------------


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


def test_a_centre_does_not_notice_that_another_atom_is_a_ghost(potential):
    edge_vectors, edge_index, types, n = arguments(molecule())
    mine = edge_index[0] < n - 2
    local = potential(edge_vectors[mine], edge_index[:, mine], types, n - 2)
    np.testing.assert_allclose(local.detach(), energies(potential, molecule())[:-2], rtol=1e-12)


# --- limits and derivatives ----------------------------------------------------------------


def test_energy_and_force_are_smooth_at_the_cutoff(potential):
    """What a neighbour adds falls to zero with the square of its distance from the cutoff."""

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


# --- construction --------------------------------------------------------------------------


def parameters(seed):
    potential = Potential(ELEMENTS, CUTOFF, 2, 4, [16], seed)
    return torch.cat([p.detach().flatten() for p in potential.parameters()])


def test_a_seed_gives_the_same_parameters_and_leaves_the_generator_of_others_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(parameters(1), parameters(1))
    assert not torch.equal(parameters(1), parameters(2))
    assert torch.equal(torch.rand(3), expected)


def test_initial_parameters_are_those_of_the_design():
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
