/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   Contractions of the moments to invariants, and their vector-Jacobian product. The numbers X
   are packs with one lane per atom, or dual numbers of packs. A dual number carries a tangent, so
   that the same code computes the invariants and their tangents, and the vjp and its tangent.
*/

#ifndef UBIAS_CONTRACTIONS_H
#define UBIAS_CONTRACTIONS_H

#include "gaussian_moments.h"
#include "simd.h"

namespace gaussian_moments {
namespace UBIAS_ISA {
namespace {

template <typename V> struct Dual {
  V v, d;
};
template <typename V> inline Dual<V> operator+(const Dual<V> &a, const Dual<V> &b)
{
  return {a.v + b.v, a.d + b.d};
}
template <typename V> inline Dual<V> operator*(const Dual<V> &a, const Dual<V> &b)
{
  return {a.v * b.v, a.v * b.d + a.d * b.v};
}
template <typename T, int N> inline Pack<T, N> scaled(const Pack<T, N> &a, double s)
{
  return a * T(s);
}
template <typename V> inline Dual<V> scaled(const Dual<V> &a, double s)
{
  return {scaled(a.v, s), scaled(a.d, s)};
}
template <typename T, int N> inline void set_zero(Pack<T, N> &a)
{
  a = Pack<T, N>(T(0));
}
template <typename V> inline void set_zero(Dual<V> &a)
{
  set_zero(a.v);
  set_zero(a.d);
}
template <typename X> inline void add(X &a, const X &b)
{
  a = a + b;
}

// positions of the components in a moment, and how many components of the full tensor equal each

constexpr int I1[3] = {1, 2, 3};
constexpr int I2[3][3] = {{4, 5, 6}, {5, 7, 8}, {6, 8, 9}};
constexpr int U2[6][2] = {{0, 0}, {0, 1}, {0, 2}, {1, 1}, {1, 2}, {2, 2}};
constexpr int M2[6] = {1, 2, 2, 1, 2, 1};
constexpr int M3[10] = {1, 3, 3, 3, 6, 3, 1, 3, 3, 1};
constexpr int I3[6][3] = {{10, 11, 12}, {11, 13, 14}, {12, 14, 15},
                          {13, 16, 17}, {14, 17, 18}, {15, 18, 19}};    // [ab][c]

// where each family of invariants begins

struct Offsets {
  int pairs, triples222, triples112, triples332, triples321, total;
  explicit Offsets(int n)
  {
    pairs = n;
    triples222 = pairs + 3 * n * (n + 1) / 2;
    triples112 = triples222 + n * (n + 1) * (n + 2) / 6;
    triples332 = triples112 + n * n * (n + 1) / 2;
    triples321 = triples332 + n * n * (n + 1) / 2;
    total = triples321 + n * n * n;
  }
};

// contractions of s and t to symmetric matrices with the free indices bc, for the three families

template <typename X> inline void join(const X *s, const X *t, X *j222, X *j112, X *j332)
{
  for (int k = 0; k < 6; k++) {
    const int b = U2[k][0], c = U2[k][1];
    X sum2 = s[I2[0][b]] * t[I2[0][c]] + s[I2[0][c]] * t[I2[0][b]];
    for (int a = 1; a < 3; a++) add(sum2, s[I2[a][b]] * t[I2[a][c]] + s[I2[a][c]] * t[I2[a][b]]);
    j222[k] = scaled(sum2, 0.5);
    j112[k] = scaled(s[I1[b]] * t[I1[c]] + s[I1[c]] * t[I1[b]], 0.5);
    X sum3 = s[I3[0][b]] * t[I3[0][c]] + s[I3[0][c]] * t[I3[0][b]];
    for (int ab = 1; ab < 6; ab++)
      add(sum3, scaled(s[I3[ab][b]] * t[I3[ab][c]] + s[I3[ab][c]] * t[I3[ab][b]], M2[ab]));
    j332[k] = scaled(sum3, 0.5);
  }
}

template <typename X>
inline void join_vjp(const X *s, const X *t, const X *j222, const X *j112, const X *j332, X *ds,
                     X *dt)
{
  for (int k = 0; k < 6; k++) {
    const int b = U2[k][0], c = U2[k][1];
    const X d2 = scaled(j222[k], 0.5), d1 = scaled(j112[k], 0.5);
    for (int a = 0; a < 3; a++) {
      add(ds[I2[a][b]], d2 * t[I2[a][c]]);
      add(ds[I2[a][c]], d2 * t[I2[a][b]]);
      add(dt[I2[a][b]], d2 * s[I2[a][c]]);
      add(dt[I2[a][c]], d2 * s[I2[a][b]]);
    }
    add(ds[I1[b]], d1 * t[I1[c]]);
    add(ds[I1[c]], d1 * t[I1[b]]);
    add(dt[I1[b]], d1 * s[I1[c]]);
    add(dt[I1[c]], d1 * s[I1[b]]);
    for (int ab = 0; ab < 6; ab++) {
      const X d3 = scaled(j332[k], 0.5 * M2[ab]);
      add(ds[I3[ab][b]], d3 * t[I3[ab][c]]);
      add(ds[I3[ab][c]], d3 * t[I3[ab][b]]);
      add(dt[I3[ab][b]], d3 * s[I3[ab][c]]);
      add(dt[I3[ab][c]], d3 * s[I3[ab][b]]);
    }
  }
}

template <typename X> inline X product2(const X *matrix, const X *u)
{
  X total = matrix[0] * u[4];
  for (int k = 1; k < 6; k++) add(total, scaled(matrix[k] * u[4 + k], M2[k]));
  return total;
}

template <typename X> void contract(int n, const X *psi, X *g)
{
  const Offsets at(n);
  const int n_pairs = n * (n + 1) / 2;
  int st = 0, stu = 0, st_u = 0;
  for (int s = 0; s < n; s++) {
    const X *ps = psi + s * N_COMPONENTS;
    g[s] = ps[0];
    for (int t = s; t < n; t++, st++) {
      const X *pt = psi + t * N_COMPONENTS;
      X sum1 = ps[1] * pt[1] + ps[2] * pt[2];
      add(sum1, ps[3] * pt[3]);
      X sum3 = ps[10] * pt[10];
      for (int c = 1; c < 10; c++) add(sum3, scaled(ps[10 + c] * pt[10 + c], M3[c]));
      g[at.pairs + st] = sum1;
      g[at.pairs + n_pairs + st] = product2(ps + 4, pt);
      g[at.pairs + 2 * n_pairs + st] = sum3;

      X j222[6], j112[6], j332[6];
      join(ps, pt, j222, j112, j332);
      for (int u = t; u < n; u++) g[at.triples222 + stu++] = product2(j222, psi + u * N_COMPONENTS);
      for (int u = 0; u < n; u++, st_u++) {
        g[at.triples112 + st_u] = product2(j112, psi + u * N_COMPONENTS);
        g[at.triples332 + st_u] = product2(j332, psi + u * N_COMPONENTS);
      }
    }
  }

  int k = at.triples321;
  for (int s = 0; s < n; s++)
    for (int t = 0; t < n; t++) {
      const X *ps = psi + s * N_COMPONENTS, *pt = psi + t * N_COMPONENTS;
      X joined[3];
      for (int c = 0; c < 3; c++) {
        joined[c] = ps[I3[0][c]] * pt[4];
        for (int ab = 1; ab < 6; ab++) add(joined[c], scaled(ps[I3[ab][c]] * pt[4 + ab], M2[ab]));
      }
      for (int u = 0; u < n; u++) {
        const X *pu = psi + u * N_COMPONENTS;
        X total = joined[0] * pu[1] + joined[1] * pu[2];
        add(total, joined[2] * pu[3]);
        g[k++] = total;
      }
    }
}

// d = a.dG/dPsi; with dual numbers also its tangent

template <typename X> void contract_vjp(int n, const X *psi, const X *a, X *d)
{
  const Offsets at(n);
  const int n_pairs = n * (n + 1) / 2;
  int st = 0, stu = 0, st_u = 0;
  for (int k = 0; k < n * N_COMPONENTS; k++) set_zero(d[k]);
  for (int s = 0; s < n; s++) d[s * N_COMPONENTS] = a[s];

  for (int s = 0; s < n; s++) {
    const X *ps = psi + s * N_COMPONENTS;
    X *ds = d + s * N_COMPONENTS;
    for (int t = s; t < n; t++, st++) {
      const X *pt = psi + t * N_COMPONENTS;
      X *dt = d + t * N_COMPONENTS;
      const X a1 = a[at.pairs + st], a2 = a[at.pairs + n_pairs + st],
              a3 = a[at.pairs + 2 * n_pairs + st];
      for (int c = 1; c < 4; c++) {
        const X left = pt[c] * a1, right = ps[c] * a1;
        add(ds[c], left);
        add(dt[c], right);
      }
      for (int c = 0; c < 6; c++) {
        const X w = scaled(a2, M2[c]);
        const X left = pt[4 + c] * w, right = ps[4 + c] * w;
        add(ds[4 + c], left);
        add(dt[4 + c], right);
      }
      for (int c = 0; c < 10; c++) {
        const X w = scaled(a3, M3[c]);
        const X left = pt[10 + c] * w, right = ps[10 + c] * w;
        add(ds[10 + c], left);
        add(dt[10 + c], right);
      }

      X j222[6], j112[6], j332[6], d222[6], d112[6], d332[6];
      for (int c = 0; c < 6; c++) {
        set_zero(d222[c]);
        set_zero(d112[c]);
        set_zero(d332[c]);
      }
      join(ps, pt, j222, j112, j332);
      for (int u = 0; u < n; u++, st_u++) {
        const X *pu = psi + u * N_COMPONENTS;
        X *du = d + u * N_COMPONENTS;
        const X b1 = a[at.triples112 + st_u], b3 = a[at.triples332 + st_u];
        X b2;
        set_zero(b2);
        if (u >= t) b2 = a[at.triples222 + stu++];
        for (int c = 0; c < 6; c++) {
          const X weighted = scaled(pu[4 + c], M2[c]);
          add(d222[c], weighted * b2);
          add(d112[c], weighted * b1);
          add(d332[c], weighted * b3);
          X joined = j222[c] * b2 + j112[c] * b1;
          add(joined, j332[c] * b3);
          add(du[4 + c], scaled(joined, M2[c]));
        }
      }
      join_vjp(ps, pt, d222, d112, d332, ds, dt);
    }
  }

  int k = at.triples321;
  for (int s = 0; s < n; s++)
    for (int t = 0; t < n; t++) {
      const X *ps = psi + s * N_COMPONENTS, *pt = psi + t * N_COMPONENTS;
      X *ds = d + s * N_COMPONENTS, *dt = d + t * N_COMPONENTS;
      X joined[3], d_joined[3];
      for (int c = 0; c < 3; c++) {
        set_zero(d_joined[c]);
        joined[c] = ps[I3[0][c]] * pt[4];
        for (int ab = 1; ab < 6; ab++) add(joined[c], scaled(ps[I3[ab][c]] * pt[4 + ab], M2[ab]));
      }
      for (int u = 0; u < n; u++, k++) {
        const X *pu = psi + u * N_COMPONENTS;
        X *du = d + u * N_COMPONENTS;
        for (int c = 0; c < 3; c++) {
          add(d_joined[c], pu[1 + c] * a[k]);
          add(du[1 + c], joined[c] * a[k]);
        }
      }
      for (int c = 0; c < 3; c++)
        for (int ab = 0; ab < 6; ab++) {
          const X w = scaled(d_joined[c], M2[ab]);
          add(ds[I3[ab][c]], w * pt[4 + ab]);
          add(dt[4 + ab], w * ps[I3[ab][c]]);
        }
    }
}

}    // namespace
}    // namespace UBIAS_ISA
}    // namespace gaussian_moments

#endif
