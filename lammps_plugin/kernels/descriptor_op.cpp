/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   torch.ops.pyubias.gaussian_moments: the descriptor as a torch operator that can be
   differentiated twice, for training.
*/

#include "descriptor.h"
#include "gaussian_moments.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <string>

namespace {

using at::Tensor;
using descriptor::Graph;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Graph saved_graph(AutogradContext *context, const variable_list &saved)
{
  return {saved[0], saved[1], context->saved_data["n_local"].toInt(),
          context->saved_data["cutoff"].toDouble()};
}

void save_graph(AutogradContext *context, const Graph &graph)
{
  context->saved_data["n_local"] = graph.n_local;
  context->saved_data["cutoff"] = graph.cutoff;
}

// (edge_vectors, beta, cotangents) -> (d_vectors, d_beta), and what the derivative of that needs

class PullBack : public torch::autograd::Function<PullBack> {
 public:
  static variable_list forward(AutogradContext *context, const Tensor &edge_vectors,
                               const Tensor &beta, const Tensor &cotangents,
                               const Tensor &edge_index, const Tensor &types, const Tensor &moments,
                               int64_t n_local, double cutoff, bool want_vectors, bool want_beta)
  {
    const Graph graph = {edge_index, types, n_local, cutoff};
    const Tensor a = cotangents.contiguous();
    save_graph(context, graph);
    context->save_for_backward({edge_index, types, edge_vectors, beta, moments, a});
    context->set_materialize_grads(false);
    const auto d =
        descriptor::pull_back(graph, edge_vectors, beta, moments, a, want_vectors, want_beta);
    const Tensor none = at::empty({0}, a.options());    // an undefined output is not allowed
    return {want_vectors ? d.first : none, want_beta ? d.second : none};
  }

  static variable_list backward(AutogradContext *context, variable_list tangents)
  {
    TORCH_CHECK(!tangents[1].defined(),
                "gaussian_moments: second derivatives through the gradient by beta are not there");
    TORCH_CHECK(!context->needs_input_grad(0),
                "gaussian_moments: second derivatives by edge_vectors are not there; use the "
                "portable descriptor, or ask for gradients by parameters only");
    const auto saved = context->get_saved_variables();
    variable_list result(10);
    if (!tangents[0].defined()) return result;
    const auto d = descriptor::push_forward(
        saved_graph(context, saved), saved[2], saved[3], saved[4], saved[5],
        tangents[0].contiguous(), context->needs_input_grad(2), context->needs_input_grad(1));
    result[1] = d.second;
    result[2] = d.first;
    return result;
  }
};

class Invariants : public torch::autograd::Function<Invariants> {
 public:
  static Tensor forward(AutogradContext *context, const Tensor &edge_vectors, const Tensor &beta,
                        const Tensor &edge_index, const Tensor &types, int64_t n_local,
                        double cutoff)
  {
    const Graph graph = {edge_index, types, n_local, cutoff};
    auto result = descriptor::invariants(graph, edge_vectors, beta);
    save_graph(context, graph);
    context->save_for_backward({edge_index, types, edge_vectors, beta, result.first});
    return result.second;
  }

  static variable_list backward(AutogradContext *context, variable_list cotangents)
  {
    const auto saved = context->get_saved_variables();
    const Graph graph = saved_graph(context, saved);
    const bool want_vectors = context->needs_input_grad(0);
    const bool want_beta = context->needs_input_grad(1);
    auto d = PullBack::apply(saved[2], saved[3], cotangents[0], saved[0], saved[1], saved[4],
                             graph.n_local, graph.cutoff, want_vectors, want_beta);
    variable_list result(6);
    if (want_vectors) result[0] = d[0];
    if (want_beta) result[1] = d[1];
    return result;
  }
};

void check(const Tensor &edge_vectors, const Tensor &edge_index, const Tensor &types,
           const Tensor &beta)
{
  descriptor::check(edge_vectors, edge_index, types, beta);
  TORCH_CHECK(beta.dtype() == edge_vectors.dtype(), "beta has dtype ", beta.dtype(),
              ", edge_vectors has ", edge_vectors.dtype());
}

Tensor with_autograd(const Tensor &edge_vectors, const Tensor &edge_index, const Tensor &types,
                     const Tensor &beta, int64_t n_local, double cutoff)
{
  check(edge_vectors, edge_index, types, beta);
  return Invariants::apply(edge_vectors.contiguous(), beta.contiguous(), edge_index.contiguous(),
                           types.contiguous(), n_local, cutoff);
}

Tensor without_autograd(const Tensor &edge_vectors, const Tensor &edge_index, const Tensor &types,
                        const Tensor &beta, int64_t n_local, double cutoff)
{
  check(edge_vectors, edge_index, types, beta);
  return descriptor::invariants({edge_index.contiguous(), types.contiguous(), n_local, cutoff},
                                edge_vectors.contiguous(), beta.contiguous())
      .second;
}

}    // namespace

TORCH_LIBRARY(pyubias, library)
{
  library.def("gaussian_moments(Tensor edge_vectors, Tensor edge_index, Tensor types, Tensor beta, "
              "int n_local, float cutoff) -> Tensor");
  library.def("instruction_set() -> str", []() {
    return std::string(gaussian_moments::instruction_set());
  });
}

TORCH_LIBRARY_IMPL(pyubias, CPU, library)
{
  library.impl("gaussian_moments", without_autograd);
}

TORCH_LIBRARY_IMPL(pyubias, AutogradCPU, library)
{
  library.impl("gaussian_moments", with_autograd);
}
