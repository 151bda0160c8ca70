/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   Gaussian-moment invariants on the CPU, with the derivatives that dynamics and training need.
   The equations are those of GaussianMoments in pyubias/potential.py, where the same is written
   in plain PyTorch.

   With a and b cotangents of the invariants G(r, beta), and t a tangent of the edge vectors r:

     invariants()        G and the moments Psi
     pull_back()         dr = a.dG/dr and dbeta = a.dG/dbeta
     push_forward()      dG/dr.t and dPsi/dr.t
     pull_back_tangent() dbeta = d(a.dG/dr.t + b.G)/dbeta

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
  const int64_t *edge;          // (n_edges): positions in the arrays below; null: as they come
  const T *vectors;             // (n_edges, 3)
  const int64_t *neighbours;    // (n_edges)
  const int64_t *types;         // (n_all)
  const T *beta;                // (n_elements, n_elements, n_radial, n_basis)

  int64_t position(int64_t k) const { return edge ? edge[k] : k; }
};

// A network on top, prepared as layers.h says: layers l = 0 ... n_layers - 1

constexpr int MAX_LAYERS = 8;
constexpr int GROUPS = 8;    // of the sketch of the invariants, as in pyubias/uncertainty.py

template <typename T> struct Network {
  int n_layers;
  int width[MAX_LAYERS + 1];             // d_0 ... d_L = 1
  int n_sketches;                        // a multiple of GROUPS; 0: last-layer features
  const T *first_sketch;                 // U_0 (d_0 + GROUPS, n_sketches / GROUPS)
  const T *inputs[MAX_LAYERS];           // M_l (d_l + 1, d_{l+1} + n_sketches), M_0 without U_0
  const T *sensitivities[MAX_LAYERS];    // N_l (d_{l+1}, d_l + n_sketches)
  T gain, bias_scale, last_scale;        // last_scale: 1/sqrt(d_{L-1})
  int columns_of_inputs(int l) const { return width[l + 1] + (l > 0 ? n_sketches : 0); }
  int n_features() const { return n_sketches > 0 ? n_sketches : width[n_layers - 1] + 1; }
};

// One set of functions for each instruction set; the widest that this processor has is chosen.

template <typename T> struct Functions {
  void (*invariants)(const Problem<T> &, int64_t begin, int64_t end, T *moments, T *invariants);
  void (*pull_back)(const Problem<T> &, int64_t begin, int64_t end, const T *moments,
                    const T *cotangents, T *d_vectors, T *d_beta);
  void (*push_forward)(const Problem<T> &, int64_t begin, int64_t end, const T *moments,
                       const T *tangents, T *moment_tangents, T *invariant_tangents);
  void (*pull_back_tangent)(const Problem<T> &, int64_t begin, int64_t end, const T *moments,
                            const T *moment_tangents, const T *tangents, const T *a, const T *b,
                            T *d_beta);

  // A potential: outputs z (n_local) and features (n_local, p) times the unit of each atom, if
  // wanted. Ranges of atoms begin at multiples of block_of_atoms().

  int (*block_of_atoms)();
  int64_t (*state_size)(int64_t n_local, int n_radial, const Network<T> &, bool with_features);
  void (*evaluate)(const Problem<T> &, const Network<T> &, int64_t begin, int64_t end,
                   const T *unit, T *state, T *outputs, T *features);

  // From what evaluate() left: the gradients by the edge vectors of sum_i a_i z_i and of
  // sum_i b_i . features_i, each if wanted. Rows of b lie `b_stride` numbers apart.

  void (*gradients)(const Problem<T> &, const Network<T> &, int64_t begin, int64_t end,
                    const T *unit, const T *state, bool with_features, const T *a, const T *b,
                    int64_t b_stride, T *of_outputs, T *of_features);
};

template <typename T> const Functions<T> &functions();

const char *instruction_set();

}    // namespace gaussian_moments

#endif
