/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   The gradient of the loss of a batch of structures as a torch operator (see
   pyubias/training/loss.py, which has the equations):

     torch.ops.pyubias.loss_gradient

   E, g, alpha and lambda are those of equation (10): the gradient of the energy and of its tangent
   along lambda, by one jvp and one vjp. Labels of nan do not count.
*/

#include "descriptor.h"
#include "gaussian_moments.h"
#include "network_derivatives.h"

#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

struct Labels {
  Tensor energies, forces, strain_gradients;    // float64: (S), (n, 3), (S, 3, 3)
};

// The factors of the squares in the loss, of which those of energies count in full for structures
// of up to `large` atoms, and two over the number of structures in the whole batch

struct Weights {
  double energy, forces, stress, large, factor;
};

bool is_missing(double label)
{
  return std::isnan(label);
}

double known_error(double value, double label)
{
  return is_missing(label) ? 0.0 : value - label;
}

// lambda (E, 3), from g = dE/dr (E, 3)

template <typename T>
Tensor edge_tangents(const Tensor &edge_vectors, const Graph &graph, const Tensor &structure,
                     const Labels &labels, const Weights &weights, const Tensor &gradient)
{
  const int64_t n_edges = edge_vectors.size(0), n_structures = labels.energies.size(0);
  const int64_t *center = graph.edge_index.const_data_ptr<int64_t>(), *neighbor = center + n_edges;
  const int64_t *of_atom = structure.const_data_ptr<int64_t>();
  const double *r = edge_vectors.const_data_ptr<double>();
  const T *g = gradient.const_data_ptr<T>();

  // weighted errors of the forces F_i += g_e, F_j -= g_e

  std::vector<double> force(3 * graph.n_local, 0.0);
  for (int64_t e = 0; e < n_edges; e++)
    for (int a = 0; a < 3; a++) {
      force[3 * center[e] + a] += g[3 * e + a];
      force[3 * neighbor[e] + a] -= g[3 * e + a];
    }
  const double *label = labels.forces.const_data_ptr<double>();
  for (size_t k = 0; k < force.size(); k++)
    force[k] = weights.factor * weights.forces * known_error(force[k], label[k]);

  Tensor result = at::empty_like(gradient);
  T *tangent = result.mutable_data_ptr<T>();
  for (int64_t e = 0; e < n_edges; e++)
    for (int a = 0; a < 3; a++)
      tangent[3 * e + a] = force[3 * center[e] + a] - force[3 * neighbor[e] + a];
  label = labels.strain_gradients.const_data_ptr<double>();
  if (weights.stress == 0.0 || std::all_of(label, label + 9 * n_structures, is_missing))
    return result;

  // weighted errors of the strain gradients, the symmetric part of sum_e r_e (x) g_e

  std::vector<double> strain(9 * n_structures, 0.0);
  for (int64_t e = 0; e < n_edges; e++)
    for (int a = 0; a < 3; a++)
      for (int b = 0; b < 3; b++) {
        const double product = 0.5 * r[3 * e + a] * g[3 * e + b];
        strain[9 * of_atom[center[e]] + 3 * a + b] += product;
        strain[9 * of_atom[center[e]] + 3 * b + a] += product;
      }
  for (size_t k = 0; k < strain.size(); k++)
    strain[k] = weights.factor * weights.stress * known_error(strain[k], label[k]);
  for (int64_t e = 0; e < n_edges; e++)
    for (int a = 0; a < 3; a++)
      for (int b = 0; b < 3; b++)
        tangent[3 * e + b] += r[3 * e + a] * strain[9 * of_atom[center[e]] + 3 * a + b];
  return result;
}

// Parameters of a potential, or their gradients, from one list in the order of Python's

struct Parameters {
  Tensor scale, shift, beta;
  std::vector<Tensor> weights, biases;

  explicit Parameters(const std::vector<Tensor> &list) :
      scale(list[0]), shift(list[1]), beta(list[2])
  {
    for (size_t k = 3; k < list.size(); k += 2) {
      weights.push_back(list[k]);
      biases.push_back(list[k + 1]);
    }
  }
};

template <typename T>
void loss_gradient(const Tensor &edge_vectors, const Graph &graph, const Tensor &structure,
                   const Labels &labels, const Weights &weights, const Parameters &parameters,
                   const Tensor &atomic_reference, double energy_scale, double gain,
                   double bias_scale, Parameters &result)
{
  const int64_t n = graph.n_local;
  const auto options = parameters.beta.options().requires_grad(false);
  const Tensor vectors = edge_vectors.to(options.dtype());
  const auto [moments, invariants] = descriptor::invariants(graph, vectors, parameters.beta);
  NetworkDerivatives<T> network(parameters.weights, parameters.biases, gain, bias_scale);
  const Tensor outputs = network.evaluate(invariants);

  // E_i = E0 + c (sigma y_i + mu), equation (8), and the energies of the structures

  const int64_t *type = graph.types.const_data_ptr<int64_t>();
  const int64_t *of_atom = structure.const_data_ptr<int64_t>();
  const T *sigma = parameters.scale.const_data_ptr<T>(), *mu = parameters.shift.const_data_ptr<T>();
  const T *y = outputs.const_data_ptr<T>();
  const double *reference = atomic_reference.const_data_ptr<double>();
  const Tensor of_outputs = at::zeros_like(outputs), of_energies = at::zeros_like(outputs);
  T *s = of_outputs.mutable_data_ptr<T>(), *p = of_energies.mutable_data_ptr<T>();
  std::vector<double> alpha(labels.energies.size(0), 0.0), n_atoms(alpha.size(), 0.0);
  for (int64_t i = 0; i < n; i++) {
    s[i] = energy_scale * sigma[type[i]];
    n_atoms[of_atom[i]] += 1.0;
    alpha[of_atom[i]] += reference[type[i]] + energy_scale * (sigma[type[i]] * y[i] + mu[type[i]]);
  }
  const double *energy = labels.energies.const_data_ptr<double>();
  for (size_t k = 0; k < alpha.size(); k++) {
    const double per_atom = std::min(1.0, weights.large / n_atoms[k]);
    alpha[k] = weights.factor * weights.energy * per_atom * per_atom * (alpha[k] - energy[k]);
  }

  const Tensor of_invariants = network.input_gradient(of_outputs);
  const Tensor gradient =
      descriptor::vjp(graph, vectors, parameters.beta, moments, of_invariants, true, false).first;
  const Tensor tangents =
      edge_tangents<T>(edge_vectors, graph, structure, labels, weights, gradient);

  // the gradient of alpha E + E', with E' the tangent of E along lambda

  const auto [moment_tangents, invariant_tangents] =
      descriptor::jvp(graph, vectors, parameters.beta, moments, tangents);
  const Tensor output_tangents = network.jvp(invariant_tangents);
  const T *dy = output_tangents.const_data_ptr<T>();
  result.scale.zero_();
  result.shift.zero_();
  T *of_scale = result.scale.mutable_data_ptr<T>(), *of_shift = result.shift.mutable_data_ptr<T>();
  for (int64_t i = 0; i < n; i++) {
    const double a = alpha[of_atom[i]];
    p[i] = a * s[i];
    of_scale[type[i]] += energy_scale * (a * y[i] + dy[i]);
    of_shift[type[i]] += energy_scale * a;
  }
  const Tensor second = network.vjp(of_energies, result.weights, result.biases);
  result.beta.copy_(descriptor::embedding_gradient(
      graph, vectors, parameters.beta, moments, moment_tangents, tangents, of_invariants, second));
}

void checked(const Tensor &edge_vectors, const Tensor &edge_index, const Tensor &types,
             const Tensor &structure, double cutoff, at::TensorList labels,
             at::ArrayRef<double> weights, double large, int64_t n_structures,
             at::TensorList parameters, const Tensor &atomic_reference, double energy_scale,
             double gain, double bias_scale, const Tensor &out)
{
  TORCH_CHECK(labels.size() == 3 && weights.size() == 3 && parameters.size() >= 5 &&
                  parameters.size() % 2 == 1,
              "loss_gradient takes 3 labels, 3 weights and 5, 7, ... parameters, got ",
              labels.size(), ", ", weights.size(), " and ", parameters.size());
  std::vector<Tensor> values, gradients;
  int64_t n = 0;
  for (const Tensor &parameter : parameters) {
    values.push_back(parameter.detach().contiguous());
    TORCH_CHECK(n + parameter.numel() <= out.numel(), "loss_gradient: out is too short");
    gradients.push_back(out.narrow(0, n, parameter.numel()).view(parameter.sizes()));
    n += parameter.numel();
  }
  const Parameters of_values(values);
  Parameters of_gradients(gradients);
  descriptor::check(edge_vectors, edge_index, types, of_values.beta);
  const Graph graph = {edge_index.contiguous(), types.contiguous(), types.size(0), cutoff};
  const Labels known = {labels[0].contiguous(), labels[1].contiguous(), labels[2].contiguous()};
  const Weights factors = {weights[0], weights[1], weights[2], large, 2.0 / n_structures};
  AT_DISPATCH_FLOATING_TYPES(of_values.beta.scalar_type(), "loss_gradient", [&] {
    loss_gradient<scalar_t>(edge_vectors.contiguous(), graph, structure.contiguous(), known,
                            factors, of_values, atomic_reference, energy_scale, gain, bias_scale,
                            of_gradients);
  });
}

}    // namespace

TORCH_LIBRARY_FRAGMENT(pyubias, library)
{
  library.def(
      "loss_gradient(Tensor edge_vectors, Tensor edge_index, Tensor types, Tensor structure, "
      "float cutoff, Tensor[] labels, float[] weights, float large, int n_structures, "
      "Tensor[] parameters, Tensor atomic_reference, float energy_scale, float gain, "
      "float bias_scale, Tensor(a!) out) -> ()");
}

TORCH_LIBRARY_IMPL(pyubias, CPU, library)
{
  library.impl("loss_gradient", checked);
}
