/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   The bytes of a model file, and its metadata, before torch sees them. pyubias/model/checksum.py
   describes the checksum, and pyubias/model/archive.py the metadata.
*/

#ifndef UBIAS_MODEL_FILE_H
#define UBIAS_MODEL_FILE_H

#include "ubias_model.h"

#include <string>

namespace LAMMPS_NS {

// Compare a file with its checksum; false if it has none, as the files of earlier versions. The
// numbers in such a file are compared with the checksums of the zip format, which torch ignores.
// Throws std::runtime_error if the file is not what was written.

bool verify_checksum(const std::string &path);

// Metadata from their JSON text. Throws std::runtime_error for a field that is missing, of
// another type or out of range.

UbiasMetadata parse_metadata(const std::string &text, const std::string &path);

}    // namespace LAMMPS_NS

#endif
