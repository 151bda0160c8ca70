/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   The network of a Gaussian-moment potential, its gradient features, and the vector-Jacobian
   products of both. The equations are those of AtomicNetwork.layer_gradients in
   pyubias/model/network.py and of the features in pyubias/model/features.py, which evaluate them in
   plain PyTorch.

   Layers l = 0 ... L-1, with h_0 = G the invariants:

     [z_l | P_l] = [h_l, 1] M_l          h_{l+1} = gain silu(z_l)
     [t_{l-1} | Q_l] = delta_l N_l       delta_l = dz_{L-1}/dz_l = t_l * d_silu_l, delta_{L-1} = 1

   d_silu_l and d2_silu_l are the derivatives of gain silu at z_l. The matrices
   M_l = [W_l^T/sqrt(d_l) | U_l] and N_l = [W_l/sqrt(d_l) | V_l] hold weights and sketches side by
   side, so that each layer is one product. U_0 stands apart because it is sparse: its row k has
   weights for the projections of group k mod SKETCH_GROUPS only. The features of an atom with
   scale dE/dz_{L-1} are

     sketched     scale sum_l P_l * Q_l
     last layer   scale [h_{L-1}/sqrt(d_{L-1}), bias scale]

   A batch is A atoms, as many as a register has lanes. It holds every quantity above as a list of
   entries: entry k of h_l is one register with h_l[k] of each atom. Products work on three
   batches at a time, so that each weight is loaded once for all of them.
*/

#ifndef UBIAS_LAYERS_H
#define UBIAS_LAYERS_H

#include "gaussian_moments.h"
#include "simd.h"

namespace gaussian_moments {
namespace UBIAS_ISA {
namespace {

// Every step-th entry of batches that begin `stride` numbers apart

template <typename T> struct Entries {
  T *data;
  size_t stride;
  int step = 1;
};

// y = start + x B, or start + x B^T with TRANSPOSED: N_OUT entries of y in N_BATCHES batches. Rows
// of B begin `ld` numbers apart. With `add`, the product is added to y.

template <typename T, int N_BATCHES, int N_OUT, bool TRANSPOSED>
inline void tile(const T *B, int ld, int n_in, Entries<const T> x, const T *start, bool add,
                 Entries<T> y, int first)
{
  constexpr int A = atom_lanes<T>();
  using Register = typename Pack<T, A>::Register;
  using Memory = typename Pack<T, A>::Memory;
  Register total[N_OUT][N_BATCHES];
#pragma GCC unroll 24
  for (int j = 0; j < N_OUT; j++)
#pragma GCC unroll 24
    for (int n = 0; n < N_BATCHES; n++)
      total[j][n] = add ? *(const Memory *) (y.data + n * y.stride + (first + j) * y.step * A)
                        : Register{} + (start ? start[j] : T(0));
  for (int k = 0; k < n_in; k++) {
    Register in[N_BATCHES];
#pragma GCC unroll 24
    for (int n = 0; n < N_BATCHES; n++)
      in[n] = *(const Memory *) (x.data + n * x.stride + k * x.step * A);
#pragma GCC unroll 24
    for (int j = 0; j < N_OUT; j++) {
      const T weight = TRANSPOSED ? B[(size_t) j * ld + k] : B[(size_t) k * ld + j];
#pragma GCC unroll 24
      for (int n = 0; n < N_BATCHES; n++) total[j][n] += in[n] * weight;
    }
  }
#pragma GCC unroll 24
  for (int j = 0; j < N_OUT; j++)
#pragma GCC unroll 24
    for (int n = 0; n < N_BATCHES; n++)
      *(Memory *) (y.data + n * y.stride + (first + j) * y.step * A) = total[j][n];
}

constexpr int MAX_BATCHES = 6;
constexpr int ACCUMULATORS = REGISTER_BYTES == 64 ? 24 : 12;    // of 32 or 16 registers
constexpr int CHUNK = 64;    // of sums over rows of B: a chunk of B stays in cache and TLB

// N_OUT entries of y in all batches, three batches at a time; four are two and two

template <typename T, int N_OUT, bool TRANSPOSED>
void tiles(int n_batches, const T *B, int ld, int n_in, Entries<const T> x, const T *start,
           bool add, Entries<T> y, int first)
{
  for (int n = 0; n < n_batches;) {
    const int left = n_batches - n;
    if (left == 1)
      tile<T, 1, N_OUT, TRANSPOSED>(B, ld, n_in, x, start, add, y, first);
    else if (left == 2 || left == 4)
      tile<T, 2, N_OUT, TRANSPOSED>(B, ld, n_in, x, start, add, y, first);
    else
      tile<T, 3, N_OUT, TRANSPOSED>(B, ld, n_in, x, start, add, y, first);
    const int done = left == 1 ? 1 : left == 2 || left == 4 ? 2 : 3;
    n += done;
    x.data += done * x.stride;
    y.data += done * y.stride;
  }
}

template <typename T, int N_OUT, bool TRANSPOSED>
void multiply_by_tiles(int n_batches, const T *B, int ld, int n_out, int n_in, Entries<const T> x,
                       const T *start, bool add, Entries<T> y)
{
  auto from = [&](int j) {
    return B + (TRANSPOSED ? (size_t) j * ld : j);
  };
  int j = 0;
  for (; j + N_OUT <= n_out; j += N_OUT)
    tiles<T, N_OUT, TRANSPOSED>(n_batches, from(j), ld, n_in, x, start ? start + j : nullptr, add,
                                y, j);
  for (; j < n_out; j++)
    tiles<T, 1, TRANSPOSED>(n_batches, from(j), ld, n_in, x, start ? start + j : nullptr, add, y,
                            j);
}

// y = start + x B, or start + x B^T with TRANSPOSED, for n_out entries of y and n_in of x

template <typename T, bool TRANSPOSED>
void multiply(int n_batches, const T *B, int ld, int n_out, int n_in, Entries<const T> x,
              const T *start, bool add, Entries<T> y)
{
  constexpr int A = atom_lanes<T>();
  auto function = n_batches == 1 ? multiply_by_tiles<T, ACCUMULATORS, TRANSPOSED>
                                 : multiply_by_tiles<T, ACCUMULATORS / 3, TRANSPOSED>;
  if (TRANSPOSED || n_in == 0) {
    function(n_batches, B, ld, n_out, n_in, x, start, add, y);
    return;
  }
  for (int k = 0; k < n_in; k += CHUNK) {
    function(n_batches, B + (size_t) k * ld, ld, n_out, smaller(CHUNK, n_in - k), x,
             k == 0 ? start : nullptr, add || k > 0, y);
    x.data += CHUNK * x.step * A;
  }
}

// Where the entries of each quantity begin in a batch. The same layout holds their cotangents in
// vector-Jacobian products.

struct Layout {
  int psi, h[MAX_LAYERS + 1], d_silu[MAX_LAYERS], d2_silu[MAX_LAYERS], t[MAX_LAYERS],
      delta[MAX_LAYERS], P[MAX_LAYERS], Q[MAX_LAYERS], total;

  template <typename T> Layout(const Network<T> &net, int n_radial, bool with_features)
  {
    int next = 0;
    auto take = [&next](int n) {
      const int first = next;
      next += n;
      return first;
    };
    psi = take(n_radial * N_COMPONENTS);
    h[0] = take(net.width[0]);
    const int n_sketches = with_features ? net.n_sketches : 0;
    for (int l = 0; l < net.n_layers; l++) {
      // z_l and P_l are neighbors, and so are t_{l-1} and Q_l: each pair is one product
      h[l + 1] = take(net.width[l + 1]);
      P[l] = take(n_sketches);
      if (l > 0) t[l - 1] = take(net.width[l]);
      Q[l] = take(n_sketches);
      if (l == net.n_layers - 1) break;
      d_silu[l] = take(net.width[l + 1]);
      d2_silu[l] = take(net.width[l + 1]);
      delta[l] = take(net.width[l + 1]);
    }
    total = next;
  }
};

// From z: h = gain silu(z) in its place, and the first two derivatives of gain silu

template <typename T>
void activate(T gain, int n, T *__restrict__ z, T *__restrict__ d_silu, T *__restrict__ d2_silu)
{
#pragma GCC ivdep
  for (int k = 0; k < n; k++) {
    const T x = z[k], e = exponential(x < 0 ? x : -x), inverse = T(1.0) / (T(1.0) + e);
    const T sigmoid = x < 0 ? e * inverse : inverse, d_sigmoid = sigmoid * (T(1.0) - sigmoid);
    d_silu[k] = gain * (sigmoid + x * d_sigmoid);
    d2_silu[k] = gain * d_sigmoid * (T(2.0) + x * (T(1.0) - T(2.0) * sigmoid));
    z[k] = gain * x * sigmoid;
  }
}

template <typename T> class Layers {
 public:
  static constexpr int A = atom_lanes<T>();

  Layers(const Network<T> &network, const Layout &layout, bool with_features) :
      net(network), at(layout), last(net.n_layers - 1),
      n_sketches(with_features ? net.n_sketches : 0), stride((size_t) at.total * A)
  {
  }

  // From h_0 of n batches to z_{L-1}, with all that the features and the gradients need

  void evaluate(T *batches, int n) const
  {
    for (int l = 0; l <= last; l++) {
      const T *M = net.M[l];
      const int ld = net.columns_of_M(l);
      multiply<T, false>(n, M, ld, net.width[l + 1] + (l > 0 ? n_sketches : 0), net.width[l],
                         input(batches, at.h[l]), M + (size_t) net.width[l] * ld, false,
                         output(batches, at.h[l + 1]));
      if (l < last)
        for (int c = 0; c < n; c++) {
          T *batch = batches + c * stride;
          activate(net.gain, net.width[l + 1] * A, entry(batch, at.h[l + 1]),
                   entry(batch, at.d_silu[l]), entry(batch, at.d2_silu[l]));
        }
    }

    if (n_sketches > 0)
      for_groups([&](const T *U, int ld, int n_in, int group) {
        multiply<T, false>(n, U, ld, group_size(), n_in,
                           input(batches, at.h[0] + group, SKETCH_GROUPS), bias_of_U0(group), false,
                           output(batches, at.P[0] + group * group_size()));
      });

    // delta_l, from the last layer to the first

    for (int c = 0; c < n; c++) {
      T *batch = batches + c * stride;
      if (last > 0) fill(entry(batch, at.t[last - 1]), net.N[last], net.width[last]);
      fill(entry(batch, at.Q[last]), net.N[last] + net.width[last], n_sketches);
    }
    for (int l = last - 1; l >= 0; l--) {
      for (int c = 0; c < n; c++) {
        T *batch = batches + c * stride;
        product(net.width[l + 1], entry(batch, at.t[l]), entry(batch, at.d_silu[l]),
                entry(batch, at.delta[l]));
      }
      const int skip = l > 0 ? 0 : net.width[0];    // output_gradient() computes dz/dG
      multiply<T, false>(n, net.N[l] + skip, net.columns_of_N(l), net.width[l] - skip + n_sketches,
                         net.width[l + 1], input(batches, at.delta[l]), nullptr, false,
                         output(batches, l > 0 ? at.t[l - 1] : at.Q[0]));
    }
  }

  // Features of one batch, [feature][atom], without their scale

  void features(const T *batch, T *result) const
  {
    if (net.n_sketches == 0) {
      const T *h = entry(batch, at.h[last]);
      for (int k = 0; k < net.width[last] * A; k++) result[k] = h[k] * net.ntk_scale;
      for (int a = 0; a < A; a++) result[net.width[last] * A + a] = net.bias_scale;
      return;
    }
    for (int k = 0; k < n_sketches * A; k++) {
      T total = 0;
      for (int l = 0; l <= last; l++) total += entry(batch, at.P[l])[k] * entry(batch, at.Q[l])[k];
      result[k] = total;
    }
  }

  // dz_{L-1}/dG of n batches, into h_0 of `work`

  void output_gradient(const T *batches, int n, T *work) const
  {
    if (last == 0)
      for (int c = 0; c < n; c++) fill(entry(work, at.h[0]) + c * stride, net.N[0], net.width[0]);
    else
      multiply<T, false>(n, net.N[0], net.columns_of_N(0), net.width[0], net.width[1],
                         input(batches, at.delta[0]), nullptr, false, output(work, at.h[0]));
  }

  // d(a . features)/dG of n batches with a [feature][atom] for each, into h_0 of `work`

  void features_vjp(const T *batches, int n, const T *a, T *work) const
  {
    for (int c = 0; c < n; c++)
      products_vjp(batches + c * stride, a + (size_t) c * net.n_features() * A, work + c * stride);

    // evaluate() found delta_l from the last layer to the first: its vjp goes the other way

    if (net.n_sketches > 0)
      for (int l = 0; l < last; l++) {
        const int skip = l > 0 ? 0 : net.width[0];
        multiply<T, true>(n, net.N[l] + skip, net.columns_of_N(l), net.width[l + 1],
                          net.width[l] - skip + n_sketches,
                          input(work, l > 0 ? at.t[l - 1] : at.Q[0]), nullptr, false,
                          output(work, at.delta[l]));
        for (int c = 0; c < n; c++) {
          const T *batch = batches + c * stride;
          T *d = work + c * stride;
          product(net.width[l + 1], entry(d, at.delta[l]), entry(batch, at.d_silu[l]),
                  entry(d, at.t[l]));
          product(net.width[l + 1], entry(d, at.delta[l]), entry(batch, at.t[l]),
                  entry(d, at.d_silu[l]));
        }
      }

    for (int l = net.n_sketches > 0 ? last : last - 1; l >= 0; l--) {
      if (l < last)
        for (int c = 0; c < n; c++) {
          const T *batch = batches + c * stride;
          T *d = work + c * stride;
          activate_vjp(net.width[l + 1], entry(batch, at.d_silu[l]), entry(batch, at.d2_silu[l]),
                       entry(d, at.d_silu[l]), entry(d, at.h[l + 1]));
        }
      multiply<T, true>(n, net.M[l], net.columns_of_M(l), net.width[l],
                        net.width[l + 1] + (l > 0 ? n_sketches : 0), input(work, at.h[l + 1]),
                        nullptr, false, output(work, at.h[l]));
    }
    if (n_sketches > 0)
      for_groups([&](const T *U, int ld, int n_in, int group) {
        multiply<T, true>(n, U, ld, n_in, group_size(), input(work, at.P[0] + group * group_size()),
                          nullptr, true, output(work, at.h[0] + group, SKETCH_GROUPS));
      });
  }

 private:
  const Network<T> &net;
  const Layout &at;
  const int last, n_sketches;
  const size_t stride;

  // Cotangents of P_l and Q_l, or of h_{L-1}; zero for what else the loops of features_vjp() read

  void products_vjp(const T *batch, const T *a, T *d) const
  {
    if (net.n_sketches == 0) {
      T *h = entry(d, at.h[last]);
      for (int k = 0; k < net.width[last] * A; k++) h[k] = a[k] * net.ntk_scale;
      for (int l = 0; l < last; l++)
        memset(entry(d, at.d_silu[l]), 0, net.width[l + 1] * A * sizeof(T));
      return;
    }
    for (int l = 0; l <= last; l++) {
      product(n_sketches, a, entry(batch, at.Q[l]), entry(d, at.P[l]));
      product(n_sketches, a, entry(batch, at.P[l]), entry(d, at.Q[l]));
    }
    memset(entry(d, at.h[net.n_layers]), 0, A * sizeof(T));
  }

  // From the cotangents of h and of d_silu: that of z, in the place of h

  static void activate_vjp(int n, const T *__restrict__ d_silu, const T *__restrict__ d2_silu,
                           const T *__restrict__ of_d_silu, T *__restrict__ of_h)
  {
    for (int k = 0; k < n * A; k++) of_h[k] = of_h[k] * d_silu[k] + of_d_silu[k] * d2_silu[k];
  }

  // U_0 by groups: calls function(first row, distance of rows, number of rows, group)

  template <typename Function> void for_groups(Function &&function) const
  {
    for (int group = 0; group < SKETCH_GROUPS && group < net.width[0]; group++)
      function(net.U0 + (size_t) group * group_size(), SKETCH_GROUPS * group_size(),
               (net.width[0] - group + SKETCH_GROUPS - 1) / SKETCH_GROUPS, group);
  }

  int group_size() const { return n_sketches / SKETCH_GROUPS; }
  const T *bias_of_U0(int group) const
  {
    return net.U0 + (size_t) (net.width[0] + group) * group_size();
  }

  Entries<T> output(T *batches, int k, int step = 1) const
  {
    return {entry(batches, k), stride, step};
  }
  Entries<const T> input(const T *batches, int k, int step = 1) const
  {
    return {entry(batches, k), stride, step};
  }

  static T *entry(T *batch, int k) { return batch + (size_t) k * A; }
  static const T *entry(const T *batch, int k) { return batch + (size_t) k * A; }

  static void fill(T *of_atoms, const T *values, int n)
  {
    for (int k = 0; k < n; k++)
      for (int a = 0; a < A; a++) of_atoms[k * A + a] = values[k];
  }

  static void product(int n, const T *__restrict__ a, const T *__restrict__ b, T *__restrict__ c)
  {
    for (int k = 0; k < n * A; k++) c[k] = a[k] * b[k];
  }
};

}    // namespace
}    // namespace UBIAS_ISA
}    // namespace gaussian_moments

#endif
