/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   Registers pair_style ubias and fix ubias with the LAMMPS that loads this plugin.
*/

#include "fix_ubias.h"
#include "pair_ubias.h"
#include "plugin_abi.h"

using namespace LAMMPS_NS;

static void *create_pair(void *lmp)
{
  return new PairUbias((LAMMPS *) lmp);
}

static void *create_fix(void *lmp, int narg, char **arg)
{
  return new FixUbias((LAMMPS *) lmp, narg, arg);
}

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle,
                                                                         void *regfunc)
{
  auto register_plugin = (lammpsplugin_regfunc) regfunc;

  lammpsplugin_t plugin;
  plugin.version = UBIAS_LAMMPS_VERSION;
  plugin.author = "the pyubias developers";
  plugin.handle = handle;

  plugin.style = "pair";
  plugin.name = "ubias";
  plugin.info = "machine-learned potential with an uncertainty head (pyubias)";
  plugin.creator.v1 = &create_pair;
  (*register_plugin)(&plugin, lmp);

  plugin.style = "fix";
  plugin.info = "uncertainty-biased dynamics (pyubias)";
  plugin.creator.v2 = &create_fix;
  (*register_plugin)(&plugin, lmp);
}
