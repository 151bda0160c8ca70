/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   pair_style ubias before the first step: keywords, the model of pair_coeff, and the settings of
   LAMMPS that the style needs. pair_ubias.cpp computes the steps.
*/

#include "pair_ubias.h"

#include "lammps_releases.h"
#include "open_model.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neighbor.h"
#include "update.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>

using namespace LAMMPS_NS;

void PairUbias::allocate()
{
  const int n = atom->ntypes + 1;
  memory->create(setflag, n, n, "pair:setflag");
  memory->create(cutsq, n, n, "pair:cutsq");
  for (int i = 1; i < n; i++)
    for (int j = i; j < n; j++) setflag[i][j] = 0;
  map = new int[n];
  allocated = 1;
}

void PairUbias::settings(int narg, char **arg)
{
  int iarg = 0;
  while (iarg < narg) {
    const std::string keyword = arg[iarg];
    if (keyword != "device" && keyword != "threads")
      error_all_at(error, FLERR, iarg,
                   "pair_style ubias: unknown keyword '{}', wanted device or threads", keyword);
    if (iarg + 1 >= narg)
      error_all_at(error, FLERR, iarg, "pair_style ubias: keyword '{}' has no value", keyword);
    if (keyword == "device") {
      device = arg[iarg + 1];
      if (device != "cpu" && device != "cuda" && device.rfind("cuda:", 0) != 0)
        error_all_at(error, FLERR, iarg + 1,
                     "pair_style ubias: device must be cpu, cuda or cuda:N, got '{}'", device);
    } else {
      n_threads = utils::inumeric(FLERR, arg[iarg + 1], false, lmp);
      if (n_threads < 1)
        error_all_at(error, FLERR, iarg + 1, "pair_style ubias: threads must be at least 1, got {}",
                     n_threads);
    }
    iarg += 2;
  }
}

void PairUbias::coeff(int narg, char **arg)
{
  if (!allocated) allocate();
  if (narg < 4)
    error->all(FLERR,
               "pair_coeff for ubias: wanted '* * model.pt element ...', one element per "
               "atom type");
  if (narg != 3 + atom->ntypes)
    error->all(FLERR,
               "pair_coeff for ubias: got {} elements for {} atom types; name one element "
               "(or NULL) per type",
               narg - 3, atom->ntypes);

  load_model(arg[2]);
  map_element2type(narg - 3, arg + 3);

  // from here on, map leads from LAMMPS types to positions in the model's list of elements

  const auto &elements = model->metadata().elements;
  const std::vector<std::string> known(elements.begin(), elements.end());
  for (int itype = 1; itype <= atom->ntypes; itype++) {
    if (map[itype] < 0) continue;
    const std::string name = arg[2 + itype];
    const auto found = std::find(known.begin(), known.end(), name);
    if (found == known.end())
      error_all_at(error, FLERR, 2 + itype,
                   "pair_coeff for ubias: the model has no element '{}' (atom type {}); it has {}",
                   name, itype, utils::join_words(known, " "));
    map[itype] = found - known.begin();
  }
  log_model(arg[2]);
}

void PairUbias::load_model(const std::string &path)
{
  if (strcmp(lmp->version, UBIAS_LAMMPS_VERSION) != 0)
    error->all(FLERR,
               "pair_style ubias: the plugin was built for LAMMPS {}, this is {}; run 'pyubias "
               "doctor'",
               UBIAS_LAMMPS_VERSION, lmp->version);

  // This is a collective, so it must come before the reading of the file, which may fail on some
  // ranks only.

  MPI_Comm node;
  int node_rank;
  MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  MPI_Comm_rank(node, &node_rank);
  MPI_Comm_free(&node);

  std::string message;
  try {
    UbiasModel *opened = open_model(path, device, node_rank, n_threads);
    delete model;
    model = opened;
    graph = make_graph(model->metadata().hops);
  } catch (const std::exception &e) {
    message = e.what();
  }
  stop_together(message);
}

// which of the two uncertainties have no conformal factor: none, one or both

static std::string calibration_of(const UbiasMetadata &m)
{
  // The rule of attainable_of in pyubias/model/archive.py. Without the attainable coverage, a
  // factor of 1 is that of a head that never was calibrated. Models of other programs apply their
  // factors without naming them: alpha alone holds for those.

  auto calibrated = [&](double attainable, double factor, double other) {
    if (!std::isnan(attainable)) return attainable > 0.0;
    if (std::isnan(m.alpha)) return false;
    return std::isnan(factor) ? std::isnan(other) : factor != 1.0;
  };
  const bool total = calibrated(m.total_attainable, m.total_factor, m.atomic_factor);
  const bool atomic = calibrated(m.atomic_attainable, m.atomic_factor, m.total_factor);
  if (total && atomic) return "";
  if (!total && !atomic) return " (not calibrated)";
  return total ? " (the atomic one is not calibrated)" : " (the total one is not calibrated)";
}

void PairUbias::log_model(const std::string &path)
{
  if (comm->me != 0) return;
  const auto &m = model->metadata();
  utils::logmesg(lmp,
                 "pair_style ubias: model {} ({}), contract {}, training set {}, uncertainty {}{}, "
                 "cutoff {} A, {} hop(s), torch {}, {}, device {}, {} thread(s) per rank{}\n",
                 path, m.model_hash.c_str(), m.contract_version, m.training_hash.c_str(),
                 m.uncertainty.c_str(), calibration_of(m), m.cutoff, m.hops,
                 m.torch_version.c_str(), m.dtype.c_str(), device, n_threads,
                 m.has_checksum ? "" : ", file without checksum");
}

void PairUbias::init_style()
{
  if (strcmp(update->unit_style, "metal") == 0)
    energy_unit = 1.0;
  else if (strcmp(update->unit_style, "real") == 0)
    energy_unit = utils::get_conversion_factor(utils::ENERGY, utils::METAL2REAL);
  else
    error->all(FLERR, "pair_style ubias: units must be metal or real, got {}", update->unit_style);

  if (!force->newton_pair)
    error->all(FLERR,
               "pair_style ubias needs 'newton on': forces on ghost atoms must be returned "
               "to their owners");
  if (utils::strmatch(update->integrate_style, "^respa"))
    error->all(FLERR,
               "pair_style ubias cannot run with run_style respa: the model has no inner "
               "and outer forces; use run_style verlet");

  // LAMMPS leaves pairs with both special factors zero out of the neighbor list

  for (int i = 1; i < 4; i++)
    if (atom->molecular != Atom::ATOMIC && force->special_lj[i] == 0.0 &&
        force->special_coul[i] == 0.0)
      error->all(FLERR,
                 "pair_style ubias needs all pairs of bonded atoms: add 'special_bonds "
                 "lj/coul 1.0 1.0 1.0'");

  check_box();
  check_masses();
  bias_uncertainty = NONE;
  first_graph = true;
  request_neighbors();
}

// A model that reaches several hops needs the neighbors of ghosts, and ghosts up to that far. On
// one rank each ghost is an atom of this rank, whose neighbors are known.

void PairUbias::request_neighbors()
{
  const int hops = model->metadata().hops;
  if (hops > 1 && !atom->tag_enable)
    error->all(FLERR,
               "pair_style ubias: a model of {} hops needs atom IDs; remove 'atom_modify id no'",
               hops);
  if (hops == 1 || comm->nprocs == 1) {
    neighbor->add_request(this, NeighConst::REQ_FULL);
    return;
  }
  if (comm->mode != Comm::SINGLE)
    error->all(FLERR,
               "pair_style ubias: a model of {} hops needs 'comm_modify mode single' on several "
               "ranks",
               hops);
  const double reach = hops * model->metadata().cutoff + neighbor->skin;
  comm->cutghostuser = std::max(comm->cutghostuser, reach);
  neighbor->add_request(this, NeighConst::REQ_FULL | NeighConst::REQ_GHOST);
}

double PairUbias::init_one(int i, int j)
{
  if (setflag[i][j] == 0)
    error->all(FLERR, "pair_style ubias: no pair_coeff for atom types {} and {}", i, j);
  return model->metadata().cutoff;
}
