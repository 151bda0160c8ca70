/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only */

#include "model_file.h"

#include "atomic_masses.h"
#include "json.h"
#include "sha256.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <stdexcept>

using namespace LAMMPS_NS;

namespace {

constexpr int CONTRACT_VERSION = 2;

// the zip comment of a file with a checksum: these letters, then SHA-256 of all bytes before them

const std::string COMMENT = "pyubias sha256: ";
constexpr size_t DIGITS = 64;

// records of the zip format (PKWARE's APPNOTE, sections 4.3.7, 4.3.12 and 4.3.16)

constexpr uint32_t LOCAL_HEADER = 0x04034b50, ENTRY = 0x02014b50, END = 0x06054b50;
constexpr size_t END_SIZE = 22, ENTRY_SIZE = 46, LOCAL_HEADER_SIZE = 30;

uint32_t number_at(const std::string &content, size_t at, int n_bytes)
{
  if (at + n_bytes > content.size()) throw std::runtime_error("a part of the file is missing");
  uint32_t value = 0;
  for (int k = n_bytes - 1; k >= 0; k--) value = value << 8 | (unsigned char) content[at + k];
  return value;
}

uint32_t crc32(const std::string &content, size_t first, size_t size)
{
  uint32_t crc = ~0u;
  for (size_t k = first; k < first + size; k++) {
    crc ^= (unsigned char) content[k];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0u);
  }
  return ~crc;
}

// Only parts that are stored as they are: these hold the numbers. Damage of a compressed part,
// which holds code, shows when torch reads it.

void check_stored_parts(const std::string &content)
{
  const size_t end = content.size() - END_SIZE;
  size_t entry = number_at(content, end + 16, 4);
  for (uint32_t n = number_at(content, end + 10, 2); n > 0; n--) {
    if (number_at(content, entry, 4) != ENTRY)
      throw std::runtime_error("its list of parts is damaged");
    const uint32_t method = number_at(content, entry + 10, 2);
    const uint32_t crc = number_at(content, entry + 16, 4);
    const uint32_t size = number_at(content, entry + 20, 4);
    const size_t header = number_at(content, entry + 42, 4);
    if (number_at(content, header, 4) != LOCAL_HEADER)
      throw std::runtime_error("its list of parts is damaged");
    const size_t data = header + LOCAL_HEADER_SIZE + number_at(content, header + 26, 2) +
        number_at(content, header + 28, 2);
    const size_t name_size = number_at(content, entry + 28, 2);
    if (method == 0 && (data + size > content.size() || crc32(content, data, size) != crc))
      throw std::runtime_error("its part '" + content.substr(entry + ENTRY_SIZE, name_size) +
                               "' is damaged");
    entry += ENTRY_SIZE + name_size + number_at(content, entry + 30, 2) +
        number_at(content, entry + 32, 2);
  }
}

void refuse(const char *name, const std::string &wanted, const json &value)
{
  std::string got = value.dump();
  if (got.size() > 60) got = got.substr(0, 57) + "...";
  throw std::runtime_error(std::string("metadata field '") + name + "' must be " + wanted +
                           ", got " + got);
}

const json &field(const json &fields, const char *name)
{
  if (!fields.contains(name))
    throw std::runtime_error(std::string("metadata field '") + name +
                             "' is missing; it must be there");
  return fields.at(name);
}

int64_t integer(const json &fields, const char *name, int64_t least, int64_t most)
{
  const json &value = field(fields, name);
  if (!value.is_number_integer() || value < least || value > most)
    refuse(name, "an integer from " + std::to_string(least) + " to " + std::to_string(most), value);
  return value;
}

double number(const json &fields, const char *name, double least, double most,
              const std::string &wanted)
{
  const json &value = field(fields, name);
  if (!value.is_number() || !(value >= least && value <= most)) refuse(name, wanted, value);
  return value;
}

// nan if the field is null or absent

double optional_number(const json &fields, const char *name, double below,
                       const std::string &wanted)
{
  if (!fields.contains(name) || fields.at(name).is_null()) return NAN;
  const double value = number(fields, name, 0.0, below, wanted);
  if (value == 0.0 || value == below) refuse(name, wanted, fields.at(name));
  return value;
}

double coverage(const json &fields, const char *name)
{
  if (!fields.contains(name) || fields.at(name).is_null()) return NAN;
  return number(fields, name, 0.0, 1.0, "null or from 0 to 1");
}

std::string text(const json &fields, const char *name)
{
  if (!fields.contains(name)) return "unknown";
  if (!fields.at(name).is_string()) refuse(name, "a text", fields.at(name));
  return fields.at(name);
}

std::vector<std::string> elements_of(const json &fields)
{
  const json &value = field(fields, "elements");
  if (!value.is_array() || value.empty()) refuse("elements", "a list of chemical symbols", value);
  std::vector<std::string> elements;
  for (const auto &symbol : value) {
    if (!symbol.is_string() || atomic_mass(symbol) == 0.0)
      refuse("elements", "a list of chemical symbols", value);
    if (std::count(elements.begin(), elements.end(), symbol))
      refuse("elements", "a list without repetitions", value);
    elements.push_back(symbol);
  }
  return elements;
}

}    // namespace

bool LAMMPS_NS::verify_checksum(const std::string &path)
{
  std::ifstream file(path, std::ios::binary);
  std::string content{std::istreambuf_iterator<char>(file), {}};
  const size_t size = COMMENT.size() + DIGITS;
  if (content.size() > size &&
      content.compare(content.size() - size, COMMENT.size(), COMMENT) == 0) {
    const std::string digits = content.substr(content.size() - DIGITS);
    content.resize(content.size() - size);
    if (sha256(content) != digits)
      throw std::runtime_error("the file is not as it was written: its checksum differs; copy or "
                               "export the model again");
    return true;
  }
  if (content.size() < END_SIZE || number_at(content, content.size() - END_SIZE, 4) != END)
    throw std::runtime_error("the file is truncated, damaged or not TorchScript; copy or export "
                             "the model again");
  check_stored_parts(content);
  return false;
}

UbiasMetadata LAMMPS_NS::parse_metadata(const std::string &text_of_file, const std::string &path)
{
  if (text_of_file.empty())
    throw std::runtime_error("'" + path +
                             "' is TorchScript but carries no pyubias metadata; write it with "
                             "pyubias.contract.save()");
  const json fields = json::parse(text_of_file);
  if (!fields.is_object()) throw std::runtime_error("metadata must be a JSON object");
  UbiasMetadata metadata;
  metadata.contract_version = integer(fields, "contract_version", 0, 1000000);
  if (metadata.contract_version < 1 || metadata.contract_version > CONTRACT_VERSION)
    throw std::runtime_error("'" + path + "' has contract version " +
                             std::to_string(metadata.contract_version) +
                             ", this plugin reads versions 1 to " +
                             std::to_string(CONTRACT_VERSION) + "; export the model again");
  const std::vector<std::string> elements = elements_of(fields);
  metadata.elements.assign(elements.begin(), elements.end());
  metadata.cutoff = number(fields, "cutoff", 0.1, 1000.0, "a distance from 0.1 to 1000 A");
  metadata.n_features = integer(fields, "n_features", 1, 1000000);
  metadata.hops = fields.contains("hops") ? integer(fields, "hops", 1, 100) : 1;
  const std::string dtype = text(fields, "dtype");
  if (fields.contains("dtype") && dtype != "float32" && dtype != "float64")
    refuse("dtype", "float32 or float64", fields.at("dtype"));
  metadata.dtype = dtype;
  metadata.alpha = optional_number(fields, "alpha", 1.0, "null or between 0 and 1");
  const std::string positive = "null or positive and finite";
  metadata.total_factor = optional_number(fields, "total_factor", INFINITY, positive);
  metadata.atomic_factor = optional_number(fields, "atomic_factor", INFINITY, positive);
  metadata.total_attainable = coverage(fields, "total_attainable");
  metadata.atomic_attainable = coverage(fields, "atomic_attainable");
  metadata.uncertainty = text(fields, "uncertainty");
  metadata.model_hash = text(fields, "model_hash");
  metadata.training_hash = text(fields, "training_hash");
  metadata.torch_version = text(fields, "torch_version");
  metadata.has_checksum = fields.contains("checksum") && !fields.at("checksum").is_null();
  return metadata;
}
