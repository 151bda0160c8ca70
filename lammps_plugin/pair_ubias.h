/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only */

#ifndef LMP_PAIR_UBIAS_H
#define LMP_PAIR_UBIAS_H

#include "pair.h"
#include "lammps_graph.h"
#include "ubias_model.h"

#include <string>
#include <vector>

namespace LAMMPS_NS {

class PairUbias : public Pair {
 public:
  PairUbias(class LAMMPS *);
  ~PairUbias() override;
  void compute(int, int) override;
  void settings(int, char **) override;
  void coeff(int, char **) override;
  void init_style() override;
  double init_one(int, int) override;
  void *extract(const char *, int &) override;
  void *extract_peratom(const char *, int &) override;
  double memory_usage() override;

  // fix ubias sets bias_uncertainty, and reads the members below it after compute()

  enum { NONE, TOTAL, ATOMIC };
  int bias_uncertainty;    // the uncertainty whose gradient is computed on every step, or NONE

  double uncertainty;                       // u of the whole system, LAMMPS units
  double **uncertainty_gradient;            // du/dx of owned and ghost atoms, not yet folded
  double energy_strain_gradient[6];         // dE/d(strain), this rank: xx yy zz xy xz yz
  double uncertainty_strain_gradient[6];    // du/d(strain), this rank
  std::string gradient_failure;             // why the gradients of this rank failed, or empty

  void stop_together(const std::string &message);
  const char *element_of_type(int itype) const;

 protected:
  std::string device;
  int n_threads;
  UbiasModel *model;
  LammpsGraph graph;
  double energy_unit;    // LAMMPS energy units per eV

  int uncertainty_flag;    // set by fix pair on the steps on which it reads u_i
  double *atomic_uncertainty;
  int nmax;

  // the sums over atoms of one step: FEATURES is the first of the features, if they are wanted

  enum { FAILED, CENTERS, ATOMIC_UNCERTAINTY, FEATURES };
  std::vector<double> local_sums, global_sums;

  void allocate();
  void load_model(const std::string &path);
  void log_model(const std::string &path);
  void check_masses();
  void check_box();
  void check_exclusions();
  std::string mass_warning;    // the last one, which is not repeated
  void grow_atom_arrays();
  void check_energies();
  void check_forces();
  void sum_features();
  void sum_atomic_uncertainties();
  void reduce(const std::string &message);
  void compute_total_uncertainty();
  void compute_uncertainty_gradient();
  void tally_uncertainty_gradient(const double *gradient, double scale);
  void tally_energy_and_forces();
  static void strain_gradient(const double *r, const double *g, double *v);
};

}    // namespace LAMMPS_NS

#endif
