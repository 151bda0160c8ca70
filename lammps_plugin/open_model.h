/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only */

#ifndef LMP_UBIAS_OPEN_MODEL_H
#define LMP_UBIAS_OPEN_MODEL_H

#include <string>

namespace LAMMPS_NS {

// Reads a model file with the library that holds torch. It lies beside this plugin and is opened
// when the first model is read. Throws std::runtime_error with a one-line message.

class UbiasModel *open_model(const std::string &path, const std::string &device, int node_rank,
                             int n_threads);

}    // namespace LAMMPS_NS

#endif
