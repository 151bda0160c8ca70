/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   A whole Gaussian-moment potential on tensors: from edge vectors to atomic energies and
   gradient features, and the gradients of both. The arithmetic is that of layers.h.
*/

#ifndef UBIAS_POTENTIAL_H
#define UBIAS_POTENTIAL_H

#include "problem.h"

#include <tuple>
#include <utility>

namespace potential {

struct Parameters {
  Tensor beta;
  Tensor scale, shift;    // E_i = shift_Z + scale_Z z_i, in float64
  Tensor U0;              // as in layers.h, and so are M_l and N_l
  std::vector<Tensor> M, N;
  int64_t n_sketches;    // 0: last-layer features
  double gain, bias_scale;
};

void check(const Graph &graph, const Tensor &edge_vectors, const Parameters &parameters);

// energies (n_local), features (n_local, p; p = 0 if not wanted) and the state for gradients()

std::tuple<Tensor, Tensor, Tensor> evaluate(const Graph &graph, const Tensor &edge_vectors,
                                            const Parameters &parameters, bool with_features);

// Gradients by the edge vectors of of_energies . energies and of sum of_features * features, each
// if its cotangent is defined. of_features is (n_local, p), or (p) for the same one at all atoms.

std::pair<Tensor, Tensor> gradients(const Graph &graph, const Tensor &edge_vectors,
                                    const Parameters &parameters, const Tensor &state,
                                    const Tensor &of_energies, const Tensor &of_features);

}    // namespace potential

#endif
