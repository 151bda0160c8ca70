/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only */

#include "atomic_network.h"

#include <cmath>

namespace atomic_network {

namespace {

double scale(const Tensor &weight)
{
  return 1.0 / std::sqrt((double) weight.size(1));
}

// x W / sqrt(d) with an output of layer l, back to its input

Tensor times_weight(const Tensor &x, const Tensor &weight)
{
  return at::mm(x, weight).mul_(scale(weight));
}

void find_sensitivities(const Parameters &p, State &state)
{
  const int n_layers = p.weights.size();
  state.sensitivities.resize(n_layers);
  state.before_slope.resize(n_layers);
  state.sensitivities[n_layers - 1] =
      at::ones({state.inputs[0].size(0), 1}, state.inputs[0].options());
  for (int l = n_layers - 2; l >= 0; l--) {
    state.before_slope[l] = times_weight(state.sensitivities[l + 1], p.weights[l + 1]);
    state.sensitivities[l] = state.before_slope[l] * state.slopes[l];
  }
}

}    // namespace

Tensor evaluate(const Parameters &p, const Tensor &invariants, State &state)
{
  const int n_layers = p.weights.size();
  Tensor h = invariants;
  for (int l = 0; l < n_layers; l++) {
    state.inputs.push_back(h);
    Tensor z = at::addmm(p.biases[l], h, p.weights[l].t(), p.bias_scale, scale(p.weights[l]));
    if (l == n_layers - 1) {
      find_sensitivities(p, state);
      return z.squeeze(1);
    }

    // g = sigmoid(z), g' = g (1 - g): silu = z g, silu' = g + z g', silu'' = g' (2 + z (1 - 2g))

    const Tensor g = at::sigmoid(z), dg = at::addcmul(g, g, g, -1.0);
    state.slopes.push_back(at::addcmul(g, z, dg).mul_(p.gain));
    state.curvatures.push_back((z * (1.0 - 2.0 * g)).add_(2.0).mul_(dg).mul_(p.gain));
    h = z.mul_(g).mul_(p.gain);
  }
  return h;
}

Tensor features(const Parameters &p, const Tensor &unit, State &state)
{
  const int n_layers = p.weights.size();
  if (p.input_sketches.empty()) {
    state.unit = unit;
    const Tensor &h = state.inputs[n_layers - 1];
    const Tensor slot = at::full({h.size(0), 1}, p.bias_scale, h.options());
    return at::cat({h * scale(p.weights[n_layers - 1]), slot}, 1).mul_(unit);
  }

  state.unit = unit / std::sqrt((double) p.input_sketches[0].size(1));
  Tensor total;
  for (int l = 0; l < n_layers; l++) {
    const int64_t d = state.inputs[l].size(1);
    const Tensor &u = p.input_sketches[l];
    state.projected_inputs.push_back(
        at::addmm(u[d], state.inputs[l], u.narrow(0, 0, d), p.bias_scale, scale(p.weights[l])));
    state.projected_sensitivities.push_back(
        at::mm(state.sensitivities[l], p.sensitivity_sketches[l]));
    const Tensor &q = state.projected_sensitivities[l];
    if (l == 0)
      total = state.projected_inputs[l] * q;
    else
      total.addcmul_(state.projected_inputs[l], q);
  }
  return total.mul_(state.unit);
}

Tensor pull_back_output(const Parameters &p, const State &state, const Tensor &a)
{
  return times_weight(state.sensitivities[0], p.weights[0]).mul_(a.unsqueeze(1));
}

Tensor pull_back_features(const Parameters &p, const State &state, const Tensor &cotangents)
{
  const int n_layers = p.weights.size();
  const Tensor a = cotangents * state.unit;
  Tensors d_inputs(n_layers), d_sensitivities(n_layers), d_slopes(n_layers);

  if (p.input_sketches.empty()) {
    const int64_t d = state.inputs[n_layers - 1].size(1);
    d_inputs[n_layers - 1] = a.narrow(1, 0, d) * scale(p.weights[n_layers - 1]);
  } else {
    for (int l = 0; l < n_layers; l++) {
      const int64_t d = state.inputs[l].size(1);
      d_inputs[l] =
          at::mm(a * state.projected_sensitivities[l], p.input_sketches[l].narrow(0, 0, d).t())
              .mul_(scale(p.weights[l]));
      if (l < n_layers - 1)
        d_sensitivities[l] = at::mm(a * state.projected_inputs[l], p.sensitivity_sketches[l].t());
    }

    // the sensitivities were found from the last layer to the first; back again

    for (int l = 0; l < n_layers - 1; l++) {
      d_slopes[l] = d_sensitivities[l] * state.before_slope[l];
      if (l + 1 < n_layers - 1)
        d_sensitivities[l + 1].addmm_(d_sensitivities[l] * state.slopes[l], p.weights[l + 1].t(),
                                      1.0, scale(p.weights[l + 1]));
    }
  }

  for (int l = n_layers - 2; l >= 0; l--) {
    Tensor dz = d_inputs[l + 1] * state.slopes[l];
    if (d_slopes[l].defined()) dz.addcmul_(d_slopes[l], state.curvatures[l]);
    const Tensor through = times_weight(dz, p.weights[l]);
    d_inputs[l] = d_inputs[l].defined() ? d_inputs[l].add_(through) : through;
  }
  return d_inputs[0];
}

}    // namespace atomic_network
