/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   A potential that meets the model contract (pyubias/contract.py), as LAMMPS styles use it.

   The styles include this header, which does not need torch. The implementation is a library of
   its own, opened when the first model is read, so that LAMMPS runs without a model never load
   torch.

   Units are eV and Angstrom, whatever the LAMMPS units are.
   Every member function may throw std::runtime_error with a one-line message.
*/

#ifndef UBIAS_MODEL_H
#define UBIAS_MODEL_H

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace LAMMPS_NS {

// the atoms and directed edges of one rank: r_e = r_j - r_i, center i -> neighbor j

struct UbiasGraph {
  std::vector<double> edge_vectors;    // (n_edges, 3)
  std::vector<int64_t> edge_index;     // (2, n_edges): all centers, then all neighbors
  std::vector<int64_t> types;          // (n_all): positions in the model's list of elements
  int64_t n_edges = 0;
  int64_t n_local = 0;    // atoms 0 ... n_local-1 are those of this rank
  int64_t n_all = 0;
};

// Text of the same layout in both libraries: a LAMMPS from before 2025 and the styles for it may
// use the std::string of before C++11, which torch does not.

class UbiasText {
 public:
  UbiasText(const std::string &text = "") : characters(text.begin(), text.end())
  {
    characters.push_back('\0');
  }
  operator std::string() const { return c_str(); }
  const char *c_str() const { return characters.data(); }

 private:
  std::vector<char> characters;
};

struct UbiasMetadata {
  int contract_version;
  std::vector<UbiasText> elements;    // in type order
  double cutoff;
  int n_features;
  int hops;    // E_i and phi_i depend on edges whose center is fewer than this many hops from i
  double alpha, total_factor, atomic_factor;    // nan where the file has none
  double total_attainable,
      atomic_attainable;    // coverages that the calibration guarantees, or nan
  UbiasText dtype, uncertainty, model_hash, training_hash, torch_version;
  bool has_checksum;
};

class UbiasModel {
 public:
  virtual ~UbiasModel() = default;

  virtual const UbiasMetadata &metadata() const = 0;

  // Run the model. The getters below refer to this graph. Pass true for keep_features if a getter
  // of features or uncertainties follows.

  virtual void forward(const UbiasGraph &graph, bool keep_features) = 0;

  // energies (n_local) and d(sum of energies)/d(edge vectors) (n_edges, 3). If the gradient of an
  // uncertainty is needed too, get that one first: both may come from one pass.

  virtual const double *energies() const = 0;
  virtual const double *energy_gradient() = 0;

  // sum of the features of this rank's centers (n_features)

  virtual const double *feature_sum() = 0;

  // u_i of this rank's centers (n_local)

  virtual const double *atomic_uncertainty() = 0;

  // u of the whole system from the feature sum of all ranks

  virtual double total_uncertainty(const double *feature_sum, int64_t n_atoms) = 0;

  // du/d(edge vectors) (n_edges, 3), of the last result of total_uncertainty() or of the sum of
  // this rank's u_i

  virtual const double *total_uncertainty_gradient() = 0;
  virtual const double *atomic_uncertainty_gradient() = 0;
};

// device is "cpu", "cuda:N" or "cuda". With "cuda", rank k on a node takes GPU k modulo the number
// of GPUs. n_threads holds for the whole process.

using UbiasModelLoader = UbiasModel *(const char *path, const char *device, int node_rank,
                                      int n_threads);

}    // namespace LAMMPS_NS

// the only symbol that libubias_model.so exports

extern "C" LAMMPS_NS::UbiasModelLoader ubias_load_model;

#endif
