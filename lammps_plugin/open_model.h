/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only */

#ifndef LMP_UBIAS_OPEN_MODEL_H
#define LMP_UBIAS_OPEN_MODEL_H

#include <string>

namespace LAMMPS_NS {

// Reads a model file with libubias_model.so, the library beside this plugin that needs torch, and
// opens that library when it reads the first model. Throws std::runtime_error with a one-line
// message.

class UbiasModel *open_model(const std::string &path, const std::string &device, int node_rank,
                             int n_threads);

}    // namespace LAMMPS_NS

#endif
