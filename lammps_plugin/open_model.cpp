/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only */

#include "open_model.h"

#include "ubias_model.h"
#include "platform.h"
#include "utils.h"

#include <dlfcn.h>
#include <stdexcept>

using namespace LAMMPS_NS;

namespace {

const char anchor = 0;    // its address is in this plugin

UbiasModelLoader *open_library()
{
  Dl_info here;
  dladdr((const void *) &anchor, &here);
  std::string path = here.dli_fname;
  path = path.substr(0, path.rfind('/') + 1) + "libubias_model.so";

  // LAMMPS exports a plain dgemm_. With RTLD_DEEPBIND, torch uses its own, which is faster.

  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  if (!library)
    throw std::runtime_error(
        fmt::format("pair_style ubias: cannot load {} ({}); the plugin must be built for the torch "
                    "that it runs with: run 'pyubias doctor'",
                    path, dlerror()));
  return (UbiasModelLoader *) dlsym(library, "ubias_load_model");
}

}    // namespace

UbiasModel *LAMMPS_NS::open_model(const std::string &path, const std::string &device, int node_rank,
                                  int n_threads)
{
  static UbiasModelLoader *const load = open_library();
  try {
    if (!platform::file_is_readable(path))
      throw std::runtime_error(fmt::format("model file '{}' does not exist", path));
    return load(path.c_str(), device.c_str(), node_rank, n_threads);
  } catch (const std::exception &e) {
    throw std::runtime_error(std::string("pair_coeff for ubias: ") + e.what());
  }
}
