/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   A whole Gaussian-moment potential on tensors: from edge vectors to atomic energies and
   gradient features, and back. The arithmetic is that of layers.h.
*/

#ifndef UBIAS_POTENTIAL_H
#define UBIAS_POTENTIAL_H

#include "problem.h"

#include <tuple>
#include <utility>

namespace potential {

struct Parameters {
  Tensor beta;
  Tensor slope, offset;                         // E_i = offset_Z + slope_Z z_i, in float64
  Tensor first_sketch;                          // U_0 of layers.h
  std::vector<Tensor> inputs, sensitivities;    // M_l and N_l
  int64_t n_sketches;                           // 0: last-layer features
  double gain, bias_scale;
};

void check(const Graph &graph, const Tensor &edge_vectors, const Parameters &parameters);

// energies (n_local), features (n_local, p; p = 0 if not wanted) and a state for gradients()

std::tuple<Tensor, Tensor, Tensor> evaluate(const Graph &graph, const Tensor &edge_vectors,
                                            const Parameters &parameters, bool with_features);

// gradients by the edge vectors of of_energies . energies and of sum of_features * features,
// each where its cotangent is defined; of_features may be one row (p) for all atoms

std::pair<Tensor, Tensor> gradients(const Graph &graph, const Tensor &edge_vectors,
                                    const Parameters &parameters, const Tensor &state,
                                    const Tensor &of_energies, const Tensor &of_features);

}    // namespace potential

#endif
