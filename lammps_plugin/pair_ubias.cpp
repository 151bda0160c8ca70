/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   pair_style ubias computes energies, forces and virial of a TorchScript potential, and the
   uncertainty of its prediction. Equations and signs are those of lammps_plugin/README.md;
   pair_ubias_setup.cpp prepares the first step.
*/

#include "pair_ubias.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "update.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>

using namespace LAMMPS_NS;

PairUbias::PairUbias(LAMMPS *lmp) :
    Pair(lmp), bias_uncertainty(NONE), uncertainty(0.0), uncertainty_gradient(nullptr),
    device("cpu"), n_threads(1), model(nullptr), energy_unit(1.0), uncertainty_flag(0),
    atomic_uncertainty(nullptr), nmax(0), first_graph(true)
{
  single_enable = 0;
  restartinfo = 0;
  one_coeff = 1;
  manybody_flag = 1;
  no_virial_fdotr_compute = 1;
  unit_convert_flag = utils::get_supported_conversions(utils::ENERGY);
  centroidstressflag = CENTROID_AVAIL;

  nextra = 1;
  pvector = new double[nextra];
  pvector[0] = 0.0;

  std::fill_n(energy_strain_gradient, 6, 0.0);
  std::fill_n(uncertainty_strain_gradient, 6, 0.0);
  grow_atom_arrays();
}

PairUbias::~PairUbias()
{
  delete model;
  delete[] pvector;
  memory->destroy(uncertainty_gradient);
  memory->destroy(atomic_uncertainty);
  if (allocated) {
    memory->destroy(setflag);
    memory->destroy(cutsq);
  }
}

void PairUbias::compute(int eflag, int vflag)
{
  ev_init(eflag, vflag);
  if (atom->nmax > nmax) grow_atom_arrays();
  if (neighbor->ago == 0) {
    check_box();
    graph->rebuild(*list, *atom, map);
  }
  graph->pack_edges(atom->x, model->metadata().cutoff);
  if (first_graph) warn_of_halo();

  const bool want_total = bias_uncertainty == TOTAL || eflag_global;
  const bool want_atomic = bias_uncertainty == ATOMIC || uncertainty_flag;
  local_sums.assign(FEATURES + (want_total ? model->metadata().n_features : 0), 0.0);

  gradient_failure.clear();
  std::string message;
  try {
    if (neighbor->ago == 0) check_exclusions();
    model->forward(*graph, want_total || want_atomic);
    check_energies();
    if (bias_uncertainty == NONE) check_forces();
    if (want_total) sum_features();
    if (want_atomic) sum_atomic_uncertainties();
  } catch (const std::exception &e) {
    message = e.what();
  }
  reduce(message);

  uncertainty = 0.0;
  if (want_total) compute_total_uncertainty();
  if (bias_uncertainty != NONE) compute_uncertainty_gradient();
  tally_energy_and_forces();
}

// Ranks compute the edges around atoms of other ranks again. That costs more than it saves where
// the cells of the ranks are small beside the reach of the model.

void PairUbias::warn_of_halo()
{
  first_graph = false;
  double mine[2] = {(double) graph->n_edges, (double) graph->n_local_edges()}, sum[2];
  MPI_Allreduce(mine, sum, 2, MPI_DOUBLE, MPI_SUM, world);
  if (comm->me == 0 && sum[0] > 1.75 * sum[1])
    error->warning(
        FLERR,
        "pair_style ubias: the {} ranks compute {:.1f} times as many edges as one rank "
        "would, because the model reaches {} cutoffs far; use fewer ranks for each system",
        comm->nprocs, sum[0] / sum[1], model->metadata().hops);
}

void PairUbias::check_energies()
{
  const double *energies = model->energies();
  for (int64_t k = 0; k < graph->n_local; k++)
    if (!std::isfinite(energies[k]))
      throw std::runtime_error(fmt::format("energy of atom {} is {} at step {}",
                                           atom->tag[graph->lammps_index[k]], energies[k],
                                           update->ntimestep));
}

void PairUbias::check_forces()
{
  const double *g = model->energy_gradient();
  for (int64_t k = 0; k < 3 * graph->n_edges; k++)
    if (!std::isfinite(g[k]))
      throw std::runtime_error(fmt::format("force on atom {} is {} at step {}",
                                           atom->tag[graph->edge_center[k / 3]], g[k],
                                           update->ntimestep));
}

// F_i += g_e, F_j -= g_e with g_e = dE/dr_e, and the virial -r_e x g_e per edge

void PairUbias::tally_energy_and_forces()
{
  double **f = atom->f;
  const double *energies = model->energies();
  const double *gradient = graph->n_edges > 0 ? model->energy_gradient() : nullptr;

  for (int64_t k = 0; k < graph->n_local; k++) {
    const double energy = energies[k] * energy_unit;
    if (eflag_global) eng_vdwl += energy;
    if (eflag_atom) eatom[graph->lammps_index[k]] += energy;
  }

  std::fill_n(energy_strain_gradient, 6, 0.0);
  for (int64_t e = 0; e < graph->n_edges; e++) {
    const int i = graph->edge_center[e], j = graph->edge_neighbor[e];
    const double *r = &graph->edge_vectors[3 * e];
    const double g[3] = {gradient[3 * e] * energy_unit, gradient[3 * e + 1] * energy_unit,
                         gradient[3 * e + 2] * energy_unit};
    for (int a = 0; a < 3; a++) {
      f[i][a] += g[a];
      f[j][a] -= g[a];
    }

    double v[6];
    strain_gradient(r, g, v);
    for (int a = 0; a < 6; a++) energy_strain_gradient[a] += v[a];
    if (vflag_atom)
      for (int a = 0; a < 6; a++) {
        vatom[i][a] -= 0.5 * v[a];
        vatom[j][a] -= 0.5 * v[a];
      }

    // the force -g on j comes from the energy of i, at distance r from i

    if (cvflag_atom) {
      const int first[9] = {0, 1, 2, 0, 0, 1, 1, 2, 2}, second[9] = {0, 1, 2, 1, 2, 2, 0, 0, 1};
      for (int a = 0; a < 9; a++) cvatom[j][a] -= r[first[a]] * g[second[a]];
    }
  }
  if (vflag_global)
    for (int a = 0; a < 6; a++) virial[a] -= energy_strain_gradient[a];
}

// symmetrized r x g in the order xx yy zz xy xz yz

void PairUbias::strain_gradient(const double *r, const double *g, double *v)
{
  v[0] = r[0] * g[0];
  v[1] = r[1] * g[1];
  v[2] = r[2] * g[2];
  v[3] = 0.5 * (r[0] * g[1] + r[1] * g[0]);
  v[4] = 0.5 * (r[0] * g[2] + r[2] * g[0]);
  v[5] = 0.5 * (r[1] * g[2] + r[2] * g[1]);
}

void PairUbias::sum_features()
{
  std::copy_n(model->feature_sum(), model->metadata().n_features, &local_sums[FEATURES]);
}

void PairUbias::sum_atomic_uncertainties()
{
  const double *u = model->atomic_uncertainty();
  std::fill_n(atomic_uncertainty, atom->nlocal, 0.0);
  for (int64_t k = 0; k < graph->n_local; k++) {
    if (!std::isfinite(u[k]))
      throw std::runtime_error(fmt::format("uncertainty of atom {} is {} at step {}",
                                           atom->tag[graph->lammps_index[k]], u[k],
                                           update->ntimestep));
    atomic_uncertainty[graph->lammps_index[k]] = u[k] * energy_unit;
    local_sums[ATOMIC_UNCERTAINTY] += u[k];
  }
}

// The only collective of this style in a step. Every rank calls it, also one whose model failed:
// the sum counts the ranks that have an error message, and one of them ends the run.

void PairUbias::reduce(const std::string &message)
{
  local_sums[FAILED] = message.empty() ? 0.0 : 1.0;
  local_sums[CENTERS] = graph->n_local;
  global_sums.resize(local_sums.size());
  MPI_Allreduce(local_sums.data(), global_sums.data(), local_sums.size(), MPI_DOUBLE, MPI_SUM,
                world);
  if (global_sums[FAILED] != 0.0) stop_together(message);
}

// The total uncertainty is a function of the feature sum of all atoms. All ranks hold the same
// sum, so they compute the same u, and fail together.

void PairUbias::compute_total_uncertainty()
{
  const int64_t n_centers = global_sums[CENTERS];
  try {
    if (n_centers > 0)
      uncertainty = model->total_uncertainty(&global_sums[FEATURES], n_centers) * energy_unit;
    if (!std::isfinite(uncertainty)) throw std::runtime_error("not finite");
  } catch (const std::exception &e) {
    error->all(FLERR, "pair_style ubias: total uncertainty at step {}: {}", update->ntimestep,
               e.what());
  }
  pvector[0] = comm->me == 0 ? uncertainty : 0.0;
}

// All ranks have the same c = du/d(feature sum). The gradient of sum_i c . phi_i over the edges of
// this rank is this rank's part of du/dx. A failure is noted, because other ranks do not see it:
// fix ubias then ends the run in its own collective.

void PairUbias::compute_uncertainty_gradient()
{
  try {
    const double n_centers = global_sums[CENTERS];
    if (bias_uncertainty == ATOMIC && n_centers > 0)
      uncertainty = global_sums[ATOMIC_UNCERTAINTY] / n_centers * energy_unit;
    if (graph->n_edges == 0)
      tally_uncertainty_gradient(nullptr, 0.0);
    else if (bias_uncertainty == TOTAL)
      tally_uncertainty_gradient(model->total_uncertainty_gradient(), energy_unit);
    else
      tally_uncertainty_gradient(model->atomic_uncertainty_gradient(), energy_unit / n_centers);
    check_forces();    // not earlier: a model may compute both gradients in one pass
  } catch (const std::exception &e) {
    gradient_failure = e.what();
    graph->n_edges = 0;
    tally_uncertainty_gradient(nullptr, 0.0);
  }
}

void PairUbias::tally_uncertainty_gradient(const double *gradient, double scale)
{
  const int nall = atom->nlocal + atom->nghost;
  for (int i = 0; i < nall; i++)
    uncertainty_gradient[i][0] = uncertainty_gradient[i][1] = uncertainty_gradient[i][2] = 0.0;
  std::fill_n(uncertainty_strain_gradient, 6, 0.0);

  for (int64_t e = 0; e < graph->n_edges; e++) {
    double *gi = uncertainty_gradient[graph->edge_center[e]];
    double *gj = uncertainty_gradient[graph->edge_neighbor[e]];
    const double g[3] = {gradient[3 * e] * scale, gradient[3 * e + 1] * scale,
                         gradient[3 * e + 2] * scale};
    if (!std::isfinite(g[0] + g[1] + g[2]))
      throw std::runtime_error(
          fmt::format("uncertainty gradient at atom {} is not finite at step {}",
                      atom->tag[graph->edge_center[e]], update->ntimestep));
    for (int a = 0; a < 3; a++) {
      gi[a] -= g[a];
      gj[a] += g[a];
    }
    double v[6];
    strain_gradient(&graph->edge_vectors[3 * e], g, v);
    for (int a = 0; a < 6; a++) uncertainty_strain_gradient[a] += v[a];
  }
}

// Ends the run on all ranks with the message of the lowest rank that has one, and returns if all
// messages are empty. All ranks must call it.

void PairUbias::stop_together(const std::string &message)
{
  int mine = message.empty() ? comm->nprocs : comm->me, first;
  MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, world);
  if (first == comm->nprocs) return;

  int length = message.size();
  MPI_Bcast(&length, 1, MPI_INT, first, world);
  std::string text = message;
  text.resize(length);
  MPI_Bcast(&text[0], length, MPI_CHAR, first, world);
  error->all(FLERR, text);
}

const char *PairUbias::element_of_type(int itype) const
{
  return map[itype] < 0 ? "NULL" : model->metadata().elements[map[itype]].c_str();
}

void *PairUbias::extract(const char *name, int &dim)
{
  dim = 0;
  if (strcmp(name, "uncertainty_flag") == 0) return &uncertainty_flag;
  return nullptr;
}

void *PairUbias::extract_peratom(const char *name, int &ncol)
{
  if (strcmp(name, "uncertainty") != 0) return nullptr;
  ncol = 0;
  return atomic_uncertainty;
}

void PairUbias::grow_atom_arrays()
{
  nmax = std::max(atom->nmax, 1);
  memory->grow(uncertainty_gradient, nmax, 3, "pair:uncertainty_gradient");
  memory->grow(atomic_uncertainty, nmax, "pair:atomic_uncertainty");
  std::fill_n(atomic_uncertainty, nmax, 0.0);
}

double PairUbias::memory_usage()
{
  return Pair::memory_usage() + 4.0 * nmax * sizeof(double) + (graph ? graph->memory_usage() : 0.0);
}
