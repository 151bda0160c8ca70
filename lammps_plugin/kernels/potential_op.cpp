/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   A whole Gaussian-moment potential as torch operators, which exported models call:

     torch.ops.pyubias.potential            energies and features; can be differentiated by the
                                            edge vectors, once
     torch.ops.pyubias.potential_evaluate   the same without autograd, and a state
     torch.ops.pyubias.potential_gradients  from that state: both gradients in one pass

   `parameters` are beta, scale, shift and U_0, then M_l and N_l of each layer (see layers.h).
*/

#include "potential.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <optional>

namespace {

using potential::Parameters;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Tensors = std::vector<Tensor>;

// a potential and a graph, from the arguments that all three operators share

struct Call : torch::CustomClassHolder {
  Graph graph;
  Tensor edge_vectors;
  Parameters parameters;

  Call(const Tensor &edge_vectors, const Tensor &edge_index, const Tensor &types, int64_t n_local,
       const Tensors &tensors, double cutoff, double gain, double bias_scale, int64_t n_sketches) :
      graph{edge_index.contiguous(), types.contiguous(), n_local, cutoff},
      edge_vectors(edge_vectors)
  {
    TORCH_CHECK(tensors.size() >= 6 && tensors.size() % 2 == 0, "potential: got ", tensors.size(),
                " parameters, wanted beta, scale, shift, U_0 and two for each layer");
    parameters = {tensors[0].contiguous(),
                  tensors[1],
                  tensors[2],
                  tensors[3],
                  {},
                  {},
                  n_sketches,
                  gain,
                  bias_scale};
    for (size_t k = 4; k < tensors.size(); k += 2) {
      parameters.M.push_back(tensors[k]);
      parameters.N.push_back(tensors[k + 1]);
    }
    potential::check(graph, edge_vectors, parameters);
  }
};

class Differentiable : public torch::autograd::Function<Differentiable> {
 public:
  static variable_list forward(AutogradContext *context, const Tensor &edge_vectors,
                               c10::intrusive_ptr<Call> call, bool with_features)
  {
    at::AutoDispatchBelowAutograd no_autograd;
    const auto [energies, features, state] =
        potential::evaluate(call->graph, edge_vectors, call->parameters, with_features);
    context->saved_data["call"] =
        c10::IValue::make_capsule(c10::intrusive_ptr<torch::CustomClassHolder>(call));
    context->saved_data["state"] = state;
    context->saved_data["with_features"] = with_features;
    context->set_materialize_grads(false);
    return {energies, features};
  }

  static variable_list backward(AutogradContext *context, variable_list cotangents)
  {
    TORCH_CHECK(!at::GradMode::is_enabled(),
                "potential has no second derivatives; export with portable=True");
    at::AutoDispatchBelowAutograd no_autograd;
    const auto capsule = context->saved_data["call"].toCapsule();
    const auto *call = static_cast<const Call *>(capsule.get());
    const bool with_features = context->saved_data["with_features"].toBool();
    const Tensor of_features = with_features ? cotangents[1] : Tensor();
    auto [by_energies, by_features] =
        potential::gradients(call->graph, call->edge_vectors, call->parameters,
                             context->saved_data["state"].toTensor(), cotangents[0], of_features);
    if (by_energies.defined() && by_features.defined()) by_energies.add_(by_features);
    return {by_energies.defined() ? by_energies : by_features, Tensor(), Tensor()};
  }
};

#define UBIAS_ARGUMENTS                                                                       \
  const Tensor &edge_vectors, const Tensor &edge_index, const Tensor &types, int64_t n_local, \
      Tensors parameters, double cutoff, double gain, double bias_scale, int64_t n_sketches
#define UBIAS_PASSED_ON \
  edge_vectors, edge_index, types, n_local, parameters, cutoff, gain, bias_scale, n_sketches

std::tuple<Tensor, Tensor, Tensor> evaluate(UBIAS_ARGUMENTS, bool with_features)
{
  const Call call(UBIAS_PASSED_ON);
  return potential::evaluate(call.graph, edge_vectors, call.parameters, with_features);
}

std::tuple<Tensor, Tensor> without_autograd(UBIAS_ARGUMENTS, bool with_features)
{
  const auto result = evaluate(UBIAS_PASSED_ON, with_features);
  return {std::get<0>(result), std::get<1>(result)};
}

std::tuple<Tensor, Tensor> with_autograd(UBIAS_ARGUMENTS, bool with_features)
{
  const auto result = Differentiable::apply(
      edge_vectors, c10::make_intrusive<Call>(UBIAS_PASSED_ON), with_features);
  return {result[0], result[1]};
}

// gradients of the energy and of of_features . (sum of features); without of_features, the second
// one is empty

std::tuple<Tensor, Tensor> gradients(UBIAS_ARGUMENTS, const Tensor &state,
                                     const std::optional<Tensor> &of_features)
{
  const Call call(UBIAS_PASSED_ON);
  const Tensor ones = at::ones({n_local}, state.options().dtype(at::kDouble));
  auto [by_energy, by_features] = potential::gradients(call.graph, edge_vectors, call.parameters,
                                                       state, ones, of_features.value_or(Tensor()));
  if (!by_features.defined()) by_features = at::empty({0, 3}, by_energy.options());
  return {by_energy, by_features};
}

#define UBIAS_SCHEMA                                                                          \
  "(Tensor edge_vectors, Tensor edge_index, Tensor types, int n_local, Tensor[] parameters, " \
  "float cutoff, float gain, float bias_scale, int n_sketches, "

}    // namespace

TORCH_LIBRARY_FRAGMENT(pyubias, library)
{
  library.def("potential" UBIAS_SCHEMA "bool with_features) -> (Tensor, Tensor)");
  library.def("potential_evaluate" UBIAS_SCHEMA "bool with_features) -> (Tensor, Tensor, Tensor)");
  library.def("potential_gradients" UBIAS_SCHEMA
              "Tensor state, Tensor? of_features) -> (Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(pyubias, CPU, library)
{
  library.impl("potential", without_autograd);
  library.impl("potential_evaluate", evaluate);
  library.impl("potential_gradients", gradients);
}

TORCH_LIBRARY_IMPL(pyubias, AutogradCPU, library)
{
  library.impl("potential", with_autograd);
}
