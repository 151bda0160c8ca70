/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   The network of a Gaussian-moment potential, its gradient features, and the pull-back of both,
   written out instead of left to autograd: a step of dynamics is then two dozen matrix products.
   The equations are those of AtomicNetwork.layer_gradients and of the features in
   pyubias/potential.py and pyubias/uncertainty.py, where the same is written in plain PyTorch.

   Layers l = 0 ... L-1, atoms in rows:

     z_l = h_l W_l^T / sqrt(d_l) + b_scale b_l     h_0 = G (invariants), h_{l+1} = gain silu(z_l)
     delta_l = dz_{L-1}/dz_l                        t_l = delta_{l+1} W_{l+1} / sqrt(d_{l+1})
                                                    delta_l = t_l * s_l, s = gain silu'
   Features of an atom with unit k = dE/dz_{L-1}:
     last layer   k [h_{L-1} / sqrt(d_{L-1}), b_scale]
     sketched     k/sqrt(p) sum_l P_l * Q_l,  P_l = [h_l / sqrt(d_l), b_scale] U_l,  Q_l = delta_l
   V_l
*/

#ifndef UBIAS_ATOMIC_NETWORK_H
#define UBIAS_ATOMIC_NETWORK_H

#include <ATen/ATen.h>

#include <vector>

namespace atomic_network {

using at::Tensor;
using Tensors = std::vector<Tensor>;

struct Parameters {
  Tensors weights;                 // (d_{l+1}, d_l)
  Tensors biases;                  // (d_{l+1})
  Tensors input_sketches;          // (d_l + 1, p); none: last-layer features
  Tensors sensitivity_sketches;    // (d_{l+1}, p)
  double gain, bias_scale;
};

// what the pull-back needs of an evaluation

struct State {
  Tensors inputs;                         // h_l
  Tensors slopes, curvatures;             // silu' and silu'' times gain, hidden layers
  Tensors sensitivities, before_slope;    // delta_l, t_l
  Tensors projected_inputs, projected_sensitivities;    // P_l, Q_l
  Tensor unit;                                          // (n, 1)
};

// output z_{L-1} (n)

Tensor evaluate(const Parameters &, const Tensor &invariants, State &);

// features (n, p) with unit (n, 1)

Tensor features(const Parameters &, const Tensor &unit, State &);

// gradient by the invariants (n, d_0) of sum_i a_i z_i, and of sum a * features

Tensor pull_back_output(const Parameters &, const State &, const Tensor &a);
Tensor pull_back_features(const Parameters &, const State &, const Tensor &a);

}    // namespace atomic_network

#endif
