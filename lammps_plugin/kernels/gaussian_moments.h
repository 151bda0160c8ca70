/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   Gaussian-moment invariants on the CPU, with the derivatives that dynamics and training need.
   The equations are those of GaussianMoments in pyubias/potential.py, where the same is written
   in plain PyTorch.

   With a a cotangent of the invariants G(r, beta), and t a tangent of the edge vectors r:

     invariants()   G and the moments Psi
     pull_back()    dr = a.dG/dr and dbeta = a.dG/dbeta
     push_forward() dG = dG/dr.t and dbeta = d(a.dG/dr.t)/dbeta

   The last one is what the gradient of a loss of forces by the parameters comes down to.
   Every function works on a range of atoms, so that threads can share the work.
*/

#ifndef UBIAS_GAUSSIAN_MOMENTS_H
#define UBIAS_GAUSSIAN_MOMENTS_H

#include <cstdint>

namespace gaussian_moments {

constexpr int MAX_RADIAL = 16;
constexpr int N_COMPONENTS = 20;    // 1 + 3 + 6 + 10 unique components of Psi_0 ... Psi_3

// radial functions are stored in rows of 8 or 16, the last ones zero

static inline int padded_radial(int n_radial)
{
  return n_radial <= 8 ? 8 : 16;
}

static inline int n_invariants(int n)
{
  return n + (3 + 2 * n) * n * (n + 1) / 2 + n * (n + 1) * (n + 2) / 6 + n * n * n;
}

template <typename T> struct Problem {
  int n_elements, n_radial, n_basis;
  double cutoff, r_min;
  int64_t n_local;
  const int64_t *first_edge;    // (n_local + 1): edges of atom i are edge[first_edge[i]] ...
  const int64_t *edge;          // (n_edges): positions in the arrays below
  const T *vectors;             // (n_edges, 3)
  const int64_t *neighbours;    // (n_edges)
  const int64_t *types;         // (n_all)
  const T *beta;                // (n_elements, n_elements, n_radial, n_basis)
};

// One set of functions for each instruction set; the widest that this processor has is chosen.

template <typename T> struct Functions {
  void (*invariants)(const Problem<T> &, int64_t begin, int64_t end, T *moments, T *invariants);
  void (*pull_back)(const Problem<T> &, int64_t begin, int64_t end, const T *moments,
                    const T *cotangents, T *d_vectors, T *d_beta);
  void (*push_forward)(const Problem<T> &, int64_t begin, int64_t end, const T *moments,
                       const T *cotangents, const T *tangents, T *d_invariants, T *d_beta);
};

template <typename T> const Functions<T> &functions();

const char *instruction_set();

}    // namespace gaussian_moments

#endif
