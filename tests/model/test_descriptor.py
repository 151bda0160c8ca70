"""The descriptor is equations (3) to (6), evaluated one number at a time."""

import itertools

import numpy as np
import pytest
import torch
from structures import crystal, graph_arguments, molecule

from pyubias.model.descriptor import GaussianMoments, n_invariants

CUTOFF = 4.0


@pytest.mark.parametrize(("n_radial", "length"), [(5, 360), (7, 910)])
@pytest.mark.parametrize("fused", [True, False])
def test_descriptor_lengths_are_those_of_the_paper(n_radial, length, fused):
    assert n_invariants(n_radial) == length
    descriptor = GaussianMoments(3, CUTOFF, n_radial, n_basis=4).double()
    descriptor.fused = descriptor.fused and fused
    assert descriptor(*graph_arguments(molecule())).shape == (7, length)


def literal_radial(descriptor, r, pair):
    """f_c(r) R_s(r), equations (3) and (4)."""
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
    """Ψ_L as full tensors (n, N_r, 3, …), L = 0 … 3, equation (5)."""
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
    """Contractions with the index restrictions of equation (6), one number at a time."""
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
def test_invariants_are_the_contractions_of_equation_6(potential, atoms):
    found = potential.descriptor(*graph_arguments(atoms)).detach().numpy()
    wanted = literal_invariants(potential.descriptor, *graph_arguments(atoms))
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


def test_radial_functions_are_equations_3_and_4():
    descriptor = GaussianMoments(3, CUTOFF, n_radial=3, n_basis=5).double()
    r = np.linspace(0.3, CUTOFF, 7)
    centres, neighbors = torch.arange(7) % 3, torch.arange(7) % 2
    found = descriptor.radial(torch.from_numpy(r), centres, neighbors).detach().numpy()
    pairs = zip(centres.tolist(), neighbors.tolist(), strict=True)
    wanted = [literal_radial(descriptor, *row) for row in zip(r, pairs, strict=True)]
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-15)
