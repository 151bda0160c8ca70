/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only */

#include "lammps_graph.h"

#include "neigh_list.h"

using namespace LAMMPS_NS;

// Pairs of the full neighbor list, in graph indices: first the centers, then ghosts in the order of
// the list.

void LammpsGraph::rebuild_pairs(const NeighList &list, const int *type, const int *map, int nall)
{
  graph_index.assign(nall, -1);
  lammps_index.clear();
  pair_center.clear();
  pair_neighbor.clear();
  types.clear();

  auto add_atom = [&](int i) {
    graph_index[i] = lammps_index.size();
    lammps_index.push_back(i);
    types.push_back(map[type[i]]);
  };

  for (int ii = 0; ii < list.inum; ii++)
    if (map[type[list.ilist[ii]]] >= 0) add_atom(list.ilist[ii]);
  n_local = lammps_index.size();

  for (int center = 0; center < n_local; center++) {
    const int i = lammps_index[center];
    for (int jj = 0; jj < list.numneigh[i]; jj++) {
      const int j = list.firstneigh[i][jj] & NEIGHMASK;
      if (map[type[j]] < 0) continue;
      if (graph_index[j] < 0) add_atom(j);
      pair_center.push_back(center);
      pair_neighbor.push_back(graph_index[j]);
    }
  }
  n_all = lammps_index.size();
}

void LammpsGraph::pack_edges(const double *const *x, double cutoff)
{
  const size_t npairs = pair_center.size();
  edge_vectors.resize(3 * npairs);
  edge_pair.resize(npairs);
  int64_t n = 0;
  for (size_t p = 0; p < npairs; p++) {
    const double *xi = x[lammps_index[pair_center[p]]];
    const double *xj = x[lammps_index[pair_neighbor[p]]];
    const double dx = xj[0] - xi[0], dy = xj[1] - xi[1], dz = xj[2] - xi[2];
    if (dx * dx + dy * dy + dz * dz >= cutoff * cutoff) continue;
    edge_vectors[3 * n] = dx;
    edge_vectors[3 * n + 1] = dy;
    edge_vectors[3 * n + 2] = dz;
    edge_pair[n++] = p;
  }
  n_edges = n;

  edge_index.resize(2 * n);
  for (int64_t e = 0; e < n; e++) {
    edge_index[e] = pair_center[edge_pair[e]];
    edge_index[n + e] = pair_neighbor[edge_pair[e]];
  }
}

double LammpsGraph::memory_usage() const
{
  return (pair_center.capacity() + pair_neighbor.capacity() + edge_pair.capacity()) * sizeof(int) +
      (edge_vectors.capacity() + edge_index.capacity()) * sizeof(double);
}
