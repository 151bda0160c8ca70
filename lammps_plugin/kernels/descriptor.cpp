/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only */

#include "descriptor.h"

#include "gaussian_moments.h"

#include <ATen/Parallel.h>

#include <numeric>
#include <vector>

namespace descriptor {

namespace {

constexpr double R_MIN = 0.5;    // as in pyubias/potential.py

std::vector<int64_t> group_by_centre(const Graph &graph, std::vector<int64_t> &order)
{
  const int64_t n_edges = graph.edge_index.size(1);
  const int64_t *centres = graph.edge_index.const_data_ptr<int64_t>();
  std::vector<int64_t> first(graph.n_local + 1, 0);
  for (int64_t e = 0; e < n_edges; e++) {
    TORCH_CHECK_INDEX(centres[e] >= 0 && centres[e] < graph.n_local, "edge ", e, " has centre ",
                      centres[e], ", there are ", graph.n_local, " centres");
    first[centres[e] + 1]++;
  }
  std::partial_sum(first.begin(), first.end(), first.begin());
  std::vector<int64_t> next(first.begin(), first.end() - 1);
  order.resize(n_edges);
  for (int64_t e = 0; e < n_edges; e++) order[next[centres[e]]++] = e;
  return first;
}

// Calls function(problem, begin, end) on ranges of atoms, with one range per thread.

template <typename T, typename Function>
void for_atoms(const Graph &graph, const Tensor &edge_vectors, const Tensor &beta, bool parallel,
               Function &&function)
{
  std::vector<int64_t> order;
  const auto first = group_by_centre(graph, order);
  const gaussian_moments::Problem<T> problem = {(int) beta.size(0),
                                                (int) beta.size(2),
                                                (int) beta.size(3),
                                                graph.cutoff,
                                                R_MIN,
                                                graph.n_local,
                                                first.data(),
                                                order.data(),
                                                edge_vectors.const_data_ptr<T>(),
                                                graph.edge_index.const_data_ptr<int64_t>() +
                                                    graph.edge_index.size(1),
                                                graph.types.const_data_ptr<int64_t>(),
                                                beta.const_data_ptr<T>()};
  if (!parallel) {
    function(problem, 0, graph.n_local);
    return;
  }
  at::parallel_for(0, graph.n_local, 64, [&](int64_t begin, int64_t end) {
    function(problem, begin, end);
  });
}

}    // namespace

void check(const Tensor &edge_vectors, const Tensor &edge_index, const Tensor &types,
           const Tensor &beta)
{
  TORCH_CHECK(edge_vectors.dim() == 2 && edge_vectors.size(1) == 3,
              "edge_vectors must have shape (E, 3), got ", edge_vectors.sizes());
  TORCH_CHECK(edge_index.dim() == 2 && edge_index.size(0) == 2 &&
                  edge_index.size(1) == edge_vectors.size(0) && edge_index.dtype() == at::kLong,
              "edge_index must be int64 of shape (2, ", edge_vectors.size(0), "), got ",
              edge_index.dtype(), " of shape ", edge_index.sizes());
  TORCH_CHECK(types.dim() == 1 && types.dtype() == at::kLong,
              "types must be int64 of shape (n,), got ", types.dtype(), " of shape ",
              types.sizes());
  TORCH_CHECK(beta.dim() == 4 && beta.size(2) <= gaussian_moments::MAX_RADIAL,
              "beta must have shape (elements, elements, N_r, N_b) with N_r at most ",
              gaussian_moments::MAX_RADIAL, ", got ", beta.sizes());
}

std::pair<Tensor, Tensor> invariants(const Graph &graph, const Tensor &edge_vectors,
                                     const Tensor &beta)
{
  const int n_radial = beta.size(2);
  const auto options = edge_vectors.options().requires_grad(false);
  Tensor moments = at::empty(
      {graph.n_local, gaussian_moments::N_COMPONENTS, gaussian_moments::padded_radial(n_radial)},
      options);
  Tensor result = at::empty({graph.n_local, gaussian_moments::n_invariants(n_radial)}, options);
  AT_DISPATCH_FLOATING_TYPES(edge_vectors.scalar_type(), "gaussian_moments", [&] {
    for_atoms<scalar_t>(
        graph, edge_vectors, beta, true, [&](const auto &problem, int64_t begin, int64_t end) {
          gaussian_moments::functions<scalar_t>().invariants(problem, begin, end,
                                                             moments.mutable_data_ptr<scalar_t>(),
                                                             result.mutable_data_ptr<scalar_t>());
        });
  });
  return {moments, result};
}

// Threads would add to one d_beta in any order: work that wants it stays in one thread.

std::pair<Tensor, Tensor> pull_back(const Graph &graph, const Tensor &edge_vectors,
                                    const Tensor &beta, const Tensor &moments,
                                    const Tensor &cotangents, bool want_vectors, bool want_beta)
{
  Tensor d_vectors, d_beta;
  if (want_vectors) d_vectors = at::empty_like(edge_vectors);
  if (want_beta) d_beta = at::zeros_like(beta);
  AT_DISPATCH_FLOATING_TYPES(edge_vectors.scalar_type(), "gaussian_moments_pull_back", [&] {
    for_atoms<scalar_t>(graph, edge_vectors, beta, !want_beta,
                        [&](const auto &problem, int64_t begin, int64_t end) {
                          gaussian_moments::functions<scalar_t>().pull_back(
                              problem, begin, end, moments.const_data_ptr<scalar_t>(),
                              cotangents.const_data_ptr<scalar_t>(),
                              want_vectors ? d_vectors.mutable_data_ptr<scalar_t>() : nullptr,
                              want_beta ? d_beta.mutable_data_ptr<scalar_t>() : nullptr);
                        });
  });
  return {d_vectors, d_beta};
}

std::pair<Tensor, Tensor> push_forward(const Graph &graph, const Tensor &edge_vectors,
                                       const Tensor &beta, const Tensor &moments,
                                       const Tensor &cotangents, const Tensor &tangents,
                                       bool want_invariants, bool want_beta)
{
  Tensor d_invariants, d_beta;
  if (want_invariants) d_invariants = at::empty_like(cotangents);
  if (want_beta) d_beta = at::zeros_like(beta);
  AT_DISPATCH_FLOATING_TYPES(edge_vectors.scalar_type(), "gaussian_moments_push_forward", [&] {
    for_atoms<scalar_t>(graph, edge_vectors, beta, !want_beta,
                        [&](const auto &problem, int64_t begin, int64_t end) {
                          gaussian_moments::functions<scalar_t>().push_forward(
                              problem, begin, end, moments.const_data_ptr<scalar_t>(),
                              cotangents.const_data_ptr<scalar_t>(),
                              tangents.const_data_ptr<scalar_t>(),
                              want_invariants ? d_invariants.mutable_data_ptr<scalar_t>() : nullptr,
                              want_beta ? d_beta.mutable_data_ptr<scalar_t>() : nullptr);
                        });
  });
  return {d_invariants, d_beta};
}

}    // namespace descriptor
