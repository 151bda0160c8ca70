/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   Chooses the kernels at run time. This file is compiled for every processor, so that the choice
   itself runs on the oldest one.
*/

#include "gaussian_moments.h"

namespace gaussian_moments {

#define UBIAS_DECLARE(isa)                         \
  namespace isa {                                  \
  extern const Functions<float> functions_float;   \
  extern const Functions<double> functions_double; \
  }

UBIAS_DECLARE(baseline)
#ifdef UBIAS_X86
UBIAS_DECLARE(avx2)
UBIAS_DECLARE(avx512)
#endif

namespace {

enum { BASELINE, AVX2, AVX512 };

int detect()
{
#ifdef UBIAS_X86
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
    return AVX512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return AVX2;
#endif
  return BASELINE;
}

const int detected = detect();

}    // namespace

const char *instruction_set()
{
  return detected == AVX512 ? "avx512" : detected == AVX2 ? "avx2" : "baseline";
}

template <> const Functions<float> &functions<float>()
{
#ifdef UBIAS_X86
  if (detected == AVX512) return avx512::functions_float;
  if (detected == AVX2) return avx2::functions_float;
#endif
  return baseline::functions_float;
}

template <> const Functions<double> &functions<double>()
{
#ifdef UBIAS_X86
  if (detected == AVX512) return avx512::functions_double;
  if (detected == AVX2) return avx2::functions_double;
#endif
  return baseline::functions_double;
}

}    // namespace gaussian_moments
