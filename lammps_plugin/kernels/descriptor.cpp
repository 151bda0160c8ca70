/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only */

#include "descriptor.h"

#include "gaussian_moments.h"
#include "problem.h"

namespace descriptor {

constexpr int64_t GRAIN = 16;    // least number of atoms for a thread

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
  Tensor result = at::zeros(
      {gaussian_moments::n_invariants(n_radial), gaussian_moments::padded_atoms(graph.n_local)},
      options);
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

// Calls function(problem, begin, end, d_beta) on slabs of atoms, each with its own d_beta, and sums
// these in the order of the slabs. The result does not depend on the number of threads.

template <typename T, typename Function>
Tensor sum_over_slabs(const Graph &graph, const Tensor &edge_vectors, const Tensor &beta,
                      Function &&function)
{
  constexpr int64_t MAX_SLABS = 16;
  const int64_t slab =
      std::max(GRAIN, ((graph.n_local + MAX_SLABS - 1) / MAX_SLABS + GRAIN - 1) / GRAIN * GRAIN);
  const int64_t n_slabs = std::max<int64_t>(1, (graph.n_local + slab - 1) / slab);
  Tensor parts = at::zeros({n_slabs, beta.numel()}, beta.options().requires_grad(false));
  T *of_slab = parts.mutable_data_ptr<T>();
  for_atoms<T>(graph, edge_vectors, beta, slab,
               [&](const auto &problem, int64_t begin, int64_t end) {
                 for (int64_t first = begin; first < end; first += slab)
                   function(problem, first, std::min(first + slab, end),
                            of_slab + first / slab * beta.numel());
               });
  return parts.sum(0).view(beta.sizes());
}

std::pair<Tensor, Tensor> vjp(const Graph &graph, const Tensor &edge_vectors, const Tensor &beta,
                              const Tensor &moments, const Tensor &cotangents, bool want_vectors,
                              bool want_beta)
{
  Tensor d_vectors, d_beta;
  if (want_vectors) d_vectors = at::empty_like(edge_vectors);
  AT_DISPATCH_FLOATING_TYPES(edge_vectors.scalar_type(), "gaussian_moments_vjp", [&] {
    auto slab = [&](const auto &problem, int64_t begin, int64_t end, scalar_t *of_beta) {
      gaussian_moments::functions<scalar_t>().vjp(
          problem, begin, end, moments.const_data_ptr<scalar_t>(),
          cotangents.const_data_ptr<scalar_t>(),
          want_vectors ? d_vectors.mutable_data_ptr<scalar_t>() : nullptr, of_beta);
    };
    if (want_beta)
      d_beta = sum_over_slabs<scalar_t>(graph, edge_vectors, beta, slab);
    else
      for_atoms<scalar_t>(graph, edge_vectors, beta, GRAIN,
                          [&](const auto &problem, int64_t begin, int64_t end) {
                            slab(problem, begin, end, nullptr);
                          });
  });
  return {d_vectors, d_beta};
}

std::pair<Tensor, Tensor> jvp(const Graph &graph, const Tensor &edge_vectors, const Tensor &beta,
                              const Tensor &moments, const Tensor &tangents)
{
  Tensor moment_tangents = at::empty_like(moments);
  Tensor result = at::zeros(
      {gaussian_moments::n_invariants(beta.size(2)), gaussian_moments::padded_atoms(graph.n_local)},
      moments.options());
  AT_DISPATCH_FLOATING_TYPES(edge_vectors.scalar_type(), "gaussian_moments_jvp", [&] {
    for_atoms<scalar_t>(
        graph, edge_vectors, beta, GRAIN, [&](const auto &problem, int64_t begin, int64_t end) {
          gaussian_moments::functions<scalar_t>().jvp(
              problem, begin, end, moments.const_data_ptr<scalar_t>(),
              tangents.const_data_ptr<scalar_t>(), moment_tangents.mutable_data_ptr<scalar_t>(),
              result.mutable_data_ptr<scalar_t>());
        });
  });
  return {moment_tangents, result};
}

Tensor embedding_gradient(const Graph &graph, const Tensor &edge_vectors, const Tensor &beta,
                          const Tensor &moments, const Tensor &moment_tangents,
                          const Tensor &tangents, const Tensor &a, const Tensor &b)
{
  Tensor d_beta;
  AT_DISPATCH_FLOATING_TYPES(
      edge_vectors.scalar_type(), "gaussian_moments_embedding_gradient", [&] {
        d_beta = sum_over_slabs<scalar_t>(
            graph, edge_vectors, beta,
            [&](const auto &problem, int64_t begin, int64_t end, scalar_t *of_beta) {
              gaussian_moments::functions<scalar_t>().embedding_gradient(
                  problem, begin, end, moments.const_data_ptr<scalar_t>(),
                  moment_tangents.const_data_ptr<scalar_t>(), tangents.const_data_ptr<scalar_t>(),
                  a.const_data_ptr<scalar_t>(), b.const_data_ptr<scalar_t>(), of_beta);
            });
      });
  return d_beta;
}

}    // namespace descriptor
