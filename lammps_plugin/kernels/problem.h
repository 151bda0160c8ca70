/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   Makes a Problem of gaussian_moments.h from the tensors of a graph, and shares its atoms between
   threads.
*/

#ifndef UBIAS_PROBLEM_H
#define UBIAS_PROBLEM_H

#include "gaussian_moments.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <numeric>
#include <vector>

using at::Tensor;

// the arguments of the operators that are not differentiated

struct Graph {
  Tensor edge_index, types;
  int64_t n_local;
  double cutoff;
};

// Where the edges of each center begin in `order`, a list of edges by center. `order` stays empty
// if the edges are in that order already.

inline std::vector<int64_t> group_by_center(const Graph &graph, std::vector<int64_t> &order)
{
  const int64_t n_edges = graph.edge_index.size(1);
  const int64_t *centers = graph.edge_index.const_data_ptr<int64_t>();
  std::vector<int64_t> first(graph.n_local + 1, 0);
  bool sorted = true;
  for (int64_t e = 0; e < n_edges; e++) {
    TORCH_CHECK_INDEX(centers[e] >= 0 && centers[e] < graph.n_local, "edge ", e, " has center ",
                      centers[e], ", there are ", graph.n_local, " centers");
    first[centers[e] + 1]++;
    sorted = sorted && (e == 0 || centers[e] >= centers[e - 1]);
  }
  std::partial_sum(first.begin(), first.end(), first.begin());
  if (sorted) return first;
  std::vector<int64_t> next(first.begin(), first.end() - 1);
  order.resize(n_edges);
  for (int64_t e = 0; e < n_edges; e++) order[next[centers[e]]++] = e;
  return first;
}

// Calls function(problem, begin, end) on ranges of atoms, one for each thread, which begin at
// multiples of `grain`.

template <typename T, typename Function>
void for_atoms(const Graph &graph, const Tensor &edge_vectors, const Tensor &beta, int64_t grain,
               Function &&function)
{
  std::vector<int64_t> order;
  const auto first = group_by_center(graph, order);
  const gaussian_moments::Problem<T> problem = {(int) beta.size(0),
                                                (int) beta.size(2),
                                                (int) beta.size(3),
                                                graph.cutoff,
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
