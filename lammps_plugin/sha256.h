/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   SHA-256 of the standard FIPS 180-4, whose names the code uses.
*/

#ifndef UBIAS_SHA256_H
#define UBIAS_SHA256_H

#include <string>

namespace LAMMPS_NS {

// 64 hexadecimal digits

std::string sha256(const std::string &message);

}    // namespace LAMMPS_NS

#endif
