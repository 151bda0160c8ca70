/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   torch.ops.pyubias.potential: a whole Gaussian-moment potential as one torch operator, from
   edge vectors to atomic energies and gradient features. What exported models call; it can be
   differentiated by the edge vectors, once.
*/

#include "atomic_network.h"
#include "descriptor.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <tuple>

namespace {

using at::Tensor;
using atomic_network::Tensors;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// E_i = offset_Z + slope_Z z_i, in float64

struct Potential {
  Tensor beta, slope, offset;
  atomic_network::Parameters network;
};

// one evaluation, kept for the pull-back

struct Evaluation : torch::CustomClassHolder {
  Potential potential;
  descriptor::Graph graph;
  Tensor vectors, moments, slopes;
  atomic_network::State state;

  std::tuple<Tensor, Tensor> forward(const Tensor &edge_vectors, bool with_features)
  {
    const auto dtype = potential.beta.scalar_type();
    vectors = edge_vectors.to(dtype).contiguous();
    Tensor invariants;
    std::tie(moments, invariants) = descriptor::invariants(graph, vectors, potential.beta);
    const Tensor output = atomic_network::evaluate(potential.network, invariants, state);

    const Tensor centres = graph.types.narrow(0, 0, graph.n_local);
    slopes = potential.slope.index_select(0, centres);
    const Tensor energies =
        at::addcmul(potential.offset.index_select(0, centres), slopes, output.to(at::kDouble));
    if (!with_features) return {energies, at::empty({graph.n_local, 0}, energies.options())};
    const Tensor unit = slopes.to(dtype).unsqueeze(1);
    return {energies, atomic_network::features(potential.network, unit, state).to(at::kDouble)};
  }

  Tensor pull_back(const Tensor &of_energies, const Tensor &of_features) const
  {
    const auto dtype = vectors.scalar_type();
    Tensor of_invariants;
    if (of_energies.defined())
      of_invariants = atomic_network::pull_back_output(potential.network, state,
                                                       (of_energies * slopes).to(dtype));
    if (of_features.defined() && of_features.size(1) > 0) {
      const Tensor part =
          atomic_network::pull_back_features(potential.network, state, of_features.to(dtype));
      of_invariants = of_invariants.defined() ? of_invariants.add_(part) : part;
    }
    if (!of_invariants.defined()) return at::zeros_like(vectors, at::kDouble);
    return descriptor::pull_back(graph, vectors, potential.beta, moments,
                                 of_invariants.contiguous(), true, false)
        .first.to(at::kDouble);
  }
};

class Evaluate : public torch::autograd::Function<Evaluate> {
 public:
  static variable_list forward(AutogradContext *context, const Tensor &edge_vectors,
                               c10::intrusive_ptr<Evaluation> evaluation, bool with_features)
  {
    at::AutoDispatchBelowAutograd no_autograd;
    const auto result = evaluation->forward(edge_vectors, with_features);
    context->saved_data["evaluation"] =
        c10::IValue::make_capsule(c10::intrusive_ptr<torch::CustomClassHolder>(evaluation));
    context->set_materialize_grads(false);
    return {std::get<0>(result), std::get<1>(result)};
  }

  static variable_list backward(AutogradContext *context, variable_list cotangents)
  {
    TORCH_CHECK(!at::GradMode::is_enabled(),
                "potential: second derivatives are not there; export with portable=True");
    at::AutoDispatchBelowAutograd no_autograd;
    const auto capsule = context->saved_data["evaluation"].toCapsule();
    const auto *evaluation = static_cast<const Evaluation *>(capsule.get());
    return {evaluation->pull_back(cotangents[0], cotangents[1]), Tensor(), Tensor()};
  }
};

c10::intrusive_ptr<Evaluation> prepare(const Tensor &edge_vectors, const Tensor &edge_index,
                                       const Tensor &types, int64_t n_local, double cutoff,
                                       const Tensor &beta, const Tensor &slope,
                                       const Tensor &offset, Tensors weights, Tensors biases,
                                       Tensors input_sketches, Tensors sensitivity_sketches,
                                       double gain, double bias_scale)
{
  TORCH_CHECK(!weights.empty() && weights.size() == biases.size(), "potential: got ",
              weights.size(), " weights and ", biases.size(), " biases");
  TORCH_CHECK(input_sketches.size() == sensitivity_sketches.size() &&
                  (input_sketches.empty() || input_sketches.size() == weights.size()),
              "potential: got ", input_sketches.size(), " and ", sensitivity_sketches.size(),
              " sketches for ", weights.size(), " layers");
  auto evaluation = c10::make_intrusive<Evaluation>();
  evaluation->potential = {beta.contiguous(),
                           slope,
                           offset,
                           {std::move(weights), std::move(biases), std::move(input_sketches),
                            std::move(sensitivity_sketches), gain, bias_scale}};
  evaluation->graph = {edge_index.contiguous(), types.contiguous(), n_local, cutoff};
  descriptor::check(edge_vectors, edge_index, types, beta);
  return evaluation;
}

std::tuple<Tensor, Tensor> without_autograd(const Tensor &edge_vectors, const Tensor &edge_index,
                                            const Tensor &types, int64_t n_local, double cutoff,
                                            const Tensor &beta, const Tensor &slope,
                                            const Tensor &offset, Tensors weights, Tensors biases,
                                            Tensors input_sketches, Tensors sensitivity_sketches,
                                            double gain, double bias_scale, bool with_features)
{
  return prepare(edge_vectors, edge_index, types, n_local, cutoff, beta, slope, offset,
                 std::move(weights), std::move(biases), std::move(input_sketches),
                 std::move(sensitivity_sketches), gain, bias_scale)
      ->forward(edge_vectors, with_features);
}

std::tuple<Tensor, Tensor> with_autograd(const Tensor &edge_vectors, const Tensor &edge_index,
                                         const Tensor &types, int64_t n_local, double cutoff,
                                         const Tensor &beta, const Tensor &slope,
                                         const Tensor &offset, Tensors weights, Tensors biases,
                                         Tensors input_sketches, Tensors sensitivity_sketches,
                                         double gain, double bias_scale, bool with_features)
{
  auto evaluation = prepare(edge_vectors, edge_index, types, n_local, cutoff, beta, slope, offset,
                            std::move(weights), std::move(biases), std::move(input_sketches),
                            std::move(sensitivity_sketches), gain, bias_scale);
  auto result = Evaluate::apply(edge_vectors, std::move(evaluation), with_features);
  return {result[0], result[1]};
}

}    // namespace

TORCH_LIBRARY_FRAGMENT(pyubias, library)
{
  library.def("potential(Tensor edge_vectors, Tensor edge_index, Tensor types, int n_local, "
              "float cutoff, Tensor beta, Tensor slope, Tensor offset, Tensor[] weights, "
              "Tensor[] biases, Tensor[] input_sketches, Tensor[] sensitivity_sketches, "
              "float gain, float bias_scale, bool with_features) -> (Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(pyubias, CPU, library)
{
  library.impl("potential", without_autograd);
}

TORCH_LIBRARY_IMPL(pyubias, AutogradCPU, library)
{
  library.impl("potential", with_autograd);
}
