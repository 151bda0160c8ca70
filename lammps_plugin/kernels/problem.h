/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   From the tensors of a graph to a Problem of gaussian_moments.h, and its atoms to threads.
*/

#ifndef UBIAS_PROBLEM_H
#define UBIAS_PROBLEM_H

#include "gaussian_moments.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <numeric>
#include <vector>

using at::Tensor;

// the arguments of the operators that have no gradient

struct Graph {
  Tensor edge_index, types;
  int64_t n_local;
  double cutoff;
};

// where the edges of each centre begin in `order`, which stays empty if they come in order

inline std::vector<int64_t> group_by_centre(const Graph &graph, std::vector<int64_t> &order)
{
  const int64_t n_edges = graph.edge_index.size(1);
  const int64_t *centres = graph.edge_index.const_data_ptr<int64_t>();
  std::vector<int64_t> first(graph.n_local + 1, 0);
  bool sorted = true;
  for (int64_t e = 0; e < n_edges; e++) {
    TORCH_CHECK_INDEX(centres[e] >= 0 && centres[e] < graph.n_local, "edge ", e, " has centre ",
                      centres[e], ", there are ", graph.n_local, " centres");
    first[centres[e] + 1]++;
    sorted = sorted && (e == 0 || centres[e] >= centres[e - 1]);
  }
  std::partial_sum(first.begin(), first.end(), first.begin());
  if (sorted) return first;
  std::vector<int64_t> next(first.begin(), first.end() - 1);
  order.resize(n_edges);
  for (int64_t e = 0; e < n_edges; e++) order[next[centres[e]]++] = e;
  return first;
}

// Calls function(problem, begin, end) on ranges of atoms, whole multiples of `grain`, one for
// each thread.

template <typename T, typename Function>
void for_atoms(const Graph &graph, const Tensor &edge_vectors, const Tensor &beta, int64_t grain,
               Function &&function)
{
  constexpr double R_MIN = 0.5;    // as in pyubias/potential.py
  std::vector<int64_t> order;
  const auto first = group_by_centre(graph, order);
  const gaussian_moments::Problem<T> problem = {(int) beta.size(0),
                                                (int) beta.size(2),
                                                (int) beta.size(3),
                                                graph.cutoff,
                                                R_MIN,
                                                graph.n_local,
                                                first.data(),
                                                order.empty() ? nullptr : order.data(),
                                                edge_vectors.const_data_ptr<T>(),
                                                graph.edge_index.const_data_ptr<int64_t>() +
                                                    graph.edge_index.size(1),
                                                graph.types.const_data_ptr<int64_t>(),
                                                beta.const_data_ptr<T>()};
  if (graph.n_local <= grain) {
    function(problem, 0, graph.n_local);
    return;
  }
  const int64_t n_grains = (graph.n_local + grain - 1) / grain;
  at::parallel_for(0, n_grains, 1, [&](int64_t begin, int64_t end) {
    function(problem, begin * grain, std::min(end * grain, graph.n_local));
  });
}

#endif
