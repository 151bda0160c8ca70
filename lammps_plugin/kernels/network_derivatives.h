/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   The derivatives of an atomic network that the gradient of a loss of energies and forces takes.
   The network is equation (7) of pyubias/README.md with a = gain SiLU. For each atom, with inputs
   x_0, outputs y and tangents x'_0 of the inputs, the chain rule gives

     z_l = c_l W_l x_l + bias_scale b_l          x_{l+1} = a(z_l)          c_l = 1/sqrt(d_l)
     z'_l = c_l W_l x'_l                         x'_{l+1} = a'(z_l) z'_l
     g_l = dE/dx_l = c_l W_l^T delta_l           delta_{l-1} = dE/dz_{l-1} = a'(z_{l-1}) g_l

   where E = s y for the s given to input_gradient(), so that delta of the last layer is s. Products
   take all atoms at once: every quantity is a matrix with one column for each atom.
*/

#ifndef UBIAS_NETWORK_DERIVATIVES_H
#define UBIAS_NETWORK_DERIVATIVES_H

#include <ATen/ATen.h>

#include <cmath>
#include <vector>

using at::Tensor;

template <typename T> class NetworkDerivatives {
 public:
  // weights W_l (d_{l+1}, d_l) and biases b_l (d_{l+1})

  NetworkDerivatives(std::vector<Tensor> weights, std::vector<Tensor> biases, double gain,
                     double bias_scale) :
      W(std::move(weights)), b(std::move(biases)), n_layers(W.size()), gain(gain),
      bias_scale(bias_scale), x(n_layers), d_silu(n_layers), d2_silu(n_layers), g(n_layers),
      delta(n_layers), dx(n_layers), dz(n_layers)
  {
  }

  // y (1, n) for x_0 (d_0, n)

  Tensor evaluate(const Tensor &inputs)
  {
    x[0] = inputs;
    for (int l = 0;; l++) {
      Tensor z = at::addmm((b[l] * bias_scale).unsqueeze(1), W[l], x[l], 1.0, scale(l));
      if (l == n_layers - 1) return z;
      const Tensor sigmoids = at::sigmoid(z);
      d_silu[l] = at::empty_like(z);
      d2_silu[l] = at::empty_like(z);
      x[l + 1] = z;
      T *value = data(z), *first = data(d_silu[l]), *second = data(d2_silu[l]);
      const T *sigmoid = data(sigmoids), a = gain;
      for (int64_t k = 0; k < z.numel(); k++) {
        const T s = sigmoid[k], ds = s - s * s;
        first[k] = a * (s + value[k] * ds);
        second[k] = a * ds * (T(2) + value[k] * (T(1) - T(2) * s));
        value[k] *= a * s;
      }
    }
  }

  // dE/dx_0 (d_0, n) for s (1, n)

  Tensor input_gradient(const Tensor &s)
  {
    delta[n_layers - 1] = s * scale(n_layers - 1);
    for (int l = n_layers - 1;; l--) {
      g[l] = W[l].t().mm(delta[l]);
      if (l == 0) return g[0];
      delta[l - 1] = at::empty_like(g[l]);
      T *result = data(delta[l - 1]);
      const T *gradient = data(g[l]), *first = data(d_silu[l - 1]), c = scale(l - 1);
      for (int64_t k = 0; k < g[l].numel(); k++) result[k] = c * first[k] * gradient[k];
    }
  }

  // y' (1, n) for x'_0 (d_0, n)

  Tensor jvp(const Tensor &tangents)
  {
    dx[0] = tangents;
    for (int l = 0;; l++) {
      dz[l] = W[l].mm(dx[l]).mul_(scale(l));
      if (l == n_layers - 1) return dz[l];
      dx[l + 1] = dz[l] * d_silu[l];
    }
  }

  // The gradients of the sum over atoms of p y + s y', for p (1, n) and the tangent of jvp(): by
  // each W_l and b_l, stored in `of_W` and `of_b`, and by x_0, returned

  Tensor vjp(const Tensor &p, std::vector<Tensor> &of_W, std::vector<Tensor> &of_b)
  {
    Tensor of_z = p * scale(n_layers - 1);    // times c_l, as delta
    for (int l = n_layers - 1;; l--) {
      at::mm_out(of_W[l], of_z, x[l].t()).addmm_(delta[l], dx[l].t());
      at::sum_out(of_b[l], of_z, 1).mul_(bias_scale / scale(l));
      const Tensor of_x = W[l].t().mm(of_z);
      if (l == 0) return of_x;
      of_z = at::empty_like(of_x);
      T *result = data(of_z);
      const T *direct = data(of_x), *gradient = data(g[l]), *tangent = data(dz[l - 1]);
      const T *first = data(d_silu[l - 1]), *second = data(d2_silu[l - 1]), c = scale(l - 1);
      for (int64_t k = 0; k < of_x.numel(); k++)
        result[k] = c * (first[k] * direct[k] + second[k] * gradient[k] * tangent[k]);
    }
  }

 private:
  std::vector<Tensor> W, b;
  const int n_layers;
  const double gain, bias_scale;
  // as above, but delta_l holds c_l delta_l
  std::vector<Tensor> x, d_silu, d2_silu, g, delta, dx, dz;

  double scale(int l) const { return 1.0 / std::sqrt((double) W[l].size(1)); }
  static T *data(const Tensor &tensor) { return tensor.mutable_data_ptr<T>(); }
};

#endif
