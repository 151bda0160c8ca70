/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only */

#include "lammps_graph.h"

#include "atom.h"
#include "neigh_list.h"

#include <unordered_map>

using namespace LAMMPS_NS;

namespace {

// Edges around the atoms of this rank. Each ghost is a node of its own: no edge stands around it,
// so that it does not matter which atom it is a ghost of.

class OneHopGraph : public LammpsGraph {
 public:
  void rebuild(const NeighList &list, const Atom &atom, const int *map) override;
  void pack_edges(const double *const *x, double cutoff) override;
  int64_t n_local_edges() const override { return n_edges; }
  double memory_usage() const override;

 private:
  std::vector<int> graph_index;    // index in atom arrays -> node, -1 for atoms outside the graph
  std::vector<int> pair_center, pair_neighbor;    // nodes closer than cutoff + skin at the rebuild
};

// Pairs of the full neighbor list: first the centers, then ghosts in the order of the list.

void OneHopGraph::rebuild(const NeighList &list, const Atom &atom, const int *map)
{
  graph_index.assign(atom.nlocal + atom.nghost, -1);
  lammps_index.clear();
  pair_center.clear();
  pair_neighbor.clear();
  types.clear();

  auto add_node = [&](int i) {
    graph_index[i] = lammps_index.size();
    lammps_index.push_back(i);
    types.push_back(map[atom.type[i]]);
  };

  for (int ii = 0; ii < list.inum; ii++)
    if (map[atom.type[list.ilist[ii]]] >= 0) add_node(list.ilist[ii]);
  n_local = lammps_index.size();

  for (int center = 0; center < n_local; center++) {
    const int i = lammps_index[center];
    for (int jj = 0; jj < list.numneigh[i]; jj++) {
      const int j = list.firstneigh[i][jj] & NEIGHMASK;
      if (map[atom.type[j]] < 0) continue;
      if (graph_index[j] < 0) add_node(j);
      pair_center.push_back(center);
      pair_neighbor.push_back(graph_index[j]);
    }
  }
  n_all = lammps_index.size();
}

void OneHopGraph::pack_edges(const double *const *x, double cutoff)
{
  const size_t npairs = pair_center.size();
  edge_vectors.resize(3 * npairs);
  edge_center.resize(npairs);
  edge_neighbor.resize(npairs);
  edge_index.resize(2 * npairs);
  int64_t n = 0;
  for (size_t p = 0; p < npairs; p++) {
    const int i = lammps_index[pair_center[p]], j = lammps_index[pair_neighbor[p]];
    const double *xi = x[i], *xj = x[j];
    const double dx = xj[0] - xi[0], dy = xj[1] - xi[1], dz = xj[2] - xi[2];
    if (dx * dx + dy * dy + dz * dz >= cutoff * cutoff) continue;
    edge_vectors[3 * n] = dx;
    edge_vectors[3 * n + 1] = dy;
    edge_vectors[3 * n + 2] = dz;
    edge_center[n] = i;
    edge_neighbor[n] = j;
    edge_index[n++] = p;
  }
  n_edges = n;

  edge_index.resize(2 * n);
  for (int64_t e = 0; e < n; e++) {
    const int64_t p = edge_index[e];
    edge_index[e] = pair_center[p];
    edge_index[n + e] = pair_neighbor[p];
  }
}

double OneHopGraph::memory_usage() const
{
  return LammpsGraph::memory_usage() +
      (graph_index.capacity() + pair_center.capacity() + pair_neighbor.capacity()) * sizeof(int);
}

// Edges around every atom that is fewer than n_hops hops away from an atom of this rank. An atom
// and its ghosts are one node, because each ghost would need the same edges again. The edges stand
// around the atom itself if this rank owns it, else around its ghost that is the fewest hops away:
// the neighbors of that one are among the ghosts, which LAMMPS keeps up to n_hops cutoffs away.

class FoldedGraph : public LammpsGraph {
 public:
  explicit FoldedGraph(int hops) : n_hops(hops), list(nullptr), n_atoms(0), local_edges(0) {}
  void rebuild(const NeighList &list, const Atom &atom, const int *map) override;
  void pack_edges(const double *const *x, double cutoff) override;
  int64_t n_local_edges() const override { return local_edges; }
  double memory_usage() const override;

 private:
  const int n_hops;
  const NeighList *list;
  std::vector<int> type;         // index in atom arrays -> element, negative outside the graph
  std::vector<int> same_atom;    // index in atom arrays -> number of the atom among n_atoms
  std::vector<int> node_of;      // number of the atom -> node, or -1
  int n_atoms;
  int64_t local_edges;

  void add_node(int i);
};

void FoldedGraph::rebuild(const NeighList &neighbors, const Atom &atom, const int *map)
{
  list = &neighbors;
  const int nall = atom.nlocal + atom.nghost;
  type.resize(nall);
  same_atom.resize(nall);
  std::unordered_map<tagint, int> number_of_tag;
  for (int i = 0; i < nall; i++) {
    type[i] = map[atom.type[i]];
    same_atom[i] = number_of_tag.emplace(atom.tag[i], number_of_tag.size()).first->second;
  }
  n_atoms = number_of_tag.size();
}

void FoldedGraph::add_node(int i)
{
  node_of[same_atom[i]] = lammps_index.size();
  lammps_index.push_back(i);
  types.push_back(type[i]);
}

void FoldedGraph::pack_edges(const double *const *x, double cutoff)
{
  node_of.assign(n_atoms, -1);
  lammps_index.clear();
  types.clear();
  edge_vectors.clear();
  edge_center.clear();
  edge_neighbor.clear();
  for (int ii = 0; ii < list->inum; ii++)
    if (type[list->ilist[ii]] >= 0) add_node(list->ilist[ii]);
  n_local = lammps_index.size();

  size_t first = 0;
  for (int hop = 0; hop < n_hops; hop++) {
    const size_t last = lammps_index.size();
    for (size_t node = first; node < last; node++) {
      const int i = lammps_index[node];
      for (int jj = 0; jj < list->numneigh[i]; jj++) {
        const int j = list->firstneigh[i][jj] & NEIGHMASK;
        if (type[j] < 0) continue;
        const double r[3] = {x[j][0] - x[i][0], x[j][1] - x[i][1], x[j][2] - x[i][2]};
        if (r[0] * r[0] + r[1] * r[1] + r[2] * r[2] >= cutoff * cutoff) continue;
        if (node_of[same_atom[j]] < 0) add_node(j);
        edge_vectors.insert(edge_vectors.end(), r, r + 3);
        edge_center.push_back(i);
        edge_neighbor.push_back(j);
      }
    }
    if (hop == 0) local_edges = edge_center.size();
    first = last;
  }
  n_all = lammps_index.size();
  n_edges = edge_center.size();

  edge_index.resize(2 * n_edges);
  for (int64_t e = 0; e < n_edges; e++) {
    edge_index[e] = node_of[same_atom[edge_center[e]]];
    edge_index[n_edges + e] = node_of[same_atom[edge_neighbor[e]]];
  }
}

double FoldedGraph::memory_usage() const
{
  return LammpsGraph::memory_usage() +
      (type.capacity() + same_atom.capacity() + node_of.capacity()) * sizeof(int);
}

}    // namespace

double LammpsGraph::memory_usage() const
{
  return (lammps_index.capacity() + edge_center.capacity() + edge_neighbor.capacity()) *
      sizeof(int) +
      (edge_vectors.capacity() + edge_index.capacity() + types.capacity()) * sizeof(double);
}

std::unique_ptr<LammpsGraph> LAMMPS_NS::make_graph(int n_hops)
{
  if (n_hops == 1) return std::make_unique<OneHopGraph>();
  return std::make_unique<FoldedGraph>(n_hops);
}
