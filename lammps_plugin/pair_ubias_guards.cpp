/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   What pair_style ubias checks so that no wrong number passes without a word: masses, the box, and
   pairs that commands take out of the neighbor lists.
*/

#include "pair_ubias.h"

#include "atomic_masses.h"

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "group.h"
#include "neighbor.h"

#include <cmath>
#include <algorithm>
#include <stdexcept>

using namespace LAMMPS_NS;

namespace {

constexpr double CLOSE = 0.5;    // u: masses of scripts are rounded, and isotopes differ by more

const Element &element_of_mass(double mass)
{
  const Element *nearest = ELEMENTS;
  for (const auto &element : ELEMENTS)
    if (std::fabs(element.mass - mass) < std::fabs(nearest->mass - mass)) nearest = &element;
  return *nearest;
}

}    // namespace

// The order of elements in pair_coeff may differ from that of the types in a data file. Cobalt and
// nickel have almost the same mass: elements of the model are told apart however close they are.

void PairUbias::check_masses()
{
  if (!atom->mass || comm->me != 0) return;
  const auto &elements = model->metadata().elements;
  const std::vector<std::string> known(elements.begin(), elements.end());
  std::string text;
  for (int itype = 1; itype <= atom->ntypes; itype++) {
    if (map[itype] < 0 || !atom->mass_setflag[itype]) continue;
    const std::string name = known[map[itype]];
    const double mass = atom->mass[itype];
    const std::string nearest = element_of_mass(mass).symbol;
    if (nearest == name) continue;
    const bool of_model = std::find(known.begin(), known.end(), nearest) != known.end();
    if (!of_model && std::fabs(mass - atomic_mass(name)) < CLOSE) continue;
    text += fmt::format("{} type {} is {} ({:.6g} u) but has the mass {:.6g} u, that of {}",
                        text.empty() ? "" : ",", itype, name, atomic_mass(name), mass, nearest);
  }
  if (!text.empty() && text != mass_warning)
    error->warning(FLERR,
                   "pair_style ubias: elements contradict masses:{}; check the order of "
                   "elements in pair_coeff",
                   text);
  mass_warning = text;
}

// In a box far smaller than the cutoff, atoms have more neighbors than a page of LAMMPS' lists
// holds, and LAMMPS writes beyond its end.

void PairUbias::check_box()
{
  const double *h_inv = domain->h_inv;
  const double width[3] = {
      1.0 / std::sqrt(h_inv[0] * h_inv[0] + h_inv[5] * h_inv[5] + h_inv[4] * h_inv[4]),
      1.0 / std::sqrt(h_inv[1] * h_inv[1] + h_inv[3] * h_inv[3]), 1.0 / std::fabs(h_inv[2])};
  const double cutoff = model->metadata().cutoff;
  double neighbors = atom->natoms;    // in a cube of the size of the cutoff sphere
  for (int a = 0; a < 3; a++) {
    const double boxes = 2.0 * (cutoff + neighbor->skin) / width[a];
    neighbors *= domain->periodicity[a] ? boxes : std::min(1.0, boxes);
  }
  if (!(neighbors < neighbor->pgsize))
    error->all(
        FLERR,
        "pair_style ubias: a box of {:.4g} x {:.4g} x {:.4g} A with {} atoms is too small for "
        "the cutoff of {} A: an atom would have about {:.3g} neighbors",
        width[0], width[1], width[2], atom->natoms, cutoff, neighbors);
}

// Pairs that neigh_modify takes out of the neighbor list would be missing from the neighborhoods
// of their atoms. Fixes such as gcmc give that command too, and groups change, so this looks at
// the atoms of every new list: a pair that matters has its first atom on this rank.

void PairUbias::check_exclusions()
{
  auto removed = [&](const std::string &command) {
    throw std::runtime_error(
        fmt::format("pair_style ubias needs all pairs of its atoms, but '{}' removes some; the "
                    "command, or the fix that gave it, must be removed",
                    command));
  };
  if (neighbor->includegroup)
    removed(fmt::format("neigh_modify include {}", group->names[neighbor->includegroup]));
  if (!neighbor->exclude) return;

  auto any_atom = [&](int n, int bit) {
    for (int i = 0; i < n; i++)
      if ((atom->mask[i] & bit) && map[atom->type[i]] >= 0) return true;
    return false;
  };
  const int nlocal = atom->nlocal, nall = nlocal + atom->nghost;
  for (int k = 0; k < neighbor->nex_type; k++) {
    const int a = neighbor->ex1_type[k], b = neighbor->ex2_type[k];
    if (map[a] >= 0 && map[b] >= 0) removed(fmt::format("neigh_modify exclude type {} {}", a, b));
  }
  for (int k = 0; k < neighbor->nex_group; k++) {
    const int a = neighbor->ex1_bit[k], b = neighbor->ex2_bit[k];
    if ((any_atom(nlocal, a) && any_atom(nall, b)) || (any_atom(nlocal, b) && any_atom(nall, a)))
      removed(fmt::format("neigh_modify exclude group {} {}", group->names[neighbor->ex1_group[k]],
                          group->names[neighbor->ex2_group[k]]));
  }
  for (int k = 0; k < neighbor->nex_mol; k++)
    if (any_atom(nlocal, neighbor->ex_mol_bit[k]))
      removed(fmt::format("neigh_modify exclude molecule/{} {}",
                          neighbor->ex_mol_intra[k] ? "intra" : "inter",
                          group->names[neighbor->ex_mol_group[k]]));
}
