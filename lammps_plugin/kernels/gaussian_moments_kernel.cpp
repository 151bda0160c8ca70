/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   The arithmetic of gaussian_moments.h. This file is compiled once for each instruction set,
   with UBIAS_ISA naming it.

   Two kinds of lanes: along the radial functions for what is done for each edge, and along the
   atoms for the contractions, so that both are full vectors for any N_r.
*/

#include "gaussian_moments.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <type_traits>

namespace gaussian_moments {
namespace UBIAS_ISA {

namespace {

#include "simd.h"

#include "contractions.h"

#include "edges.h"

/* ----------------------------------------------------------------------
   between the two kinds of lanes: moments are stored as [atom][component][radial, padded]
------------------------------------------------------------------------- */

template <typename T> constexpr int atom_lanes()
{
  return REGISTER_BYTES / sizeof(T);
}

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

template <typename T>
void gather_rows(const T *rows, int64_t first, int count, int length, T *lanes)
{
  constexpr int A = atom_lanes<T>();
  for (int i = 0; i < A; i++)
    for (int k = 0; k < length; k++)
      lanes[k * A + i] = i < count ? rows[(first + i) * length + k] : T(0);
}

template <typename T>
void scatter_rows(const T *lanes, int stride, int64_t first, int count, int length, T *rows)
{
  for (int i = 0; i < count; i++)
    for (int k = 0; k < length; k++) rows[(first + i) * length + k] = lanes[k * stride + i];
}

/* ----------------------------------------------------------------------
   the three functions of the interface
------------------------------------------------------------------------- */

template <typename T, int S>
void invariants_padded(const Problem<T> &p, int64_t begin, int64_t end, T *moments, T *invariants)
{
  constexpr int A = atom_lanes<T>();
  using V = Pack<T, A>;
  const int n = p.n_radial, length = n_invariants(n);
  Edges<T, S> edges(p);
  Buffer<V> psi(n * N_COMPONENTS), g(length);
  for (int64_t i = begin; i < end; i++) edges.moments(i, moments + i * N_COMPONENTS * S);
  for (int64_t first = begin; first < end; first += A) {
    const int count = smaller(A, end - first);
    gather_moments(moments, first, count, n, S, (T *) psi.data(), A);
    contract(n, psi.data(), g.data());
    scatter_rows((const T *) g.data(), A, first, count, length, invariants);
  }
}

template <typename T, int S>
void pull_back_padded(const Problem<T> &p, int64_t begin, int64_t end, const T *moments,
                      const T *cotangents, T *d_vectors, T *d_beta)
{
  constexpr int A = atom_lanes<T>();
  using V = Pack<T, A>;
  const int n = p.n_radial, length = n_invariants(n);
  Edges<T, S> edges(p);
  Buffer<V> psi(n * N_COMPONENTS), d(n * N_COMPONENTS), a(length);
  Buffer<T> of_moments(A * N_COMPONENTS * S), beta(d_beta ? edges.beta_size() : 0);
  for (int64_t first = begin; first < end; first += A) {
    const int count = smaller(A, end - first);
    gather_moments(moments, first, count, n, S, (T *) psi.data(), A);
    gather_rows(cotangents, first, count, length, (T *) a.data());
    contract_back(n, psi.data(), a.data(), d.data());
    scatter_moments((const T *) d.data(), A, count, n, S, of_moments.data());
    for (int i = 0; i < count; i++)
      edges.pull_back(first + i, of_moments.data() + i * N_COMPONENTS * S, d_vectors,
                      d_beta ? beta.data() : nullptr);
  }
  if (d_beta) edges.return_beta(beta.data(), d_beta);
}

template <typename T, int S>
void push_forward_padded(const Problem<T> &p, int64_t begin, int64_t end, const T *moments,
                         const T *cotangents, const T *tangents, T *d_invariants, T *d_beta)
{
  constexpr int A = atom_lanes<T>();
  using V = Pack<T, A>;
  using D = Dual<V>;
  const int n = p.n_radial, length = n_invariants(n), stride = 2 * A;
  constexpr int size = N_COMPONENTS * S;
  Edges<T, S> edges(p);
  Buffer<D> psi(n * N_COMPONENTS), d(n * N_COMPONENTS), g(length);
  Buffer<V> a(length);
  Buffer<T> tangent(A * size), first_order(A * size), second_order(A * size),
      beta(d_beta ? edges.beta_size() : 0);
  for (int64_t first = begin; first < end; first += A) {
    const int count = smaller(A, end - first);
    for (int i = 0; i < count; i++)
      edges.moment_tangents(first + i, tangents, tangent.data() + i * size);
    gather_moments(moments, first, count, n, S, (T *) psi.data(), stride);
    gather_moments(tangent.data(), 0, count, n, S, (T *) psi.data() + A, stride);
    if (d_invariants) {
      contract(n, psi.data(), g.data());
      scatter_rows((const T *) g.data() + A, stride, first, count, length, d_invariants);
    }
    if (!d_beta) continue;
    gather_rows(cotangents, first, count, length, (T *) a.data());
    contract_back(n, psi.data(), a.data(), d.data());
    scatter_moments((const T *) d.data(), stride, count, n, S, first_order.data());
    scatter_moments((const T *) d.data() + A, stride, count, n, S, second_order.data());
    for (int i = 0; i < count; i++)
      edges.pull_back_tangent(first + i, first_order.data() + i * size,
                              second_order.data() + i * size, tangents, beta.data());
  }
  if (d_beta) edges.return_beta(beta.data(), d_beta);
}

template <typename T>
void invariants(const Problem<T> &p, int64_t begin, int64_t end, T *moments, T *result)
{
  auto function =
      padded_radial(p.n_radial) == 8 ? invariants_padded<T, 8> : invariants_padded<T, 16>;
  function(p, begin, end, moments, result);
}

template <typename T>
void pull_back(const Problem<T> &p, int64_t begin, int64_t end, const T *moments,
               const T *cotangents, T *d_vectors, T *d_beta)
{
  auto function = padded_radial(p.n_radial) == 8 ? pull_back_padded<T, 8> : pull_back_padded<T, 16>;
  function(p, begin, end, moments, cotangents, d_vectors, d_beta);
}

template <typename T>
void push_forward(const Problem<T> &p, int64_t begin, int64_t end, const T *moments,
                  const T *cotangents, const T *tangents, T *d_invariants, T *d_beta)
{
  auto function =
      padded_radial(p.n_radial) == 8 ? push_forward_padded<T, 8> : push_forward_padded<T, 16>;
  function(p, begin, end, moments, cotangents, tangents, d_invariants, d_beta);
}

}    // namespace

extern const Functions<float> functions_float = {invariants<float>, pull_back<float>,
                                                 push_forward<float>};
extern const Functions<double> functions_double = {invariants<double>, pull_back<double>,
                                                   push_forward<double>};

}    // namespace UBIAS_ISA
}    // namespace gaussian_moments
