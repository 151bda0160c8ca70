/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   fix ubias: bias forces w tau rho_F du/dx and a bias stress -tau_s rho_s (1/V) du/d(strain),
   with the uncertainty u and its gradients from pair_style ubias.

   rho makes the bias tau times as large as the physical forces, in the root mean square over
   the last `window` completed steps. Norms of this step enter with the next one: they then
   travel in the collective that the pair style needs anyway, and a step keeps only one.
*/

#include "fix_ubias.h"

#include "pair_ubias.h"

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "force.h"
#include "group.h"
#include "update.h"

#include <algorithm>
#include <cmath>

using namespace LAMMPS_NS;
using namespace FixConst;

/* ---------------------------------------------------------------------- */

FixUbias::FixUbias(LAMMPS *lmp, int narg, char **arg) :
    Fix(lmp, narg, arg), pair(nullptr), tau(0.0), tau_stress(0.0), max_force(INFINITY),
    max_stress(INFINITY), max_rate(INFINITY), window(100), uncertainty_kind(PairUbias::TOTAL),
    rho_force(0.0), rho_stress(0.0), pending_step(-1)
{
  scalar_flag = 1;
  vector_flag = 1;
  size_vector = 5;
  global_freq = 1;
  extscalar = 0;
  extvector = 0;
  energy_global_flag = 1;
  virial_global_flag = 1;
  thermo_virial = 1;
  restart_global = 1;
  comm_reverse = 3;
  dynamic_group_allow = 1;
  read_keywords(narg, arg);
}

FixUbias::~FixUbias()
{
  if (pair_is_there()) pair->bias_uncertainty = PairUbias::NONE;
}

// A new pair_style command may have deleted the one that init() found: look it up by name.

bool FixUbias::pair_is_there() const
{
  return pair && force && force->pair_match("^ubias", 0) == (Pair *) pair;
}

int FixUbias::setmask()
{
  return POST_FORCE | MIN_POST_FORCE;
}

void FixUbias::setup(int vflag)
{
  post_force(vflag);
}

void FixUbias::min_setup(int vflag)
{
  post_force(vflag);
}

void FixUbias::min_post_force(int vflag)
{
  post_force(vflag);
}

/* ---------------------------------------------------------------------- */

void FixUbias::post_force(int vflag)
{
  v_init(vflag);
  comm->reverse_comm(this);
  complete_pending_step();
  follow_cell();
  rescale();
  sum_norms();

  double **f = atom->f;
  double **gradient = pair->uncertainty_gradient;
  const double scale = tau * rho_force;
  for (int i = 0; i < atom->nlocal; i++) {
    if (!(atom->mask[i] & groupbit)) continue;
    const double *g = gradient[i];
    double w = scale * weight_of_type[atom->type[i]];
    const double size = w * std::sqrt(g[0] * g[0] + g[1] * g[1] + g[2] * g[2]);
    if (size > max_force) w *= max_force / size;
    for (int a = 0; a < 3; a++) f[i][a] += w * g[a];
  }

  if (vflag_global) {
    const double factor = stress_scale();
    for (int a = 0; a < 6; a++) virial[a] = factor * pair->uncertainty_strain_gradient[a];
  }
}

// The norm of a sum over ranks is known for the step before: that step decides about the cap.

double FixUbias::stress_scale() const
{
  const double scale = tau_stress * rho_stress;
  const double size = scale * std::sqrt(norms_of(pair->global_sums).stress_bias2) * force->nktv2p;
  const double slow = std::max(0.0, 1.0 - cell.rate / max_rate);
  return slow * (size > max_stress ? scale * max_stress / size : scale);
}

void FixUbias::follow_cell()
{
  if (update->whichflag == 2)
    cell.start_from(domain->h, update->ntimestep);
  else
    cell.follow(domain->h, update->ntimestep, update->dt);
}

// The pair style has summed the norms of the step before over the ranks. A step that is
// evaluated again (a new run starts with the last step of the old one) replaces itself.

void FixUbias::complete_pending_step()
{
  if (pending_step < 0 || pending_step == update->ntimestep) return;
  history.push_back(norms_of(pair->global_sums));
  while ((int) history.size() > window) history.pop_front();
  pending_step = -1;
}

void FixUbias::rescale()
{
  if (window == 0) {
    rho_force = rho_stress = 1.0;
    return;
  }
  rho_force = rho_stress = 0.0;
  if ((int) history.size() < window) return;
  const Norms sum = window_norms();
  if (sum.gradient2 > 0.0) rho_force = std::sqrt(sum.force2 / sum.gradient2);
  if (sum.stress_bias2 > 0.0) rho_stress = std::sqrt(sum.stress2 / sum.stress_bias2);
}

// This rank's part: squares of vectors can be summed over ranks, tensors must be summed first.

void FixUbias::sum_norms()
{
  double *sums = pair->local_sums;
  std::fill_n(sums, (int) PairUbias::NSUMS, 0.0);
  for (int i = 0; i < atom->nlocal; i++) {
    if (!(atom->mask[i] & groupbit)) continue;
    const double *f = atom->f[i];
    const double *g = pair->uncertainty_gradient[i];
    const double w = weight_of_type[atom->type[i]];
    const double g2 = g[0] * g[0] + g[1] * g[1] + g[2] * g[2];
    sums[PairUbias::FORCE2] += f[0] * f[0] + f[1] * f[1] + f[2] * f[2];
    sums[PairUbias::GRADIENT2] += g2;
    sums[PairUbias::WEIGHTED2] += w * w * g2;
  }
  const double volume = domain->xprd * domain->yprd * domain->zprd;
  for (int a = 0; a < 6; a++) {
    sums[PairUbias::STRESS + a] = pair->energy_strain_gradient[a] / volume;
    sums[PairUbias::STRESS_BIAS + a] = pair->uncertainty_strain_gradient[a] / volume;
  }
  if (window > 0) pending_step = update->ntimestep;
}

FixUbias::Norms FixUbias::norms_of(const double *sums) const
{
  auto frobenius2 = [](const double *t) {
    return t[0] * t[0] + t[1] * t[1] + t[2] * t[2] +
        2.0 * (t[3] * t[3] + t[4] * t[4] + t[5] * t[5]);
  };
  return {sums[PairUbias::FORCE2], sums[PairUbias::GRADIENT2], sums[PairUbias::WEIGHTED2],
          frobenius2(&sums[PairUbias::STRESS]), frobenius2(&sums[PairUbias::STRESS_BIAS])};
}

FixUbias::Norms FixUbias::window_norms()
{
  Norms sum = {0.0, 0.0, 0.0, 0.0, 0.0};
  for (const auto &step : history) {
    sum.force2 += step.force2;
    sum.gradient2 += step.gradient2;
    sum.weighted2 += step.weighted2;
    sum.stress2 += step.stress2;
    sum.stress_bias2 += step.stress_bias2;
  }
  return sum;
}

/* ---------------------------------------------------------------------- */

int FixUbias::pack_reverse_comm(int n, int first, double *buf)
{
  int m = 0;
  for (int i = first; i < first + n; i++)
    for (int a = 0; a < 3; a++) buf[m++] = pair->uncertainty_gradient[i][a];
  return m;
}

void FixUbias::unpack_reverse_comm(int n, int *list, double *buf)
{
  int m = 0;
  for (int i = 0; i < n; i++)
    for (int a = 0; a < 3; a++) pair->uncertainty_gradient[list[i]][a] += buf[m++];
}

/* ----------------------------------------------------------------------
   output: bias energy, and u, rho_F, rho_s, rms force, rms bias force
------------------------------------------------------------------------- */

double FixUbias::compute_scalar()
{
  return pair_is_there() ? -tau * rho_force * pair->uncertainty : 0.0;
}

double FixUbias::compute_vector(int n)
{
  if (!pair_is_there()) return 0.0;
  if (n == 0) return pair->uncertainty;
  if (n == 1) return rho_force;
  if (n == 2) return rho_stress;

  // window 0 keeps no history, so that the norms are those of this step

  Norms sum = window_norms();
  double steps = history.size();
  if (window == 0) {
    double total[PairUbias::NSUMS];
    MPI_Allreduce(pair->local_sums, total, PairUbias::NSUMS, MPI_DOUBLE, MPI_SUM, world);
    sum = norms_of(total);
    steps = 1.0;
  }
  const double count = 3.0 * group->count(igroup) * steps;
  if (count == 0.0) return 0.0;
  if (n == 3) return std::sqrt(sum.force2 / count);
  return tau * rho_force * std::sqrt(sum.weighted2 / count);
}

/* ----------------------------------------------------------------------
   the window goes into restart files, so that a continued run is the same run
------------------------------------------------------------------------- */

void FixUbias::write_restart(FILE *fp)
{
  double total[PairUbias::NSUMS] = {};
  if (pending_step >= 0 && pair_is_there())
    MPI_Allreduce(pair->local_sums, total, PairUbias::NSUMS, MPI_DOUBLE, MPI_SUM, world);
  if (comm->me != 0) return;

  std::vector<double> state = {(double) window, (double) pending_step, (double) history.size()};
  state.insert(state.end(), total, total + PairUbias::NSUMS);
  for (const auto &step : history)
    state.insert(state.end(),
                 {step.force2, step.gradient2, step.weighted2, step.stress2, step.stress_bias2});
  state.insert(state.end(), cell.h, cell.h + 6);
  state.insert(state.end(), {cell.rate, (double) cell.step});
  const int size = state.size() * sizeof(double);
  fwrite(&size, sizeof(int), 1, fp);
  fwrite(state.data(), sizeof(double), state.size(), fp);
}

void FixUbias::restart(char *buf)
{
  const auto *state = (const double *) buf;
  if ((int) state[0] != window)
    error->all(FLERR, "fix ubias: the restart file was written with window {}, this fix has {}",
               (int) state[0], window);
  pending_step = (bigint) state[1];
  const int n = (int) state[2];
  restored_sums.assign(state + 3, state + 3 + PairUbias::NSUMS);
  const double *step = state + 3 + PairUbias::NSUMS;
  history.clear();
  for (int i = 0; i < n; i++, step += 5)
    history.push_back({step[0], step[1], step[2], step[3], step[4]});
  std::copy_n(step, 6, cell.h);
  cell.rate = step[6];
  cell.step = (bigint) step[7];
}
