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
  // squared norms of one step, over the atoms of the group on all ranks

  struct Norms {
    double force2, gradient2, weighted2, stress2, stress_bias2;
  };

  class PairUbias *pair;
  double tau, tau_stress;
  double max_force, max_stress;    // caps, force and pressure units; infinite by default
  double max_rate;                 // cap, 1/time units; infinite by default
  int window;
  int uncertainty_kind;
  std::map<std::string, double> weight_of_element;
  std::vector<double> weight_of_type;

  double rho_force, rho_stress;    // re-scaling factors of this step
  std::deque<Norms> history;       // the last completed steps, at most `window` of them
  Norms latest;                    // the step evaluated last; the next step completes it
  bigint latest_step;              // its number, or -1 before the first step

  StrainRate cell;

  void read_keywords(int, char **);
  bool pair_is_there() const;
  void check_fix_order();
  void follow_cell();
  void complete_latest_step();
  void rescale();
  Norms norms_of_step() const;
  Norms window_norms() const;
  void add_bias_forces();
  double stress_scale() const;
};

}    // namespace LAMMPS_NS

#endif
