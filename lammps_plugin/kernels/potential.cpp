/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only */

#include "potential.h"

#include "descriptor.h"

#include <algorithm>
#include <cmath>

namespace potential {

namespace {

template <typename T> gaussian_moments::Network<T> network_of(const Parameters &parameters)
{
  gaussian_moments::Network<T> network;
  network.n_layers = parameters.M.size();
  network.n_sketches = parameters.n_sketches;
  network.gain = parameters.gain;
  network.bias_scale = parameters.bias_scale;
  network.U0 = parameters.n_sketches > 0 ? parameters.U0.const_data_ptr<T>() : nullptr;
  for (int l = 0; l < network.n_layers; l++) {
    network.width[l] = parameters.M[l].size(0) - 1;
    network.M[l] = parameters.M[l].const_data_ptr<T>();
    network.N[l] = parameters.N[l].const_data_ptr<T>();
  }
  network.width[network.n_layers] = 1;
  network.ntk_scale = 1.0 / std::sqrt((double) network.width[network.n_layers - 1]);
  return network;
}

// Memory for a result. It reuses that of earlier results that were freed, because fresh memory
// costs a page fault per page. Each thread keeps a few pieces, and drops those first that are too
// small for a system that grew.

Tensor recycled(at::IntArrayRef shape, const at::TensorOptions &options)
{
  constexpr size_t KEPT = 8;
  thread_local std::vector<Tensor> kept;
  const int64_t size = c10::multiply_integers(shape);
  auto is_free = [&](const Tensor &memory) {
    return memory.storage().use_count() == 1 && memory.dtype() == options.dtype();
  };
  for (const auto &memory : kept)
    if (is_free(memory) && memory.numel() >= size && memory.numel() <= 2 * size)
      return memory.narrow(0, 0, size).view(shape);

  const auto outgrown = std::find_if(kept.begin(), kept.end(), [&](const Tensor &memory) {
    return is_free(memory) && memory.numel() < size && 2 * memory.numel() >= size;
  });
  if (outgrown != kept.end())
    kept.erase(outgrown);
  else if (kept.size() == KEPT)
    kept.erase(kept.begin());
  kept.push_back(at::empty({size + size / 8}, options));
  return kept.back().narrow(0, 0, size).view(shape);
}

// scale of each center, in the dtype of the arithmetic

template <typename T>
std::vector<T> scale_of_centers(const Graph &graph, const Parameters &parameters)
{
  std::vector<T> result(graph.n_local);
  const int64_t *types = graph.types.const_data_ptr<int64_t>();
  const double *scale = parameters.scale.const_data_ptr<double>();
  for (int64_t i = 0; i < graph.n_local; i++) result[i] = scale[types[i]];
  return result;
}

}    // namespace

void check(const Graph &graph, const Tensor &edge_vectors, const Parameters &parameters)
{
  descriptor::check(edge_vectors, graph.edge_index, graph.types, parameters.beta);
  const int n_layers = parameters.M.size();
  TORCH_CHECK(n_layers > 0 && n_layers <= gaussian_moments::MAX_LAYERS, "potential: got ", n_layers,
              " layers, wanted 1 to ", gaussian_moments::MAX_LAYERS,
              "; export with portable=True for more");
  for (int l = 0; l < n_layers; l++) {
    const auto &m = parameters.M[l], &n = parameters.N[l];
    const int64_t d_in = m.size(0) - 1, d_out = n.size(0);
    const bool fits = m.is_contiguous() && n.is_contiguous() &&
        m.size(1) == d_out + (l > 0 ? parameters.n_sketches : 0) &&
        n.size(1) == d_in + parameters.n_sketches &&
        m.scalar_type() == parameters.beta.scalar_type() &&
        n.scalar_type() == parameters.beta.scalar_type() &&
        (l + 1 < n_layers ? parameters.M[l + 1].size(0) == d_out + 1 : d_out == 1);
    TORCH_CHECK(fits, "potential: layer ", l, " has matrices ", m.sizes(), " and ", n.sizes(),
                " for ", parameters.n_sketches, " sketches, which do not fit");
  }
  const int64_t d_0 = parameters.M[0].size(0) - 1, n_groups = gaussian_moments::SKETCH_GROUPS;
  TORCH_CHECK(d_0 == gaussian_moments::n_invariants(parameters.beta.size(2)),
              "potential: the first layer takes ", d_0, " invariants, the descriptor has ",
              gaussian_moments::n_invariants(parameters.beta.size(2)));
  TORCH_CHECK(parameters.n_sketches == 0 ||
                  (parameters.n_sketches % n_groups == 0 && parameters.U0.is_contiguous() &&
                   parameters.U0.scalar_type() == parameters.beta.scalar_type() &&
                   parameters.U0.sizes() ==
                       at::IntArrayRef{d_0 + n_groups, parameters.n_sketches / n_groups}),
              "potential: the sketch of the invariants has shape ", parameters.U0.sizes(), " for ",
              parameters.n_sketches, " projections in ", n_groups, " groups");
}

std::tuple<Tensor, Tensor, Tensor> evaluate(const Graph &graph, const Tensor &edge_vectors,
                                            const Parameters &parameters, bool with_features)
{
  const auto dtype = parameters.beta.scalar_type();
  const auto options = parameters.beta.options().requires_grad(false);
  const Tensor vectors = edge_vectors.to(dtype).contiguous();
  Tensor energies = at::empty({graph.n_local}, options.dtype(at::kDouble)), state, features;
  AT_DISPATCH_FLOATING_TYPES(dtype, "potential", [&] {
    const auto &functions = gaussian_moments::functions<scalar_t>();
    const auto network = network_of<scalar_t>(parameters);
    const auto scale = scale_of_centers<scalar_t>(graph, parameters);
    std::vector<scalar_t> outputs(graph.n_local);
    features = recycled({graph.n_local, with_features ? network.n_features() : 0}, options);
    state = recycled(
        {functions.state_size(graph.n_local, parameters.beta.size(2), network, with_features)},
        options);
    scalar_t *of_state = state.mutable_data_ptr<scalar_t>();
    scalar_t *of_features = with_features ? features.mutable_data_ptr<scalar_t>() : nullptr;
    for_atoms<scalar_t>(graph, vectors, parameters.beta, functions.block_of_atoms(),
                        [&](const auto &problem, int64_t begin, int64_t end) {
                          functions.evaluate(problem, network, begin, end, scale.data(), of_state,
                                             outputs.data(), of_features);
                        });
    const int64_t *types = graph.types.const_data_ptr<int64_t>();
    const double *scale_of_type = parameters.scale.const_data_ptr<double>(),
                 *shift_of_type = parameters.shift.const_data_ptr<double>();
    double *result = energies.mutable_data_ptr<double>();
    for (int64_t i = 0; i < graph.n_local; i++)
      result[i] = shift_of_type[types[i]] + scale_of_type[types[i]] * outputs[i];
  });
  return {energies, features.to(at::kDouble), state};
}

std::pair<Tensor, Tensor> gradients(const Graph &graph, const Tensor &edge_vectors,
                                    const Parameters &parameters, const Tensor &state,
                                    const Tensor &of_energies, const Tensor &of_features)
{
  const auto dtype = parameters.beta.scalar_type();
  const Tensor vectors = edge_vectors.to(dtype).contiguous();
  Tensor a, b, d_energies, d_features;
  if (of_energies.defined()) {
    a = of_energies.to(at::kDouble).contiguous();
    d_energies = recycled(vectors.sizes(), vectors.options());
  }
  if (of_features.defined()) {
    b = of_features.to(dtype).contiguous();
    d_features = recycled(vectors.sizes(), vectors.options());
  }
  AT_DISPATCH_FLOATING_TYPES(dtype, "potential_gradients", [&] {
    const auto &functions = gaussian_moments::functions<scalar_t>();
    const auto network = network_of<scalar_t>(parameters);
    const auto scale = scale_of_centers<scalar_t>(graph, parameters);
    const bool with_features = state.numel() !=
        functions.state_size(graph.n_local, parameters.beta.size(2), network, false);
    auto of_outputs = scale;
    for (int64_t i = 0; a.defined() && i < graph.n_local; i++)
      of_outputs[i] *= a.const_data_ptr<double>()[i];
    const scalar_t *b_data = b.defined() ? b.const_data_ptr<scalar_t>() : nullptr;
    const int64_t b_stride = b.defined() && b.dim() == 2 ? b.size(1) : 0;
    auto pointer = [](Tensor &d) {
      return d.defined() ? d.mutable_data_ptr<scalar_t>() : nullptr;
    };
    scalar_t *by_outputs = pointer(d_energies), *by_features = pointer(d_features);
    for_atoms<scalar_t>(graph, vectors, parameters.beta, functions.block_of_atoms(),
                        [&](const auto &problem, int64_t begin, int64_t end) {
                          functions.gradients(problem, network, begin, end, scale.data(),
                                              state.const_data_ptr<scalar_t>(), with_features,
                                              of_outputs.data(), b_data, b_stride, by_outputs,
                                              by_features);
                        });
  });
  return {d_energies.defined() ? d_energies.to(at::kDouble) : d_energies,
          d_features.defined() ? d_features.to(at::kDouble) : d_features};
}

}    // namespace potential
