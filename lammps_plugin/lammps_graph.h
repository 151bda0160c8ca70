/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   The graph of one rank, from LAMMPS' neighbor list: pairs within cutoff + skin are listed when
   the neighbor list is rebuilt, edges within the cutoff are picked from them on every step.
*/

#ifndef UBIAS_LAMMPS_GRAPH_H
#define UBIAS_LAMMPS_GRAPH_H

#include "ubias_model.h"

#include <vector>

namespace LAMMPS_NS {

class LammpsGraph : public UbiasGraph {
 public:
  std::vector<int> lammps_index;    // graph index -> index in atom arrays

  // atoms whose type maps to less than zero are in no graph

  void rebuild_pairs(const class NeighList &, const int *type, const int *map, int nall);
  void pack_edges(const double *const *x, double cutoff);
  double memory_usage() const;

 private:
  std::vector<int> graph_index;                    // and back, -1 for atoms of no graph
  std::vector<int> pair_centre, pair_neighbour;    // graph indices
  std::vector<int> edge_pair;                      // edge of this step -> pair
};

}    // namespace LAMMPS_NS

#endif
