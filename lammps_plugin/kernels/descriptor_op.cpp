/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   The descriptor as torch operators (see pyubias/model/ops.py):

     torch.ops.pyubias.gaussian_moments     invariants; can be differentiated once
     torch.ops.pyubias.gaussian_moments_*   invariants with moments, and the derivatives of
                                            gaussian_moments.h, without autograd: the parts of
                                            the gradient of a loss of energies and forces
     torch.ops.pyubias.constants            what this library and the Python package share
     torch.ops.pyubias.instruction_set      the one that runs
*/

#include "descriptor.h"
#include "gaussian_moments.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <string>
#include <tuple>

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class Invariants : public torch::autograd::Function<Invariants> {
 public:
  static Tensor forward(AutogradContext *context, const Tensor &edge_vectors, const Tensor &beta,
                        const Tensor &edge_index, const Tensor &types, int64_t n_local,
                        double cutoff)
  {
    const auto result =
        descriptor::invariants({edge_index, types, n_local, cutoff}, edge_vectors, beta);
    context->saved_data["n_local"] = n_local;
    context->saved_data["cutoff"] = cutoff;
    context->save_for_backward({edge_index, types, edge_vectors, beta, result.first});
    return result.second;
  }

  static variable_list backward(AutogradContext *context, variable_list cotangents)
  {
    TORCH_CHECK(!at::GradMode::is_enabled(),
                "gaussian_moments has no second derivatives; set descriptor.fused to "
                "False for them");
    const auto saved = context->get_saved_variables();
    const Graph graph = {saved[0], saved[1], context->saved_data["n_local"].toInt(),
                         context->saved_data["cutoff"].toDouble()};
    variable_list result(6);
    std::tie(result[0], result[1]) =
        descriptor::vjp(graph, saved[2], saved[3], saved[4], cotangents[0].contiguous(),
                        context->needs_input_grad(0), context->needs_input_grad(1));
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

std::tuple<Tensor, Tensor> evaluate(const Tensor &edge_vectors, const Tensor &edge_index,
                                    const Tensor &types, const Tensor &beta, int64_t n_local,
                                    double cutoff)
{
  check(edge_vectors, edge_index, types, beta);
  return descriptor::invariants({edge_index, types, n_local, cutoff}, edge_vectors, beta);
}

Tensor without_autograd(const Tensor &edge_vectors, const Tensor &edge_index, const Tensor &types,
                        const Tensor &beta, int64_t n_local, double cutoff)
{
  return std::get<1>(evaluate(edge_vectors.contiguous(), edge_index.contiguous(),
                              types.contiguous(), beta.contiguous(), n_local, cutoff));
}

Tensor vjp(const Tensor &edge_vectors, const Tensor &edge_index, const Tensor &types,
           const Tensor &beta, int64_t n_local, double cutoff, const Tensor &moments,
           const Tensor &a)
{
  return descriptor::vjp({edge_index, types, n_local, cutoff}, edge_vectors, beta, moments,
                         a.contiguous(), true, false)
      .first;
}

std::tuple<Tensor, Tensor> jvp(const Tensor &edge_vectors, const Tensor &edge_index,
                               const Tensor &types, const Tensor &beta, int64_t n_local,
                               double cutoff, const Tensor &moments, const Tensor &tangents)
{
  return descriptor::jvp({edge_index, types, n_local, cutoff}, edge_vectors, beta, moments,
                         tangents.contiguous());
}

Tensor embedding_gradient(const Tensor &edge_vectors, const Tensor &edge_index, const Tensor &types,
                          const Tensor &beta, int64_t n_local, double cutoff, const Tensor &moments,
                          const Tensor &moment_tangents, const Tensor &tangents, const Tensor &a,
                          const Tensor &b)
{
  return descriptor::embedding_gradient({edge_index, types, n_local, cutoff}, edge_vectors, beta,
                                        moments, moment_tangents, tangents.contiguous(),
                                        a.contiguous(), b.contiguous());
}

c10::Dict<std::string, double> constants()
{
  c10::Dict<std::string, double> result;
  result.insert("r_min", gaussian_moments::R_MIN);
  result.insert("max_radial", gaussian_moments::MAX_RADIAL);
  result.insert("max_layers", gaussian_moments::MAX_LAYERS);
  result.insert("sketch_groups", gaussian_moments::SKETCH_GROUPS);
  return result;
}

}    // namespace

#define UBIAS_GRAPH_ARGUMENTS                                                              \
  "Tensor edge_vectors, Tensor edge_index, Tensor types, Tensor beta, int n_local, float " \
  "cutoff"

TORCH_LIBRARY(pyubias, library)
{
  library.def("gaussian_moments(" UBIAS_GRAPH_ARGUMENTS ") -> Tensor");
  library.def("gaussian_moments_evaluate(" UBIAS_GRAPH_ARGUMENTS ") -> (Tensor, Tensor)");
  library.def("gaussian_moments_vjp(" UBIAS_GRAPH_ARGUMENTS
              ", Tensor moments, Tensor a) -> Tensor");
  library.def("gaussian_moments_jvp(" UBIAS_GRAPH_ARGUMENTS
              ", Tensor moments, Tensor tangents) -> (Tensor, Tensor)");
  library.def("gaussian_moments_embedding_gradient(" UBIAS_GRAPH_ARGUMENTS
              ", Tensor moments, Tensor moment_tangents, Tensor tangents, Tensor a, Tensor b) -> "
              "Tensor");
  library.def("constants() -> Dict(str, float)", constants);
  library.def("instruction_set() -> str", []() {
    return std::string(gaussian_moments::instruction_set());
  });
}

TORCH_LIBRARY_IMPL(pyubias, CPU, library)
{
  library.impl("gaussian_moments", without_autograd);
  library.impl("gaussian_moments_evaluate", evaluate);
  library.impl("gaussian_moments_vjp", vjp);
  library.impl("gaussian_moments_jvp", jvp);
  library.impl("gaussian_moments_embedding_gradient", embedding_gradient);
}

TORCH_LIBRARY_IMPL(pyubias, AutogradCPU, library)
{
  library.impl("gaussian_moments", with_autograd);
}
