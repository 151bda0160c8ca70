/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   The descriptor as torch operators (see pyubias/model/ops.py):

     torch.ops.pyubias.gaussian_moments     invariants; can be differentiated once
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

// invariants (length, padded atoms) as (n_local, length), and cotangents the other way

Tensor by_atom(const Tensor &rows, int64_t n_local)
{
  return rows.t().narrow(0, 0, n_local);
}

Tensor by_row(const Tensor &of_atoms)
{
  const int64_t n_local = of_atoms.size(0);
  Tensor rows = at::zeros({of_atoms.size(1), gaussian_moments::padded_atoms(n_local)},
                          of_atoms.options().requires_grad(false));
  rows.narrow(1, 0, n_local).copy_(of_atoms.t());
  return rows;
}

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
    return by_atom(result.second, n_local);
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
        descriptor::vjp(graph, saved[2], saved[3], saved[4], by_row(cotangents[0]),
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

Tensor without_autograd(const Tensor &edge_vectors, const Tensor &edge_index, const Tensor &types,
                        const Tensor &beta, int64_t n_local, double cutoff)
{
  check(edge_vectors, edge_index, types, beta);
  const Graph graph = {edge_index.contiguous(), types.contiguous(), n_local, cutoff};
  return by_atom(descriptor::invariants(graph, edge_vectors.contiguous(), beta.contiguous()).second,
                 n_local);
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

TORCH_LIBRARY(pyubias, library)
{
  library.def("gaussian_moments(Tensor edge_vectors, Tensor edge_index, Tensor types, Tensor beta, "
              "int n_local, float cutoff) -> Tensor");
  library.def("constants() -> Dict(str, float)", constants);
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
