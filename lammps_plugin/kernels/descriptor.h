/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   The kernels of gaussian_moments.h on tensors, threaded over atoms; what both operators share.
*/

#ifndef UBIAS_DESCRIPTOR_H
#define UBIAS_DESCRIPTOR_H

#include <ATen/ATen.h>

#include <utility>

namespace descriptor {

using at::Tensor;

// the arguments of the operators that have no gradient

struct Graph {
  Tensor edge_index, types;
  int64_t n_local;
  double cutoff;
};

void check(const Tensor &edge_vectors, const Tensor &edge_index, const Tensor &types,
           const Tensor &beta);

// moments (n_local, 20, padded N_r) and invariants (n_local, length)

std::pair<Tensor, Tensor> invariants(const Graph &graph, const Tensor &edge_vectors,
                                     const Tensor &beta);

// d_vectors and d_beta, undefined where not wanted

std::pair<Tensor, Tensor> pull_back(const Graph &graph, const Tensor &edge_vectors,
                                    const Tensor &beta, const Tensor &moments,
                                    const Tensor &cotangents, bool want_vectors, bool want_beta);

// d_invariants and d_beta, undefined where not wanted

std::pair<Tensor, Tensor> push_forward(const Graph &graph, const Tensor &edge_vectors,
                                       const Tensor &beta, const Tensor &moments,
                                       const Tensor &cotangents, const Tensor &tangents,
                                       bool want_invariants, bool want_beta);

}    // namespace descriptor

#endif
