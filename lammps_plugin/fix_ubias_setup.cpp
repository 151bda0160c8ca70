/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   fix ubias before the first step: keywords, the pair style, weights of elements, and the order of
   fixes. fix_ubias.cpp computes the steps.
*/

#include "fix_ubias.h"

#include "lammps_releases.h"
#include "pair_ubias.h"

#include "atom.h"
#include "error.h"
#include "force.h"
#include "modify.h"

#include <algorithm>
#include <cmath>

using namespace LAMMPS_NS;
using namespace FixConst;

void FixUbias::read_keywords(int narg, char **arg)
{
  bool strength_given = false;
  int iarg = 3;

  auto value = [&](int offset) -> const char * {
    if (iarg + offset >= narg)
      error_all_at(error, FLERR, iarg, "fix ubias: keyword '{}' has no value", arg[iarg]);
    return arg[iarg + offset];
  };
  auto non_negative = [&](int offset) {
    const double number = utils::numeric(FLERR, value(offset), false, lmp);
    if (!(number >= 0.0) || !std::isfinite(number))
      error_all_at(error, FLERR, iarg + offset, "fix ubias: {} must not be negative, got {}",
                   arg[iarg], arg[iarg + offset]);
    return number;
  };

  while (iarg < narg) {
    const std::string keyword = arg[iarg];
    int nargs = 2;
    if (keyword == "tau") {
      tau = non_negative(1);
      strength_given = true;
    } else if (keyword == "tau_stress" || keyword == "stress") {
      tau_stress = non_negative(1);
      strength_given = true;
    } else if (keyword == "max_force") {
      max_force = non_negative(1);
    } else if (keyword == "max_stress") {
      max_stress = non_negative(1);
    } else if (keyword == "max_rate") {
      max_rate = non_negative(1);
      if (max_rate == 0.0)
        error_all_at(error, FLERR, iarg + 1, "fix ubias: max_rate must be positive, got {}",
                     arg[iarg + 1]);
    } else if (keyword == "window") {
      window = utils::inumeric(FLERR, value(1), false, lmp);
      if (window < 0)
        error_all_at(error, FLERR, iarg + 1, "fix ubias: window must not be negative, got {}",
                     window);
    } else if (keyword == "weight") {
      const std::string element = value(1);
      weight_of_element[element] = non_negative(2);
      nargs = 3;
    } else if (keyword == "uncertainty") {
      const std::string kind = value(1);
      if (kind != "total" && kind != "atomic")
        error_all_at(error, FLERR, iarg + 1,
                     "fix ubias: uncertainty must be total or atomic, got '{}'", kind);
      uncertainty_kind = kind == "total" ? PairUbias::TOTAL : PairUbias::ATOMIC;
    } else {
      error_all_at(error, FLERR, iarg,
                   "fix ubias: unknown keyword '{}', wanted tau, tau_stress, window, weight, "
                   "uncertainty, max_force, max_stress or max_rate",
                   keyword);
    }
    iarg += nargs;
  }
  if (!strength_given) error->all(FLERR, "fix ubias: give 'tau' or 'tau_stress' or both");
}

void FixUbias::init()
{
  pair = dynamic_cast<PairUbias *>(force->pair_match("^ubias", 0));
  if (!pair) error->all(FLERR, "fix ubias needs pair_style ubias (or one sub-style of that name)");
  if (modify->get_fix_by_style("^ubias$").size() > 1)
    error->all(FLERR, "only one fix ubias may be defined");
  check_fix_order();

  weight_of_type.assign(atom->ntypes + 1, 1.0);
  for (const auto &entry : weight_of_element) {
    bool found = false;
    for (int itype = 1; itype <= atom->ntypes; itype++)
      if (entry.first == pair->element_of_type(itype)) {
        weight_of_type[itype] = entry.second;
        found = true;
      }
    if (!found)
      error->all(FLERR, "fix ubias: weight of element '{}', which pair_coeff assigns to no type",
                 entry.first);
  }
  pair->bias_uncertainty = uncertainty_kind;
}

// Fixes that replace forces or hold atoms must see the bias, and noise must not count as a physical
// force. Of the fixes that change forces, only those that add physical ones may come first. A
// barostat needs the bias stress.

void FixUbias::check_fix_order()
{
  // lists, because the patterns of LAMMPS have no alternatives

  const std::vector<std::string> adding = {
      "addforce",   "addtorque", "amoeba/", "cmap",        "colvars", "drag",   "efield",
      "electrode/", "external",  "gravity", "halt",        "imd",     "indent", "mdi/qm",
      "nonaffine/", "numdiff",   "orient/", "pair",        "plumed",  "qeq",    "restrain",
      "rhok",       "smd",       "spring",  "store/force", "viscous", "wall/"};
  const std::vector<std::string> stochastic = {"langevin", "brownian",  "gjf",      "gle",
                                               "gld",      "ttm",       "qtb",      "ffl",
                                               "bd",       "temp/csld", "temp/csvr"};
  for (const auto &other : modify->get_fix_list()) {
    if (other == this) return;
    const std::string style = other->style;
    auto starts_with_one_of = [&](const std::vector<std::string> &names) {
      return std::any_of(names.begin(), names.end(), [&](const auto &start) {
        return style.compare(0, start.size(), start) == 0;
      });
    };
    const bool changes_forces = modify->get_fix_mask(other) & (POST_FORCE | MIN_POST_FORCE);
    if (starts_with_one_of(stochastic) || other->box_change != NO_BOX_CHANGE ||
        (changes_forces && !starts_with_one_of(adding)))
      error->all(FLERR,
                 "fix ubias must be defined before fix {} (style {}), which adds noise, replaces "
                 "forces or changes the box",
                 other->id, style);
  }
}
