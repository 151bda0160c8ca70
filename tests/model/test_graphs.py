"""Graphs have the edges that ASE finds, and their gradients add up to forces and strain."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.neighborlist import neighbor_list
from structures import ELEMENTS, by_positions, by_strain, crystal, molecule

from pyubias.errors import UserError
from pyubias.model.graphs import build_graph, concatenate, forces_from, strain_gradient_from

CUTOFF = 4.0


def graph_of(atoms):
    return build_graph(atoms, CUTOFF, ELEMENTS)


def slab():
    atoms = crystal()
    atoms.pbc = (True, False, True)
    return atoms


def sorted_edges(centres, neighbors, vectors):
    rows = np.column_stack([centres, neighbors, np.round(vectors, 9) + 0.0])
    return rows[np.lexsort(rows.T)]


@pytest.mark.parametrize("atoms", [molecule(), crystal(), slab()], ids=["open", "periodic", "slab"])
def test_edges_are_those_that_ase_finds(atoms):
    graph = graph_of(atoms)
    found = sorted_edges(*graph.edge_index.numpy(), graph.edge_vectors.numpy())
    wanted = sorted_edges(*neighbor_list("ijD", atoms, CUTOFF))
    assert len(found) > 0
    np.testing.assert_allclose(found, wanted, atol=1e-8)


def test_every_edge_has_its_reverse():
    graph = graph_of(crystal())
    i, j = graph.edge_index.numpy()
    r = graph.edge_vectors.numpy()
    np.testing.assert_allclose(sorted_edges(i, j, r), sorted_edges(j, i, -r), atol=1e-8)


def test_types_follow_the_order_of_elements():
    assert graph_of(Atoms("OHC", positions=np.eye(3))).types.tolist() == [2, 1, 0]


def test_an_unknown_element_is_named():
    with pytest.raises(UserError, match=r"element Ne of CHNe is unknown .* which has C H O"):
        graph_of(Atoms("CHNe", positions=np.eye(3)))


@pytest.mark.parametrize("x", [1e5, -1e8, 1e300, np.inf, np.nan])
def test_a_coordinate_beyond_reason_is_named(x):
    """The neighbor list would end the process."""
    with pytest.raises(UserError, match="an atom of CO is farther than 10000 Å"):
        build_graph(Atoms("CO", positions=[[0, 0, 0], [0, x, 0]]), 1.0, ["C", "O"])
    edge = build_graph(Atoms("CO", positions=[[0, 0, 0], [0, 1e4, 0]]), 1.0, ["C", "O"])
    assert edge.edge_vectors.shape == (0, 3)


def test_lonely_atoms_have_no_edges():
    graph = graph_of(Atoms("HO", positions=[[0, 0, 0], [0, 0, CUTOFF + 0.01]]))
    assert graph.edge_vectors.shape == (0, 3)
    assert graph.edge_index.shape == (2, 0)
    assert graph.n_atoms == 2


@pytest.mark.parametrize(
    ("atoms", "volume"),
    [(molecule(), np.nan), (slab(), np.nan), (crystal(), crystal().get_volume())],
)
def test_only_structures_periodic_in_all_directions_have_a_volume(atoms, volume):
    np.testing.assert_allclose(graph_of(atoms).volumes.numpy(), [volume])


def test_concatenated_graphs_do_not_touch():
    parts = [graph_of(molecule()), graph_of(crystal()), graph_of(Atoms("H"))]
    whole = concatenate(parts)
    assert whole.n_structures == 3
    assert whole.atoms_per_structure.tolist() == [7, 3, 1]
    centres, neighbors = whole.edge_index
    assert torch.equal(whole.structure[centres], whole.structure[neighbors])
    for k, (part, first) in enumerate(zip(parts, [0, 7, 10], strict=True)):
        mine = whole.structure[centres] == k
        assert torch.equal(whole.edge_index[:, mine] - first, part.edge_index)
        assert torch.equal(whole.edge_vectors[mine], part.edge_vectors)


def test_sum_over_atoms_keeps_structures_apart():
    graph = concatenate([graph_of(molecule()), graph_of(crystal())])
    values = torch.arange(10, dtype=torch.float64)
    assert graph.sum_over_atoms(values).tolist() == [21.0, 24.0]
    doubled = graph.sum_over_atoms(torch.stack([values, 2 * values], dim=1))
    assert doubled.tolist() == [[21.0, 42.0], [24.0, 48.0]]


def pair_energy(atoms):
    """Σ_e (1 - r²/r_c²)³ over directed edges: smooth at the cutoff."""
    r = neighbor_list("d", atoms, CUTOFF)
    return float(((1 - (r / CUTOFF) ** 2) ** 3).sum())


def pair_gradient(graph):
    r = graph.edge_vectors
    return -6 / CUTOFF**2 * (1 - r.square().sum(1, keepdim=True) / CUTOFF**2) ** 2 * r


def test_forces_from_edges_are_minus_the_gradient_by_positions():
    atoms = crystal()
    forces = forces_from(graph_of(atoms), pair_gradient(graph_of(atoms)))
    np.testing.assert_allclose(forces, -by_positions(pair_energy, atoms), atol=1e-6)


def test_strain_gradient_from_edges_is_the_gradient_by_strain():
    atoms = crystal()
    (gradient,) = strain_gradient_from(graph_of(atoms), pair_gradient(graph_of(atoms)))
    np.testing.assert_allclose(gradient, by_strain(pair_energy, atoms), atol=1e-6)


def test_strain_gradients_of_structures_do_not_mix():
    graphs = [graph_of(molecule()), graph_of(crystal())]
    whole = concatenate(graphs)
    together = strain_gradient_from(whole, pair_gradient(whole))
    for graph, gradient in zip(graphs, together, strict=True):
        torch.testing.assert_close(gradient, strain_gradient_from(graph, pair_gradient(graph))[0])
