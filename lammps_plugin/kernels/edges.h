/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   Sums over the edges of one atom: radial functions, directions, moments and their derivatives.
   The lanes are eight edges in the geometry, and the radial functions in all that follows.
*/

#ifndef UBIAS_EDGES_H
#define UBIAS_EDGES_H

#include "gaussian_moments.h"
#include "simd.h"

#include <cmath>

namespace gaussian_moments {
namespace UBIAS_ISA {
namespace {

constexpr int W = 8;    // edges, and then basis functions, that are computed together

template <typename T> struct Block {
  T n[3][W], inverse_r[W], r[W];
  T cutoff[W], d_cutoff[W];    // f_c(r) N_b^-1/2 (2 gamma/pi)^1/4, and its derivative
};

template <typename T>
inline void geometry(const Problem<T> &problem, int64_t first, int n_edges, T prefactor,
                     Block<T> &block)
{
  T x[3][W];
  for (int e = 0; e < W; e++)
    for (int a = 0; a < 3; a++)
      x[a][e] = e < n_edges ? problem.vectors[3 * problem.position(first + e) + a] : T(1.0);
  const T k = M_PI / problem.cutoff;
#pragma GCC ivdep
  for (int e = 0; e < W; e++) {
    const T r = __builtin_sqrt(x[0][e] * x[0][e] + x[1][e] * x[1][e] + x[2][e] * x[2][e]);
    const T inverse = T(1.0) / r;
    T cosine, sine;
    cosine_and_sine(r * k > T(M_PI) ? T(M_PI) : r * k, cosine, sine);
    block.r[e] = r;
    block.inverse_r[e] = inverse;
    block.n[0][e] = x[0][e] * inverse;
    block.n[1][e] = x[1][e] * inverse;
    block.n[2][e] = x[2][e] * inverse;
    block.cutoff[e] = (cosine + T(1.0)) * (T(0.5) * prefactor);
    block.d_cutoff[e] = sine * (T(-0.5) * prefactor * k);
  }
}

// q_k = f_c Phi_k and, with DERIVATIVE, dq_k/dr for the Gaussians of one edge

template <typename T, bool DERIVATIVE>
inline void radial_basis(const Problem<T> &problem, const Block<T> &block, int e, T gamma,
                         T *__restrict__ q, T *__restrict__ dq)
{
  const T spacing = (problem.cutoff - R_MIN) / problem.n_basis;
  const T r = block.r[e] - T(R_MIN), f = block.cutoff[e], df = block.d_cutoff[e];
  for (int first = 0; first < problem.n_basis; first += W)
#pragma GCC ivdep
    for (int k = first; k < first + W; k++) {
      const T d = r - T(k) * spacing;
      const T gaussian = exponential(d * d * -gamma);
      q[k] = gaussian * f;
      if (DERIVATIVE) dq[k] = gaussian * (df - T(2.0) * gamma * f * d);
    }
}

// the monomials of n that are the unique components of its outer products n^(x)L, L = 0 ... 3, and
// their tangents along m

template <typename T> inline void monomials(const T *n, T *y)
{
  y[0] = 1.0;
  const T xx = n[0] * n[0], xy = n[0] * n[1], xz = n[0] * n[2];
  const T yy = n[1] * n[1], yz = n[1] * n[2], zz = n[2] * n[2];
  const T values[] = {n[0],      n[1],      n[2],      xx,        xy,        xz,        yy,
                      yz,        zz,        xx * n[0], xx * n[1], xx * n[2], xy * n[1], xy * n[2],
                      xz * n[2], yy * n[1], yy * n[2], yz * n[2], zz * n[2]};
  memcpy(y + 1, values, sizeof(values));
}

template <typename T> inline void monomial_tangents(const T *n, const T *m, T *dy)
{
  const T x = n[0], y = n[1], z = n[2], u = m[0], v = m[1], w = m[2];
  const T values[] = {0,
                      u,
                      v,
                      w,
                      2 * x * u,
                      x * v + y * u,
                      x * w + z * u,
                      2 * y * v,
                      y * w + z * v,
                      2 * z * w,
                      3 * x * x * u,
                      x * (2 * y * u + x * v),
                      x * (2 * z * u + x * w),
                      y * (y * u + 2 * x * v),
                      y * z * u + x * z * v + x * y * w,
                      z * (z * u + 2 * x * w),
                      3 * y * y * v,
                      y * (2 * z * v + y * w),
                      z * (z * v + 2 * y * w),
                      3 * z * z * w};
  memcpy(dy, values, sizeof(values));
}

// h_i = sum_c a_c dY_c/dn_i for the monomials Y_c

template <typename T, typename V> inline void monomial_gradient(const T *n, const V *a, V *h)
{
  const T x = n[0], y = n[1], z = n[2];
  h[0] = a[1] + a[4] * (2 * x) + a[5] * y + a[6] * z + a[10] * (3 * x * x) + a[11] * (2 * x * y) +
      a[12] * (2 * x * z) + a[13] * (y * y) + a[14] * (y * z) + a[15] * (z * z);
  h[1] = a[2] + a[5] * x + a[7] * (2 * y) + a[8] * z + a[11] * (x * x) + a[13] * (2 * x * y) +
      a[14] * (x * z) + a[16] * (3 * y * y) + a[17] * (2 * y * z) + a[18] * (z * z);
  h[2] = a[3] + a[6] * x + a[8] * y + a[9] * (2 * z) + a[12] * (x * x) + a[14] * (x * y) +
      a[15] * (2 * x * z) + a[17] * (y * y) + a[18] * (2 * y * z) + a[19] * (3 * z * z);
}

template <typename T, int S> class Edges {
 public:
  using V = Pack<T, S>;

  explicit Edges(const Problem<T> &problem) :
      problem(problem),
      gamma(problem.n_basis * problem.n_basis / (problem.cutoff * problem.cutoff)),
      prefactor(std::pow(2.0 * gamma / M_PI, 0.25) / std::sqrt((double) problem.n_basis)),
      beta((size_t) problem.n_elements * problem.n_elements * problem.n_basis * S),
      q((problem.n_basis + W - 1) / W * W), dq(q.size())
  {
    // beta as [pair of elements][k][s]: the radial functions s are the lanes

    const int n_pairs = problem.n_elements * problem.n_elements;
    for (int pair = 0; pair < n_pairs; pair++)
      for (int s = 0; s < problem.n_radial; s++)
        for (int k = 0; k < problem.n_basis; k++)
          beta.data()[((size_t) pair * problem.n_basis + k) * S + s] =
              problem.beta[((size_t) pair * problem.n_radial + s) * problem.n_basis + k];
  }

  void moments(int64_t i, T *result)
  {
    V total[N_COMPONENTS];
    for (int c = 0; c < N_COMPONENTS; c++) total[c] = V(T(0));
    for_edges(i, [&](int64_t, int64_t pair, const Block<T> &block, int e) {
      radial_basis<T, false>(problem, block, e, gamma, q.data(), nullptr);
      const V radial = combine(pair, q.data());
      T n[3] = {block.n[0][e], block.n[1][e], block.n[2][e]}, y[N_COMPONENTS];
      monomials(n, y);
      for (int c = 0; c < N_COMPONENTS; c++) total[c] = total[c] + radial * y[c];
    });
    for (int c = 0; c < N_COMPONENTS; c++) total[c].store(result + c * S);
  }

  // tangents of the moments along tangents of the edge vectors

  void jvp(int64_t i, const T *tangents, T *result)
  {
    V total[N_COMPONENTS];
    for (int c = 0; c < N_COMPONENTS; c++) total[c] = V(T(0));
    for_edges(i, [&](int64_t edge, int64_t pair, const Block<T> &block, int e) {
      radial_basis<T, true>(problem, block, e, gamma, q.data(), dq.data());
      T n[3], m[3], y[N_COMPONENTS], dy[N_COMPONENTS];
      const T dr = tangent_of_direction(block, e, tangents + 3 * edge, n, m);
      const V radial = combine(pair, q.data()), d_radial = combine(pair, dq.data()) * dr;
      monomials(n, y);
      monomial_tangents(n, m, dy);
      for (int c = 0; c < N_COMPONENTS; c++) total[c] = total[c] + radial * dy[c] + d_radial * y[c];
    });
    for (int c = 0; c < N_COMPONENTS; c++) total[c].store(result + c * S);
  }

  // from cotangents of the moments: the gradient by beta [pair][k][s], added to d_beta

  void vjp_beta(int64_t i, const T *cotangents, T *d_beta)
  {
    V a[N_COMPONENTS];
    for (int c = 0; c < N_COMPONENTS; c++) a[c] = V::load(cotangents + c * S);
    for_edges(i, [&](int64_t, int64_t pair, const Block<T> &block, int e) {
      radial_basis<T, false>(problem, block, e, gamma, q.data(), nullptr);
      T n[3] = {block.n[0][e], block.n[1][e], block.n[2][e]}, y[N_COMPONENTS];
      monomials(n, y);
      V w = a[0];
      for (int c = 1; c < N_COMPONENTS; c++) w = w + a[c] * y[c];
      T *of_pair = d_beta + (size_t) pair * problem.n_basis * S;
      for (int k = 0; k < problem.n_basis; k++)
        (V::load(of_pair + k * S) + w * q.data()[k]).store(of_pair + k * S);
    });
  }

  // from each of K sets of cotangents of the moments: the gradient by the edge vectors

  template <int K> void vjp_vectors(int64_t i, const T *const *cotangents, T *const *d_vectors)
  {
    for_edges(i, [&](int64_t edge, int64_t pair, const Block<T> &block, int e) {
      radial_basis<T, true>(problem, block, e, gamma, q.data(), dq.data());
      T n[3] = {block.n[0][e], block.n[1][e], block.n[2][e]}, y[N_COMPONENTS];
      monomials(n, y);
      const V radial = combine(pair, q.data()), d_radial = combine(pair, dq.data());
      for (int set = 0; set < K; set++) {
        V a[N_COMPONENTS], h[3];
        for (int c = 0; c < N_COMPONENTS; c++) a[c] = V::load(cotangents[set] + c * S);
        V w = a[0];
        for (int c = 1; c < N_COMPONENTS; c++) w = w + a[c] * y[c];
        monomial_gradient(n, a, h);
        const T along = (w * d_radial).sum();
        const T hx = (h[0] * radial).sum(), hy = (h[1] * radial).sum(), hz = (h[2] * radial).sum();
        const T dot = hx * n[0] + hy * n[1] + hz * n[2], inverse = block.inverse_r[e];
        T *d = d_vectors[set] + 3 * edge;
        d[0] = n[0] * along + (hx - n[0] * dot) * inverse;
        d[1] = n[1] * along + (hy - n[1] * dot) * inverse;
        d[2] = n[2] * along + (hz - n[2] * dot) * inverse;
      }
    });
  }

  // the gradient by beta of sum_c a_c (tangent of Psi_c) + b_c Psi_c, added to d_beta

  void embedding_gradient(int64_t i, const T *of_tangents, const T *of_moments, const T *tangents,
                          T *d_beta)
  {
    V a[N_COMPONENTS], b[N_COMPONENTS];
    for (int c = 0; c < N_COMPONENTS; c++) {
      a[c] = V::load(of_tangents + c * S);
      b[c] = V::load(of_moments + c * S);
    }
    for_edges(i, [&](int64_t edge, int64_t pair, const Block<T> &block, int e) {
      radial_basis<T, true>(problem, block, e, gamma, q.data(), dq.data());
      T n[3], m[3], y[N_COMPONENTS], dy[N_COMPONENTS];
      const T dr = tangent_of_direction(block, e, tangents + 3 * edge, n, m);
      monomials(n, y);
      monomial_tangents(n, m, dy);
      V with_q = b[0], with_dq = a[0];
      for (int c = 1; c < N_COMPONENTS; c++) {
        with_q = with_q + b[c] * y[c] + a[c] * dy[c];
        with_dq = with_dq + a[c] * y[c];
      }
      with_dq = with_dq * dr;
      T *of_pair = d_beta + (size_t) pair * problem.n_basis * S;
      for (int k = 0; k < problem.n_basis; k++)
        (V::load(of_pair + k * S) + with_q * q.data()[k] + with_dq * dq.data()[k])
            .store(of_pair + k * S);
    });
  }

  size_t beta_size() const { return beta.size(); }

  // adds d_beta [pair][k][s] to a result in the order of the parameter, [pair][s][k]

  void add_beta(const T *d_beta, T *result) const
  {
    const int n_pairs = problem.n_elements * problem.n_elements;
    for (int pair = 0; pair < n_pairs; pair++)
      for (int s = 0; s < problem.n_radial; s++)
        for (int k = 0; k < problem.n_basis; k++)
          result[((size_t) pair * problem.n_radial + s) * problem.n_basis + k] +=
              d_beta[((size_t) pair * problem.n_basis + k) * S + s];
  }

 private:
  const Problem<T> &problem;
  const T gamma, prefactor;
  Buffer<T> beta, q, dq;

  template <typename Function> inline void for_edges(int64_t i, Function &&function)
  {
    Block<T> block;
    for (int64_t first = problem.first_edge[i]; first < problem.first_edge[i + 1]; first += W) {
      const int count = smaller(W, problem.first_edge[i + 1] - first);
      geometry(problem, first, count, prefactor, block);
      for (int e = 0; e < count; e++) {
        const int64_t edge = problem.position(first + e);
        function(edge,
                 problem.types[i] * problem.n_elements + problem.types[problem.neighbors[edge]],
                 block, e);
      }
    }
  }

  inline V combine(int64_t pair, const T *basis) const
  {
    const T *of_pair = beta.data() + (size_t) pair * problem.n_basis * S;
    V total = V::load(of_pair) * basis[0];
    for (int k = 1; k < problem.n_basis; k++) total = total + V::load(of_pair + k * S) * basis[k];
    return total;
  }

  // from the tangent t of an edge vector: n, its tangent m, and the tangent of |r|, returned

  static inline T tangent_of_direction(const Block<T> &block, int e, const T *t, T *n, T *m)
  {
    for (int a = 0; a < 3; a++) n[a] = block.n[a][e];
    const T dr = n[0] * t[0] + n[1] * t[1] + n[2] * t[2];
    for (int a = 0; a < 3; a++) m[a] = (t[a] - n[a] * dr) * block.inverse_r[e];
    return dr;
  }
};

}    // namespace
}    // namespace UBIAS_ISA
}    // namespace gaussian_moments

#endif
