/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only */

#include "strain_rate.h"

#include <algorithm>
#include <cmath>

using namespace LAMMPS_NS;

namespace {

// Frobenius norm of the strain between two upper triangular cells (xx, yy, zz, yz, xz, xy). Flips
// of the cell, which add edge vectors to others, are undone first, because they do not strain it.

double strain_of(const double *before, const double *now)
{
  double to[6];
  std::copy_n(now, 6, to);
  const double b = std::round((to[3] - before[3]) / to[1]);
  to[3] -= b * to[1];
  to[4] -= b * to[5];
  to[4] -= std::round((to[4] - before[4]) / to[0]) * to[0];
  to[5] -= std::round((to[5] - before[5]) / to[0]) * to[0];

  double d[6];
  for (int a = 0; a < 6; a++) d[a] = to[a] - before[a];
  const double xx = d[0] / to[0], yy = d[1] / to[1], zz = d[2] / to[2];
  const double xy = (d[5] - xx * to[5]) / to[1];
  const double yz = (d[3] - yy * to[3]) / to[2];
  const double xz = (d[4] - xx * to[4] - xy * to[3]) / to[2];
  return std::sqrt(xx * xx + yy * yy + zz * zz + 0.5 * (yz * yz + xz * xz + xy * xy));
}

}    // namespace

void StrainRate::follow(const double *cell, bigint now, double dt)
{
  if (now == step) {
    std::copy_n(cell, 6, h);    // a new run may begin with another cell
    return;
  }
  const double strain = step >= 0 && now > step ? strain_of(h, cell) : 0.0;
  const double time = (now - step) * dt;
  start_from(cell, now);
  rate = strain / time;
}

void StrainRate::start_from(const double *cell, bigint now)
{
  std::copy_n(cell, 6, h);
  rate = 0.0;
  step = now;
}
