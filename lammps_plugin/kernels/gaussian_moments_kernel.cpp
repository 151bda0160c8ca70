/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   The arithmetic of gaussian_moments.h. This file is compiled once for each instruction set,
   with UBIAS_ISA as its name.

   Sums over edges have the radial functions in the lanes; contractions and network have atoms
   there. Both fill their vectors for any N_r. Moments pass from one to the other as arrays
   [atom][component][radial function, padded].
*/

#include "gaussian_moments.h"

#include "contractions.h"
#include "edges.h"
#include "layers.h"
#include "simd.h"

namespace gaussian_moments {
namespace UBIAS_ISA {

namespace {

template <typename T>
void gather_moments(const T *moments, int64_t first, int count, int n, int padded, T *lanes,
                    int stride)
{
  constexpr int A = atom_lanes<T>();
  for (int s = 0; s < n; s++)
    for (int c = 0; c < N_COMPONENTS; c++)
      for (int i = 0; i < A; i++)
        lanes[(s * N_COMPONENTS + c) * stride + i] =
            i < count ? moments[((first + i) * N_COMPONENTS + c) * padded + s] : T(0);
}

template <typename T>
void scatter_moments(const T *lanes, int stride, int64_t count, int n, int padded, T *moments)
{
  for (int64_t i = 0; i < count; i++)
    for (int c = 0; c < N_COMPONENTS; c++)
      for (int s = 0; s < padded; s++)
        moments[(i * N_COMPONENTS + c) * padded + s] =
            s < n ? lanes[(s * N_COMPONENTS + c) * stride + i] : T(0);
}

// one register of each row: invariants of the A atoms from `first` on, or their cotangents

template <typename T>
void gather(const T *rows, int64_t n_local, int64_t first, int length, T *lanes, int stride)
{
  constexpr int A = atom_lanes<T>();
  for (int k = 0; k < length; k++)
    memcpy(lanes + k * stride, rows + k * padded_atoms(n_local) + first, A * sizeof(T));
}

template <typename T>
void scatter(const T *lanes, int stride, int64_t n_local, int64_t first, int length, T *rows)
{
  constexpr int A = atom_lanes<T>();
  for (int k = 0; k < length; k++)
    memcpy(rows + k * padded_atoms(n_local) + first, lanes + k * stride, A * sizeof(T));
}

// The functions of gaussian_moments.h for radial functions padded to S

template <typename T, int S>
void invariants_padded(const Problem<T> &problem, int64_t begin, int64_t end, T *moments,
                       T *invariants)
{
  constexpr int A = atom_lanes<T>();
  using V = Pack<T, A>;
  const int n = problem.n_radial, length = n_invariants(n);
  Edges<T, S> edges(problem);
  Buffer<V> psi(n * N_COMPONENTS), g(length);
  for (int64_t i = begin; i < end; i++) edges.moments(i, moments + i * N_COMPONENTS * S);
  for (int64_t first = begin; first < end; first += A) {
    const int count = smaller(A, end - first);
    gather_moments(moments, first, count, n, S, (T *) psi.data(), A);
    contract(n, psi.data(), g.data());
    scatter((const T *) g.data(), A, problem.n_local, first, length, invariants);
  }
}

template <typename T, int S>
void vjp_padded(const Problem<T> &problem, int64_t begin, int64_t end, const T *moments,
                const T *cotangents, T *d_vectors, T *d_beta)
{
  constexpr int A = atom_lanes<T>();
  using V = Pack<T, A>;
  const int n = problem.n_radial, length = n_invariants(n);
  Edges<T, S> edges(problem);
  Buffer<V> psi(n * N_COMPONENTS), d(n * N_COMPONENTS), a(length);
  Buffer<T> of_moments(A * N_COMPONENTS * S), beta(d_beta ? edges.beta_size() : 0);
  for (int64_t first = begin; first < end; first += A) {
    const int count = smaller(A, end - first);
    gather_moments(moments, first, count, n, S, (T *) psi.data(), A);
    gather(cotangents, problem.n_local, first, length, (T *) a.data(), A);
    contract_vjp(n, psi.data(), a.data(), d.data());
    scatter_moments((const T *) d.data(), A, count, n, S, of_moments.data());
    for (int i = 0; i < count; i++) {
      const T *of_atom = of_moments.data() + i * N_COMPONENTS * S;
      if (d_vectors) edges.template vjp_vectors<1>(first + i, &of_atom, &d_vectors);
      if (d_beta) edges.vjp_beta(first + i, of_atom, beta.data());
    }
  }
  if (d_beta) edges.add_beta(beta.data(), d_beta);
}

template <typename T, int S>
void jvp_padded(const Problem<T> &problem, int64_t begin, int64_t end, const T *moments,
                const T *tangents, T *moment_tangents, T *invariant_tangents)
{
  constexpr int A = atom_lanes<T>();
  using V = Pack<T, A>;
  const int n = problem.n_radial, length = n_invariants(n), stride = 2 * A;
  Edges<T, S> edges(problem);
  Buffer<Dual<V>> psi(n * N_COMPONENTS), g(length);
  for (int64_t i = begin; i < end; i++)
    edges.jvp(i, tangents, moment_tangents + i * N_COMPONENTS * S);
  for (int64_t first = begin; first < end; first += A) {
    const int count = smaller(A, end - first);
    gather_moments(moments, first, count, n, S, (T *) psi.data(), stride);
    gather_moments(moment_tangents, first, count, n, S, (T *) psi.data() + A, stride);
    contract(n, psi.data(), g.data());
    scatter((const T *) g.data() + A, stride, problem.n_local, first, length, invariant_tangents);
  }
}

template <typename T, int S>
void embedding_gradient_padded(const Problem<T> &problem, int64_t begin, int64_t end,
                               const T *moments, const T *moment_tangents, const T *tangents,
                               const T *a, const T *b, T *d_beta)
{
  constexpr int A = atom_lanes<T>(), size = N_COMPONENTS * S;
  using V = Pack<T, A>;
  const int n = problem.n_radial, length = n_invariants(n), stride = 2 * A;
  Edges<T, S> edges(problem);
  Buffer<Dual<V>> psi(n * N_COMPONENTS), d(n * N_COMPONENTS), cotangents(length);
  Buffer<T> of_tangents(A * size), of_moments(A * size), beta(edges.beta_size());
  for (int64_t first = begin; first < end; first += A) {
    const int count = smaller(A, end - first);
    gather_moments(moments, first, count, n, S, (T *) psi.data(), stride);
    gather_moments(moment_tangents, first, count, n, S, (T *) psi.data() + A, stride);
    gather(a, problem.n_local, first, length, (T *) cotangents.data(), stride);
    gather(b, problem.n_local, first, length, (T *) cotangents.data() + A, stride);
    contract_vjp(n, psi.data(), cotangents.data(), d.data());
    scatter_moments((const T *) d.data(), stride, count, n, S, of_tangents.data());
    scatter_moments((const T *) d.data() + A, stride, count, n, S, of_moments.data());
    for (int i = 0; i < count; i++)
      edges.embedding_gradient(first + i, of_tangents.data() + i * size,
                               of_moments.data() + i * size, tangents, beta.data());
  }
  edges.add_beta(beta.data(), d_beta);
}

template <typename T> int block_of_atoms()
{
  return MAX_BATCHES * atom_lanes<T>();
}

template <typename T>
int64_t state_size(int64_t n_local, int n_radial, const Network<T> &net, bool with_features)
{
  constexpr int A = atom_lanes<T>();
  return (n_local + A - 1) / A * A * Layout(net, n_radial, with_features).total;
}

template <typename T, int S>
void evaluate_padded(const Problem<T> &problem, const Network<T> &net, int64_t begin, int64_t end,
                     const T *scale, T *state, T *outputs, T *features)
{
  constexpr int A = atom_lanes<T>();
  using V = Pack<T, A>;
  const Layout layout(net, problem.n_radial, features);
  const Layers<T> layers(net, layout, features);
  const size_t stride = (size_t) layout.total * A;
  const int n = problem.n_radial, n_features = net.n_features();
  Edges<T, S> edges(problem);
  Buffer<T> moments(A * N_COMPONENTS * S), phi(features ? A * n_features : 0);

  for (int64_t block = begin; block < end; block += MAX_BATCHES * A) {
    T *batches = state + block / A * stride;
    const int n_atoms = smaller(MAX_BATCHES * A, end - block), n_batches = (n_atoms + A - 1) / A;
    for (int c = 0; c < n_batches; c++) {
      T *batch = batches + c * stride;
      const int64_t first = block + c * A;
      const int count = smaller(A, end - first);
      for (int i = 0; i < count; i++)
        edges.moments(first + i, moments.data() + i * N_COMPONENTS * S);
      gather_moments(moments.data(), 0, count, n, S, batch + layout.psi * A, A);
      contract(n, (const V *) (batch + layout.psi * A), (V *) (batch + layout.h[0] * A));
    }

    layers.evaluate(batches, n_batches);
    for (int i = 0; i < n_atoms; i++)
      outputs[block + i] = batches[i / A * stride + layout.h[net.n_layers] * A + i % A];
    if (!features) continue;
    for (int c = 0; c < n_batches; c++) {
      const int64_t first = block + c * A;
      layers.features(batches + c * stride, phi.data());
      for (int i = 0; i < smaller(A, end - first); i++)
        for (int k = 0; k < n_features; k++)
          features[(first + i) * n_features + k] = phi.data()[k * A + i] * scale[first + i];
    }
  }
}

template <typename T, int S>
void gradients_padded(const Problem<T> &problem, const Network<T> &net, int64_t begin, int64_t end,
                      const T *scale, const T *state, bool with_features, const T *a, const T *b,
                      int64_t b_stride, T *of_outputs, T *of_features)
{
  constexpr int A = atom_lanes<T>(), size = A * N_COMPONENTS * S;
  using V = Pack<T, A>;
  const Layout layout(net, problem.n_radial, with_features);
  const Layers<T> layers(net, layout, with_features);
  const size_t stride = (size_t) layout.total * A;
  const int n = problem.n_radial, n_features = net.n_features();
  Edges<T, S> edges(problem);
  Buffer<T> work(MAX_BATCHES * stride, false), of_moments(2 * MAX_BATCHES * size, false),
      phi(of_features ? MAX_BATCHES * A * n_features : 0, false);
  Buffer<V> d(n * N_COMPONENTS);

  for (int64_t block = begin; block < end; block += MAX_BATCHES * A) {
    const T *batches = state + block / A * stride;
    const int n_atoms = smaller(MAX_BATCHES * A, end - block), n_batches = (n_atoms + A - 1) / A;

    // cotangents of the moments

    auto to_moments = [&](T *result) {
      for (int c = 0; c < n_batches; c++) {
        contract_vjp(n, (const V *) (batches + c * stride + layout.psi * A),
                     (const V *) (work.data() + c * stride + layout.h[0] * A), d.data());
        scatter_moments((const T *) d.data(), A, smaller(A, n_atoms - c * A), n, S,
                        result + c * size);
      }
    };
    if (of_outputs) {
      layers.output_gradient(batches, n_batches, work.data());
      for (int c = 0; c < n_batches; c++) {
        T *g = work.data() + c * stride + layout.h[0] * A;
        T factor[A] = {};
        for (int i = 0; i < smaller(A, n_atoms - c * A); i++) factor[i] = a[block + c * A + i];
        for (int k = 0; k < net.width[0]; k++)
          for (int i = 0; i < A; i++) g[k * A + i] *= factor[i];
      }
      to_moments(of_moments.data());
    }
    if (of_features) {
      for (int k = 0; k < n_features; k++)
        for (int i = 0; i < n_batches * A; i++)
          phi.data()[((size_t) (i / A) * n_features + k) * A + i % A] =
              i < n_atoms ? b[(block + i) * b_stride + k] * scale[block + i] : T(0);
      layers.features_vjp(batches, n_batches, phi.data(), work.data());
      to_moments(of_moments.data() + MAX_BATCHES * size);
    }

    // gradients by the edge vectors

    for (int i = 0; i < n_atoms; i++) {
      const T *cotangents[2] = {of_moments.data() + (size_t) i * N_COMPONENTS * S,
                                of_moments.data() + MAX_BATCHES * size +
                                    (size_t) i * N_COMPONENTS * S};
      T *const d_vectors[2] = {of_outputs, of_features};
      if (of_outputs && of_features)
        edges.template vjp_vectors<2>(block + i, cotangents, d_vectors);
      else if (of_outputs)
        edges.template vjp_vectors<1>(block + i, cotangents, d_vectors);
      else if (of_features)
        edges.template vjp_vectors<1>(block + i, cotangents + 1, d_vectors + 1);
    }
  }
}

template <typename T>
void invariants(const Problem<T> &problem, int64_t begin, int64_t end, T *moments, T *result)
{
  auto function =
      padded_radial(problem.n_radial) == 8 ? invariants_padded<T, 8> : invariants_padded<T, 16>;
  function(problem, begin, end, moments, result);
}

template <typename T>
void vjp(const Problem<T> &problem, int64_t begin, int64_t end, const T *moments,
         const T *cotangents, T *d_vectors, T *d_beta)
{
  auto function = padded_radial(problem.n_radial) == 8 ? vjp_padded<T, 8> : vjp_padded<T, 16>;
  function(problem, begin, end, moments, cotangents, d_vectors, d_beta);
}

template <typename T>
void jvp(const Problem<T> &problem, int64_t begin, int64_t end, const T *moments, const T *tangents,
         T *moment_tangents, T *invariant_tangents)
{
  auto function = padded_radial(problem.n_radial) == 8 ? jvp_padded<T, 8> : jvp_padded<T, 16>;
  function(problem, begin, end, moments, tangents, moment_tangents, invariant_tangents);
}

template <typename T>
void embedding_gradient(const Problem<T> &problem, int64_t begin, int64_t end, const T *moments,
                        const T *moment_tangents, const T *tangents, const T *a, const T *b,
                        T *d_beta)
{
  auto function = padded_radial(problem.n_radial) == 8 ? embedding_gradient_padded<T, 8>
                                                       : embedding_gradient_padded<T, 16>;
  function(problem, begin, end, moments, moment_tangents, tangents, a, b, d_beta);
}

template <typename T>
void evaluate(const Problem<T> &problem, const Network<T> &net, int64_t begin, int64_t end,
              const T *scale, T *state, T *outputs, T *features)
{
  auto function =
      padded_radial(problem.n_radial) == 8 ? evaluate_padded<T, 8> : evaluate_padded<T, 16>;
  function(problem, net, begin, end, scale, state, outputs, features);
}

template <typename T>
void gradients(const Problem<T> &problem, const Network<T> &net, int64_t begin, int64_t end,
               const T *scale, const T *state, bool with_features, const T *a, const T *b,
               int64_t b_stride, T *of_outputs, T *of_features)
{
  auto function =
      padded_radial(problem.n_radial) == 8 ? gradients_padded<T, 8> : gradients_padded<T, 16>;
  function(problem, net, begin, end, scale, state, with_features, a, b, b_stride, of_outputs,
           of_features);
}

template <typename T>
constexpr Functions<T> all_functions = {
    invariants<T>,     vjp<T>,        jvp<T>,      embedding_gradient<T>,
    block_of_atoms<T>, state_size<T>, evaluate<T>, gradients<T>};

}    // namespace

extern const Functions<float> functions_float = all_functions<float>;
extern const Functions<double> functions_double = all_functions<double>;

}    // namespace UBIAS_ISA
}    // namespace gaussian_moments
