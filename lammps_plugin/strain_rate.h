/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   How fast a cell strains: the Frobenius norm of (L + L^T)/2 with L = (dh/dt) h^-1, h the edge
   vectors (xx, yy, zz, yz, xz, xy).
*/

#ifndef LMP_UBIAS_STRAIN_RATE_H
#define LMP_UBIAS_STRAIN_RATE_H

#include "lmptype.h"

namespace LAMMPS_NS {

struct StrainRate {
  double h[6] = {};     // on the latest step
  double rate = 0.0;    // from the step before to that one, 1/time units
  bigint step = -1;     // the latest one, or -1 before the first

  // A step that is seen again keeps its rate.

  void follow(const double *cell, bigint now, double dt);

  // A cell that is not the next one of a trajectory, such as a minimizer's.

  void start_from(const double *cell, bigint now);
};

}    // namespace LAMMPS_NS

#endif
