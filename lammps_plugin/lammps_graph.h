/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   The graph of one rank, from LAMMPS' neighbor list.

   A node of the graph is an atom, an end of an edge is a place of that atom: the atom itself or one
   of its ghosts. Vectors, forces and virials belong to places, the model sees nodes.
*/

#ifndef UBIAS_LAMMPS_GRAPH_H
#define UBIAS_LAMMPS_GRAPH_H

#include "ubias_model.h"

#include <memory>
#include <vector>

namespace LAMMPS_NS {

class LammpsGraph : public UbiasGraph {
 public:
  virtual ~LammpsGraph() = default;

  std::vector<int> lammps_index;                  // node -> index in atom arrays
  std::vector<int> edge_center, edge_neighbor;    // edge -> indices in atom arrays of its ends

  // after each rebuild of the neighbor list; atoms whose type maps to a negative number do not
  // belong to the graph

  virtual void rebuild(const class NeighList &, const class Atom &, const int *map) = 0;

  // on each step: the edges shorter than the cutoff

  virtual void pack_edges(const double *const *x, double cutoff) = 0;
  virtual double memory_usage() const;

  // number of edges around atoms of this rank; the others stand around atoms of other ranks

  virtual int64_t n_local_edges() const = 0;
};

// For models whose E_i and features depend on edges whose center is fewer than n_hops hops away
// from atom i.

std::unique_ptr<LammpsGraph> make_graph(int n_hops);

}    // namespace LAMMPS_NS

#endif
