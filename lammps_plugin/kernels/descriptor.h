/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   The descriptor of gaussian_moments.h on tensors, with atoms shared between threads.
*/

#ifndef UBIAS_DESCRIPTOR_H
#define UBIAS_DESCRIPTOR_H

#include "problem.h"

#include <utility>

namespace descriptor {

void check(const Tensor &edge_vectors, const Tensor &edge_index, const Tensor &types,
           const Tensor &beta);

// Invariants G, their tangents and their cotangents are by row, (length, padded atoms), as in
// gaussian_moments.h; columns beyond n_local are zero in results and ignored in arguments.

// moments (n_local, 20, padded N_r) and invariants

std::pair<Tensor, Tensor> invariants(const Graph &graph, const Tensor &edge_vectors,
                                     const Tensor &beta);

// gradients of cotangents . invariants by the edge vectors and by beta, each undefined if not
// wanted

std::pair<Tensor, Tensor> vjp(const Graph &graph, const Tensor &edge_vectors, const Tensor &beta,
                              const Tensor &moments, const Tensor &cotangents, bool want_vectors,
                              bool want_beta);

// tangents of the moments and of the invariants along tangents of the edge vectors

std::pair<Tensor, Tensor> jvp(const Graph &graph, const Tensor &edge_vectors, const Tensor &beta,
                              const Tensor &moments, const Tensor &tangents);

// gradient by beta of a . (tangents of the invariants) + b . invariants

Tensor embedding_gradient(const Graph &graph, const Tensor &edge_vectors, const Tensor &beta,
                          const Tensor &moments, const Tensor &moment_tangents,
                          const Tensor &tangents, const Tensor &a, const Tensor &b);

}    // namespace descriptor

#endif
