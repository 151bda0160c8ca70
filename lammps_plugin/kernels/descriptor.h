/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   The descriptor of gaussian_moments.h on tensors, threaded over atoms.
*/

#ifndef UBIAS_DESCRIPTOR_H
#define UBIAS_DESCRIPTOR_H

#include "problem.h"

#include <utility>

namespace descriptor {

void check(const Tensor &edge_vectors, const Tensor &edge_index, const Tensor &types,
           const Tensor &beta);

// moments (n_local, 20, padded N_r) and invariants (n_local, length)

std::pair<Tensor, Tensor> invariants(const Graph &graph, const Tensor &edge_vectors,
                                     const Tensor &beta);

// d_vectors and d_beta, undefined where not wanted

std::pair<Tensor, Tensor> pull_back(const Graph &graph, const Tensor &edge_vectors,
                                    const Tensor &beta, const Tensor &moments,
                                    const Tensor &cotangents, bool want_vectors, bool want_beta);

// tangents of the moments and of the invariants along tangents of the edge vectors

std::pair<Tensor, Tensor> push_forward(const Graph &graph, const Tensor &edge_vectors,
                                       const Tensor &beta, const Tensor &moments,
                                       const Tensor &tangents);

// d/dbeta of a . (tangents of the invariants) + b . invariants

Tensor pull_back_tangent(const Graph &graph, const Tensor &edge_vectors, const Tensor &beta,
                         const Tensor &moments, const Tensor &moment_tangents,
                         const Tensor &tangents, const Tensor &a, const Tensor &b);

}    // namespace descriptor

#endif
