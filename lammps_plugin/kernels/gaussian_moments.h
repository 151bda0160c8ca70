/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   Gaussian-moment invariants on the CPU, with the derivatives that dynamics and training need.
   The equations are those of GaussianMoments in pyubias/model/descriptor.py, which evaluates them
   in plain PyTorch.

   With a and b cotangents of the invariants G(r, beta), and t a tangent of the edge vectors r:

     invariants()          G and the moments Psi
     vjp()                 dr = a.dG/dr and dbeta = a.dG/dbeta
     jvp()                 dG/dr.t and dPsi/dr.t
     embedding_gradient()  dbeta = d(a.dG/dr.t + b.G)/dbeta

   The gradient of a loss of forces by the parameters comes down to embedding_gradient().
   Every function works on a range of atoms, so that threads can share the work.
*/

#ifndef UBIAS_GAUSSIAN_MOMENTS_H
#define UBIAS_GAUSSIAN_MOMENTS_H

#include <cstdint>

namespace gaussian_moments {

// The operator torch.ops.pyubias.constants returns these four, and pyubias/model/ops.py compares
// them with its own.

constexpr double R_MIN = 0.5;    // Angstrom, center of the first radial Gaussian
constexpr int MAX_RADIAL = 16;
constexpr int MAX_LAYERS = 8;
constexpr int SKETCH_GROUPS = 8;

constexpr int N_COMPONENTS = 20;    // 1 + 3 + 6 + 10 unique components of Psi_0 ... Psi_3

// radial functions are stored in groups of 8 or 16 numbers, the last ones zero

static inline int padded_radial(int n_radial)
{
  return n_radial <= 8 ? 8 : 16;
}

// Invariants, their tangents and cotangents are stored by row: that of atom i in row k is number
// k padded_atoms(n_local) + i. The kernels write and read whole registers: what they find in
// or leave between n_local and padded_atoms(n_local) has no meaning.

static inline int64_t padded_atoms(int64_t n_local)
{
  return (n_local + 15) / 16 * 16;
}

static inline int n_invariants(int n)
{
  return n + (3 + 2 * n) * n * (n + 1) / 2 + n * (n + 1) * (n + 2) / 6 + n * n * n;
}

template <typename T> struct Problem {
  int n_elements, n_radial, n_basis;
  double cutoff;
  int64_t n_local;
  const int64_t *first_edge;    // (n_local + 1): edges of atom i are edge[first_edge[i]] ...
  const int64_t *edge;          // (n_edges): positions in the arrays below; null: in their order
  const T *vectors;             // (n_edges, 3)
  const int64_t *neighbors;     // (n_edges)
  const int64_t *types;         // (n_all)
  const T *beta;                // (n_elements, n_elements, n_radial, n_basis)

  int64_t position(int64_t k) const { return edge ? edge[k] : k; }
};

// A network on top of the invariants, with the matrices M_l, N_l and U_0 of layers.h

template <typename T> struct Network {
  int n_layers;
  int width[MAX_LAYERS + 1];        // d_0 ... d_L = 1
  int n_sketches;                   // a multiple of SKETCH_GROUPS; 0: last-layer features
  const T *M[MAX_LAYERS];           // (d_l + 1, d_{l+1} + n_sketches), but M_0 (d_0 + 1, d_1)
  const T *N[MAX_LAYERS];           // (d_{l+1}, d_l + n_sketches)
  const T *U0;                      // (d_0 + SKETCH_GROUPS, n_sketches / SKETCH_GROUPS)
  T gain, bias_scale, ntk_scale;    // ntk_scale: 1/sqrt(d_{L-1})
  int columns_of_M(int l) const { return width[l + 1] + (l > 0 ? n_sketches : 0); }
  int columns_of_N(int l) const { return width[l] + n_sketches; }
  int n_features() const { return n_sketches > 0 ? n_sketches : width[n_layers - 1] + 1; }
};

// One set of functions for each instruction set; functions() returns the widest set that this
// processor can run.

template <typename T> struct Functions {
  void (*invariants)(const Problem<T> &, int64_t begin, int64_t end, T *moments, T *invariants);
  void (*vjp)(const Problem<T> &, int64_t begin, int64_t end, const T *moments, const T *cotangents,
              T *d_vectors, T *d_beta);
  void (*jvp)(const Problem<T> &, int64_t begin, int64_t end, const T *moments, const T *tangents,
              T *moment_tangents, T *invariant_tangents);
  void (*embedding_gradient)(const Problem<T> &, int64_t begin, int64_t end, const T *moments,
                             const T *moment_tangents, const T *tangents, const T *a, const T *b,
                             T *d_beta);

  // A potential: outputs z (n_local) and, if wanted, features (n_local, p), which carry the factor
  // scale[i] = dE_i/dz_i. Ranges of atoms begin at multiples of block_of_atoms().

  int (*block_of_atoms)();
  int64_t (*state_size)(int64_t n_local, int n_radial, const Network<T> &, bool with_features);
  void (*evaluate)(const Problem<T> &, const Network<T> &, int64_t begin, int64_t end,
                   const T *scale, T *state, T *outputs, T *features);

  // From the state of evaluate(): the gradients by the edge vectors of sum_i a_i z_i and of
  // sum_i b_i . features_i, each if wanted. b_i begins at b + i b_stride; stride 0: one b for all.

  void (*gradients)(const Problem<T> &, const Network<T> &, int64_t begin, int64_t end,
                    const T *scale, const T *state, bool with_features, const T *a, const T *b,
                    int64_t b_stride, T *of_outputs, T *of_features);
};

template <typename T> const Functions<T> &functions();

const char *instruction_set();

}    // namespace gaussian_moments

#endif
