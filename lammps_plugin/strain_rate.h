/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   The strain rate of a cell: the Frobenius norm of (L + L^T)/2 with L = (dh/dt) h^-1 and h the
   edge vectors (xx, yy, zz, yz, xz, xy).
*/

#ifndef LMP_UBIAS_STRAIN_RATE_H
#define LMP_UBIAS_STRAIN_RATE_H

#include "lmptype.h"

namespace LAMMPS_NS {

struct StrainRate {
  double h[6] = {};     // at the latest step
  double rate = 0.0;    // from the step before to that one, 1/time units
  bigint step = -1;     // the latest step, or -1 before the first

  // The next step of a trajectory. A step that is evaluated again keeps its rate.

  void follow(const double *cell, bigint now, double dt);

  // A cell that does not follow the one before in time, as in a minimization.

  void start_from(const double *cell, bigint now);
};

}    // namespace LAMMPS_NS

#endif
