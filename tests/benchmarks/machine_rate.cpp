/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   What this machine can at most, with the registers of the kernels: multiply-adds between registers,
   and loads. roofline.py compiles this file for the instruction set that the kernels run with.
*/

#include "simd.h"

#include <cstdint>

namespace gaussian_moments {
namespace UBIAS_ISA {
namespace {

// as in layers.h: as many sums as registers hold, more than the latency of an addition needs

constexpr int SUMS = REGISTER_BYTES == 64 ? 24 : 12;

template <typename T> double multiply_and_add(int64_t repeats)
{
  using V = Pack<T, atom_lanes<T>()>;
  V sums[SUMS];
  for (int j = 0; j < SUMS; j++) sums[j] = V(T(j));
  const V factor(T(0.999)), step(T(0.001));
  for (int64_t k = 0; k < repeats; k++)
#pragma GCC unroll 24
    for (int j = 0; j < SUMS; j++) sums[j] = sums[j] * factor + step;
  T total = 0;
  for (int j = 0; j < SUMS; j++) total += sums[j].sum();
  return total;
}

// bytes and repeats: whole rounds over the memory

double load(const float *memory, int64_t bytes, int64_t repeats)
{
  using V = Pack<float, atom_lanes<float>()>;
  constexpr int A = atom_lanes<float>();
  V sums[SUMS];
  for (int j = 0; j < SUMS; j++) sums[j] = V(0.0f);
  for (int64_t round = 0; round < repeats; round++)
    for (int64_t k = 0; k + SUMS * A <= bytes / (int64_t) sizeof(float); k += SUMS * A)
#pragma GCC unroll 24
      for (int j = 0; j < SUMS; j++) sums[j] = sums[j] + V::load(memory + k + j * A);
  float total = 0;
  for (int j = 0; j < SUMS; j++) total += sums[j].sum();
  return total;
}

}    // namespace
}    // namespace UBIAS_ISA
}    // namespace gaussian_moments

using namespace gaussian_moments::UBIAS_ISA;

// operations of one repeat: a multiplication and an addition in each lane of each sum

extern "C" int64_t operations_float32()
{
  return 2 * SUMS * gaussian_moments::UBIAS_ISA::atom_lanes<float>();
}
extern "C" int64_t operations_float64()
{
  return 2 * SUMS * gaussian_moments::UBIAS_ISA::atom_lanes<double>();
}
extern "C" double multiply_and_add_float32(int64_t repeats)
{
  return multiply_and_add<float>(repeats);
}
extern "C" double multiply_and_add_float64(int64_t repeats)
{
  return multiply_and_add<double>(repeats);
}
extern "C" double load_memory(const float *memory, int64_t bytes, int64_t repeats)
{
  return load(memory, bytes, repeats);
}
