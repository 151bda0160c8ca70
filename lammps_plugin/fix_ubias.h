/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only */

#ifndef LMP_FIX_UBIAS_H
#define LMP_FIX_UBIAS_H

#include "fix.h"
#include "strain_rate.h"

#include <deque>
#include <map>
#include <string>
#include <vector>

namespace LAMMPS_NS {

class FixUbias : public Fix {
 public:
  FixUbias(class LAMMPS *, int, char **);
  ~FixUbias() override;
  int setmask() override;
  void init() override;
  void setup(int) override;
  void min_setup(int) override;
  void post_force(int) override;
  void min_post_force(int) override;
  int pack_reverse_comm(int, int, double *) override;
  void unpack_reverse_comm(int, int *, double *) override;
  double compute_scalar() override;
  double compute_vector(int) override;
  void write_restart(FILE *) override;
  void restart(char *) override;

 protected:
  // one completed step: squared norms over the atoms of the group and over all ranks

  struct Norms {
    double force2, gradient2, weighted2, stress2, stress_bias2;
  };

  class PairUbias *pair;
  double tau, tau_stress;
  double max_force, max_stress;    // caps, force and pressure units; infinite without
  double max_rate;                 // cap, 1/time units; infinite without
  int window;
  int uncertainty_kind;
  std::map<std::string, double> weight_of_element;
  std::vector<double> weight_of_type;

  double rho_force, rho_stress;    // re-scaling factors of this step
  std::deque<Norms> history;       // the last completed steps, at most `window` of them
  bigint pending_step;             // step whose sums wait for the next collective, or -1 for none
  std::vector<double> restored_sums;    // those sums, read from a restart file

  StrainRate cell;

  void read_keywords(int, char **);
  bool pair_is_there() const;
  void check_fix_order();
  void complete_pending_step();
  void follow_cell();
  void rescale();
  void sum_norms();
  double stress_scale() const;
  Norms norms_of(const double *) const;
  Norms window_norms();
};

}    // namespace LAMMPS_NS

#endif
