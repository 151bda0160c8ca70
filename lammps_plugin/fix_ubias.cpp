/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   fix ubias adds the bias forces w tau rho_F du/dx and the bias stress
   -tau_s rho_s (1/V) du/d(strain). The uncertainty u and its gradients come from
   pair_style ubias.

   rho makes the bias tau times as large as the physical forces, in the root mean square over
   the last `window` completed steps.
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

FixUbias::FixUbias(LAMMPS *lmp, int narg, char **arg) :
    Fix(lmp, narg, arg), pair(nullptr), tau(0.0), tau_stress(0.0), max_force(INFINITY),
    max_stress(INFINITY), max_rate(INFINITY), window(100), uncertainty_kind(PairUbias::TOTAL),
    rho_force(0.0), rho_stress(0.0), latest(), latest_step(-1)
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

void FixUbias::post_force(int vflag)
{
  v_init(vflag);
  comm->reverse_comm(this);
  follow_cell();
  complete_latest_step();
  rescale();
  latest = norms_of_step();
  latest_step = update->ntimestep;

  add_bias_forces();
  if (vflag_global) {
    const double scale = stress_scale();
    for (int a = 0; a < 6; a++) virial[a] = scale * pair->uncertainty_strain_gradient[a];
  }
}

void FixUbias::follow_cell()
{
  if (update->whichflag == 2)
    cell.start_from(domain->h, update->ntimestep);
  else
    cell.follow(domain->h, update->ntimestep, update->dt);
}

// A new run evaluates the last step of the old run again: the step then replaces itself.

void FixUbias::complete_latest_step()
{
  if (latest_step < 0 || latest_step == update->ntimestep) return;
  history.push_back(latest);
  while ((int) history.size() > window) history.pop_front();
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

FixUbias::Norms FixUbias::window_norms() const
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

// Norms of the forces before the bias is added to them. The sum over ranks also counts the ranks
// whose gradients failed, because only such a rank itself holds the message.

FixUbias::Norms FixUbias::norms_of_step() const
{
  // tensors are summed before they are squared

  struct Sums {
    double failed, force2, gradient2, weighted2, stress[6], stress_bias[6];
  };
  Sums local = {}, total;
  local.failed = pair->gradient_failure.empty() ? 0.0 : 1.0;
  for (int i = 0; i < atom->nlocal; i++) {
    if (!(atom->mask[i] & groupbit)) continue;
    const double *f = atom->f[i];
    const double *g = pair->uncertainty_gradient[i];
    const double w = weight_of_type[atom->type[i]];
    const double g2 = g[0] * g[0] + g[1] * g[1] + g[2] * g[2];
    local.force2 += f[0] * f[0] + f[1] * f[1] + f[2] * f[2];
    local.gradient2 += g2;
    local.weighted2 += w * w * g2;
  }
  const double volume = domain->xprd * domain->yprd * domain->zprd;
  for (int a = 0; a < 6; a++) {
    local.stress[a] = pair->energy_strain_gradient[a] / volume;
    local.stress_bias[a] = pair->uncertainty_strain_gradient[a] / volume;
  }

  MPI_Allreduce(&local, &total, sizeof(Sums) / sizeof(double), MPI_DOUBLE, MPI_SUM, world);
  if (total.failed != 0.0) pair->stop_together(pair->gradient_failure);

  auto frobenius2 = [](const double *t) {
    return t[0] * t[0] + t[1] * t[1] + t[2] * t[2] +
        2.0 * (t[3] * t[3] + t[4] * t[4] + t[5] * t[5]);
  };
  return {total.force2, total.gradient2, total.weighted2, frobenius2(total.stress),
          frobenius2(total.stress_bias)};
}

void FixUbias::add_bias_forces()
{
  double **f = atom->f;
  const double scale = tau * rho_force;
  for (int i = 0; i < atom->nlocal; i++) {
    if (!(atom->mask[i] & groupbit)) continue;
    const double *g = pair->uncertainty_gradient[i];
    double w = scale * weight_of_type[atom->type[i]];
    const double size = w * std::sqrt(g[0] * g[0] + g[1] * g[1] + g[2] * g[2]);
    if (size > max_force) w *= max_force / size;
    for (int a = 0; a < 3; a++) f[i][a] += w * g[a];
  }
}

// the factor on du/d(strain) in the virial, after the caps

double FixUbias::stress_scale() const
{
  const double scale = tau_stress * rho_stress;
  const double size = scale * std::sqrt(latest.stress_bias2) * force->nktv2p;
  const double slow = std::max(0.0, 1.0 - cell.rate / max_rate);
  return slow * (size > max_stress ? scale * max_stress / size : scale);
}

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

// bias energy

double FixUbias::compute_scalar()
{
  return pair_is_there() ? -tau * rho_force * pair->uncertainty : 0.0;
}

// u, rho_F, rho_s, root mean squares of force and bias force

double FixUbias::compute_vector(int n)
{
  if (!pair_is_there()) return 0.0;
  if (n == 0) return pair->uncertainty;
  if (n == 1) return rho_force;
  if (n == 2) return rho_stress;

  const Norms sum = window > 0 ? window_norms() : latest;
  const double count = 3.0 * group->count(igroup) * (window > 0 ? history.size() : 1);
  if (count == 0.0) return 0.0;
  if (n == 3) return std::sqrt(sum.force2 / count);
  return tau * rho_force * std::sqrt(sum.weighted2 / count);
}

// The first number of the state in restart files. It is negative because the state of the first
// version, which had no such number, begins with the window.

static constexpr int RESTART_FORMAT = -2;

// The window and the cell go into restart files, so that the continued run is the same run. The
// latest step does not: the continued run evaluates it again.

void FixUbias::write_restart(FILE *fp)
{
  if (comm->me != 0) return;
  std::vector<double> state = {(double) RESTART_FORMAT, (double) window, (double) history.size()};
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
  if (state[0] != RESTART_FORMAT)
    error->all(FLERR,
               "fix ubias: another version of pyubias wrote the restart file; give the fix another "
               "ID to start anew");
  if ((int) state[1] != window)
    error->all(FLERR, "fix ubias: the restart file was written with window {}, this fix has {}",
               (int) state[1], window);
  const int n = (int) state[2];
  const double *step = state + 3;
  history.clear();
  for (int i = 0; i < n; i++, step += 5)
    history.push_back({step[0], step[1], step[2], step[3], step[4]});
  std::copy_n(step, 6, cell.h);
  cell.rate = step[6];
  cell.step = (bigint) step[7];
}
