/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   The graph of one rank, from LAMMPS' neighbor list. Pairs within cutoff + skin are listed when
   the neighbor list is rebuilt; every step takes the edges within the cutoff from these pairs.
*/

#ifndef UBIAS_LAMMPS_GRAPH_H
#define UBIAS_LAMMPS_GRAPH_H

#include "ubias_model.h"

#include <vector>

namespace LAMMPS_NS {

class LammpsGraph : public UbiasGraph {
 public:
  std::vector<int> lammps_index;    // graph index -> index in atom arrays

  // atoms whose type maps to a negative number do not belong to the graph

  void rebuild_pairs(const class NeighList &, const int *type, const int *map, int nall);
  void pack_edges(const double *const *x, double cutoff);
  double memory_usage() const;

 private:
  std::vector<int> graph_index;                   // the inverse, -1 for atoms outside the graph
  std::vector<int> pair_center, pair_neighbor;    // graph indices
  std::vector<int> edge_pair;                     // edge of this step -> pair
};

}    // namespace LAMMPS_NS

#endif
