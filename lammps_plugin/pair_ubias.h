/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only */

#ifndef LMP_PAIR_UBIAS_H
#define LMP_PAIR_UBIAS_H

#include "pair.h"
#include "lammps_graph.h"
#include "ubias_model.h"

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
  void finish() override;
  double memory_usage() override;

  // what fix ubias asks for, and what it finds after compute()

  enum { NONE, TOTAL, ATOMIC };
  int bias_uncertainty;    // whose gradient is wanted on every step, or NONE
  enum { FORCE2, GRADIENT2, WEIGHTED2, STRESS, STRESS_BIAS = STRESS + 6, NSUMS = STRESS_BIAS + 6 };
  double local_sums[NSUMS];     // set by the fix, summed over ranks with the next feature sum
  double global_sums[NSUMS];    // the result

  double uncertainty;                       // u of the whole system, LAMMPS units
  bigint n_centres;                         // atoms that belong to the model, all ranks
  double **uncertainty_gradient;            // du/dx of owned and ghost atoms, not yet folded
  double energy_strain_gradient[6];         // dE/d(strain), this rank: xx yy zz xy xz yz
  double uncertainty_strain_gradient[6];    // du/d(strain), this rank

  const char *element_of_type(int itype) const;

 protected:
  std::string device;
  int n_threads;
  UbiasModel *model;
  LammpsGraph graph;
  std::string failure;    // of this rank's gradients, until the next collective
  double energy_unit;     // LAMMPS energy units per eV

  int uncertainty_flag;    // raised by fix pair on the steps on which it reads u_i
  double *atomic_uncertainty;
  int nmax;
  std::vector<double> send_buffer, recv_buffer;

  void allocate();
  void load_model(const std::string &path);
  void log_model(const std::string &path);
  void grow_atom_arrays();
  void check_energies();
  void check_forces();
  void give_up_gradients(const std::string &);
  void tally_energy_and_forces();
  void compute_uncertainty(bool want_total, bool want_atomic, std::string message);
  void tally_uncertainty_gradient(const double *gradient, double scale);
  void stop_together(const std::string &message);
  static void strain_gradient(const double *r, const double *g, double *v);
};

}    // namespace LAMMPS_NS

#endif
