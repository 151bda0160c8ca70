/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only */

#include "descriptor.h"

#include "gaussian_moments.h"
#include "problem.h"

namespace descriptor {

constexpr int64_t GRAIN = 64;    // atoms that are worth a thread

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
        graph, edge_vectors, beta, GRAIN, [&](const auto &problem, int64_t begin, int64_t end) {
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
    for_atoms<scalar_t>(graph, edge_vectors, beta, want_beta ? graph.n_local : GRAIN,
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
                                       const Tensor &tangents)
{
  Tensor moment_tangents = at::empty_like(moments);
  Tensor result =
      at::empty({graph.n_local, gaussian_moments::n_invariants(beta.size(2))}, moments.options());
  AT_DISPATCH_FLOATING_TYPES(edge_vectors.scalar_type(), "gaussian_moments_push_forward", [&] {
    for_atoms<scalar_t>(
        graph, edge_vectors, beta, GRAIN, [&](const auto &problem, int64_t begin, int64_t end) {
          gaussian_moments::functions<scalar_t>().push_forward(
              problem, begin, end, moments.const_data_ptr<scalar_t>(),
              tangents.const_data_ptr<scalar_t>(), moment_tangents.mutable_data_ptr<scalar_t>(),
              result.mutable_data_ptr<scalar_t>());
        });
  });
  return {moment_tangents, result};
}

Tensor pull_back_tangent(const Graph &graph, const Tensor &edge_vectors, const Tensor &beta,
                         const Tensor &moments, const Tensor &moment_tangents,
                         const Tensor &tangents, const Tensor &a, const Tensor &b)
{
  Tensor d_beta = at::zeros_like(beta);
  AT_DISPATCH_FLOATING_TYPES(edge_vectors.scalar_type(), "gaussian_moments_pull_back_tangent", [&] {
    for_atoms<scalar_t>(graph, edge_vectors, beta, graph.n_local,
                        [&](const auto &problem, int64_t begin, int64_t end) {
                          gaussian_moments::functions<scalar_t>().pull_back_tangent(
                              problem, begin, end, moments.const_data_ptr<scalar_t>(),
                              moment_tangents.const_data_ptr<scalar_t>(),
                              tangents.const_data_ptr<scalar_t>(), a.const_data_ptr<scalar_t>(),
                              b.const_data_ptr<scalar_t>(), d_beta.mutable_data_ptr<scalar_t>());
                        });
  });
  return d_beta;
}

}    // namespace descriptor
