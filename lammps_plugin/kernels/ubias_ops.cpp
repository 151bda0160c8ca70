/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   torch.ops.pyubias.gaussian_moments: the kernels of gaussian_moments.h as a torch operator
   that can be differentiated twice. Training (through Python) and LAMMPS (through TorchScript)
   call the same operator.
*/

#include "gaussian_moments.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr double R_MIN = 0.5;    // as in pyubias/potential.py

// The arguments of the operator that have no gradient, and the edges grouped by centre.

struct Graph {
  Tensor edge_index, types;
  int64_t n_local;
  double cutoff;
};

std::vector<int64_t> group_by_centre(const Graph &graph, std::vector<int64_t> &order)
{
  const int64_t n_edges = graph.edge_index.size(1);
  const int64_t *centres = graph.edge_index.const_data_ptr<int64_t>();
  std::vector<int64_t> first(graph.n_local + 1, 0);
  for (int64_t e = 0; e < n_edges; e++) {
    TORCH_CHECK_INDEX(centres[e] >= 0 && centres[e] < graph.n_local, "edge ", e, " has centre ",
                      centres[e], ", there are ", graph.n_local, " centres");
    first[centres[e] + 1]++;
  }
  std::partial_sum(first.begin(), first.end(), first.begin());
  std::vector<int64_t> next(first.begin(), first.end() - 1);
  order.resize(n_edges);
  for (int64_t e = 0; e < n_edges; e++) order[next[centres[e]]++] = e;
  return first;
}

// Calls function(problem, begin, end) on ranges of atoms, with one range per thread.

template <typename T, typename Function>
void for_atoms(const Graph &graph, const Tensor &edge_vectors, const Tensor &beta, bool parallel,
               Function &&function)
{
  std::vector<int64_t> order;
  const auto first = group_by_centre(graph, order);
  const gaussian_moments::Problem<T> problem = {(int) beta.size(0),
                                                (int) beta.size(2),
                                                (int) beta.size(3),
                                                graph.cutoff,
                                                R_MIN,
                                                graph.n_local,
                                                first.data(),
                                                order.data(),
                                                edge_vectors.const_data_ptr<T>(),
                                                graph.edge_index.const_data_ptr<int64_t>() +
                                                    graph.edge_index.size(1),
                                                graph.types.const_data_ptr<int64_t>(),
                                                beta.const_data_ptr<T>()};
  if (!parallel) {
    function(problem, 0, graph.n_local);
    return;
  }
  at::parallel_for(0, graph.n_local, 64,
                   [&](int64_t begin, int64_t end) { function(problem, begin, end); });
}

// moments (n_local, 20, padded N_r) and invariants (n_local, length)

std::pair<Tensor, Tensor> invariants(const Graph &graph, const Tensor &edge_vectors,
                                     const Tensor &beta)
{
  const int n_radial = beta.size(2);
  const auto options = edge_vectors.options().requires_grad(false);
  Tensor moments = at::empty({graph.n_local, gaussian_moments::N_COMPONENTS,
                                 gaussian_moments::padded_radial(n_radial)},
                                options);
  Tensor result = at::empty({graph.n_local, gaussian_moments::n_invariants(n_radial)}, options);
  AT_DISPATCH_FLOATING_TYPES(edge_vectors.scalar_type(), "gaussian_moments", [&] {
    for_atoms<scalar_t>(graph, edge_vectors, beta, true,
                        [&](const auto &problem, int64_t begin, int64_t end) {
                          gaussian_moments::functions<scalar_t>().invariants(
                              problem, begin, end, moments.mutable_data_ptr<scalar_t>(),
                              result.mutable_data_ptr<scalar_t>());
                        });
  });
  return {moments, result};
}

// Threads would add to one d_beta in any order: work that wants it stays in one thread.

std::pair<Tensor, Tensor> pull_back(const Graph &graph, const Tensor &edge_vectors,
                                    const Tensor &beta, const Tensor &moments,
                                    const Tensor &cotangents, bool want_vectors, bool want_beta)
{
  Tensor d_vectors, d_beta;
  if (want_vectors) d_vectors = at::empty_like(edge_vectors);
  if (want_beta) d_beta = at::zeros_like(beta);
  AT_DISPATCH_FLOATING_TYPES(edge_vectors.scalar_type(), "gaussian_moments_pull_back", [&] {
    for_atoms<scalar_t>(
        graph, edge_vectors, beta, !want_beta,
        [&](const auto &problem, int64_t begin, int64_t end) {
          gaussian_moments::functions<scalar_t>().pull_back(
              problem, begin, end, moments.const_data_ptr<scalar_t>(),
              cotangents.const_data_ptr<scalar_t>(),
              want_vectors ? d_vectors.mutable_data_ptr<scalar_t>() : nullptr,
              want_beta ? d_beta.mutable_data_ptr<scalar_t>() : nullptr);
        });
  });
  return {d_vectors, d_beta};
}

std::pair<Tensor, Tensor> push_forward(const Graph &graph, const Tensor &edge_vectors,
                                       const Tensor &beta, const Tensor &moments,
                                       const Tensor &cotangents, const Tensor &tangents,
                                       bool want_invariants, bool want_beta)
{
  Tensor d_invariants, d_beta;
  if (want_invariants) d_invariants = at::empty_like(cotangents);
  if (want_beta) d_beta = at::zeros_like(beta);
  AT_DISPATCH_FLOATING_TYPES(edge_vectors.scalar_type(), "gaussian_moments_push_forward", [&] {
    for_atoms<scalar_t>(
        graph, edge_vectors, beta, !want_beta,
        [&](const auto &problem, int64_t begin, int64_t end) {
          gaussian_moments::functions<scalar_t>().push_forward(
              problem, begin, end, moments.const_data_ptr<scalar_t>(),
              cotangents.const_data_ptr<scalar_t>(), tangents.const_data_ptr<scalar_t>(),
              want_invariants ? d_invariants.mutable_data_ptr<scalar_t>() : nullptr,
              want_beta ? d_beta.mutable_data_ptr<scalar_t>() : nullptr);
        });
  });
  return {d_invariants, d_beta};
}

/* ----------------------------------------------------------------------
   autograd
------------------------------------------------------------------------- */

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
                               const Tensor &edge_index, const Tensor &types,
                               const Tensor &moments, int64_t n_local, double cutoff,
                               bool want_vectors, bool want_beta)
  {
    const Graph graph = {edge_index, types, n_local, cutoff};
    const Tensor a = cotangents.contiguous();
    save_graph(context, graph);
    context->save_for_backward({edge_index, types, edge_vectors, beta, moments, a});
    context->set_materialize_grads(false);
    const auto d = pull_back(graph, edge_vectors, beta, moments, a, want_vectors, want_beta);
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
    const auto d = push_forward(saved_graph(context, saved), saved[2], saved[3], saved[4], saved[5],
                                tangents[0].contiguous(), context->needs_input_grad(2),
                                context->needs_input_grad(1));
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
    auto result = invariants(graph, edge_vectors, beta);
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
  TORCH_CHECK(edge_vectors.dim() == 2 && edge_vectors.size(1) == 3,
              "edge_vectors must have shape (E, 3), got ", edge_vectors.sizes());
  TORCH_CHECK(edge_index.dim() == 2 && edge_index.size(0) == 2 &&
                  edge_index.size(1) == edge_vectors.size(0) && edge_index.dtype() == at::kLong,
              "edge_index must be int64 of shape (2, ", edge_vectors.size(0), "), got ",
              edge_index.dtype(), " of shape ", edge_index.sizes());
  TORCH_CHECK(types.dim() == 1 && types.dtype() == at::kLong,
              "types must be int64 of shape (n,), got ", types.dtype(), " of shape ",
              types.sizes());
  TORCH_CHECK(beta.dim() == 4 && beta.size(2) <= gaussian_moments::MAX_RADIAL,
              "beta must have shape (elements, elements, N_r, N_b) with N_r at most ",
              gaussian_moments::MAX_RADIAL, ", got ", beta.sizes());
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
  return invariants({edge_index.contiguous(), types.contiguous(), n_local, cutoff},
                    edge_vectors.contiguous(), beta.contiguous())
      .second;
}

}    // namespace

TORCH_LIBRARY(pyubias, library)
{
  library.def("gaussian_moments(Tensor edge_vectors, Tensor edge_index, Tensor types, Tensor beta, "
              "int n_local, float cutoff) -> Tensor");
  library.def("instruction_set() -> str",
              []() { return std::string(gaussian_moments::instruction_set()); });
}

TORCH_LIBRARY_IMPL(pyubias, CPU, library)
{
  library.impl("gaussian_moments", without_autograd);
}

TORCH_LIBRARY_IMPL(pyubias, AutogradCPU, library)
{
  library.impl("gaussian_moments", with_autograd);
}
