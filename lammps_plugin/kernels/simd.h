/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   Vectors of fixed length made of the registers of one instruction set, and elementary
   functions without branches.

   With xsimd 8.1 or Highway 1.0.3 in place of Pack, exponential() and cosine_and_sine(), an
   evaluation with gradients took 0.96 to 0.98 (xsimd) and 0.96 to 0.97 (Highway) of the time in
   float64, and 1.00 to 1.04 and 1.04 to 1.14 in float32 (AVX2, g++ 12; medians of 400 alternating
   pairs, plain and biased, 22 and 500 atoms). That gain does not justify a library that pip cannot
   install.

   This header and contractions.h, edges.h and layers.h define everything in an anonymous
   namespace, because gaussian_moments_kernel.cpp is compiled once for each instruction set: no
   function of one set may be linked into another. For the same reason they use no standard
   containers, whose functions the linker would merge across instruction sets.
*/

#ifndef UBIAS_SIMD_H
#define UBIAS_SIMD_H

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <type_traits>

namespace gaussian_moments {
namespace UBIAS_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int REGISTER_BYTES = 64;
#elif defined(__AVX2__)
constexpr int REGISTER_BYTES = 32;
#else
constexpr int REGISTER_BYTES = 16;
#endif

// N numbers in as many registers as they need

template <typename T, int N> struct Pack {
  static constexpr int LANES =
      REGISTER_BYTES / (int) sizeof(T) < N ? REGISTER_BYTES / (int) sizeof(T) : N;
  static constexpr int PARTS = N / LANES;
  typedef T Register __attribute__((vector_size(LANES * sizeof(T))));
  typedef T Memory __attribute__((vector_size(LANES * sizeof(T)), aligned(sizeof(T)), may_alias));

  Register part[PARTS];

  Pack() = default;
  explicit Pack(T value)
  {
    for (int i = 0; i < PARTS; i++) part[i] = Register{} + value;
  }
  static Pack load(const T *from)
  {
    Pack v;
    memcpy(v.part, from, sizeof(v.part));
    return v;
  }
  void store(T *to) const { memcpy(to, part, sizeof(part)); }

  T sum() const
  {
    Register total = part[0];
    for (int i = 1; i < PARTS; i++) total += part[i];
    T result = 0;
    for (int k = 0; k < LANES; k++) result += total[k];
    return result;
  }
};

#define UBIAS_PACK_OPERATOR(op)                                                        \
  template <typename T, int N>                                                         \
  inline Pack<T, N> operator op(const Pack<T, N> &a, const Pack<T, N> &b)              \
  {                                                                                    \
    Pack<T, N> c;                                                                      \
    for (int i = 0; i < Pack<T, N>::PARTS; i++) c.part[i] = a.part[i] op b.part[i];    \
    return c;                                                                          \
  }                                                                                    \
  template <typename T, int N> inline Pack<T, N> operator op(const Pack<T, N> &a, T b) \
  {                                                                                    \
    Pack<T, N> c;                                                                      \
    for (int i = 0; i < Pack<T, N>::PARTS; i++) c.part[i] = a.part[i] op b;            \
    return c;                                                                          \
  }
UBIAS_PACK_OPERATOR(+)
UBIAS_PACK_OPERATOR(-)
UBIAS_PACK_OPERATOR(*)
#undef UBIAS_PACK_OPERATOR

// Atoms whose numbers fill one register, one atom in each lane

template <typename T> constexpr int atom_lanes()
{
  return REGISTER_BYTES / sizeof(T);
}

inline int smaller(int64_t a, int64_t b)
{
  return a < b ? a : b;
}

// aligned memory, zeroed on request

template <typename T> class Buffer {
 public:
  explicit Buffer(size_t n, bool zeroed = true) :
      n(n), memory((T *) aligned_alloc(64, (n * sizeof(T) / 64 + 1) * 64))
  {
    if (zeroed) memset((void *) memory, 0, n * sizeof(T));
  }
  ~Buffer() { free(memory); }
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;
  T *data() { return memory; }
  const T *data() const { return memory; }
  size_t size() const { return n; }

 private:
  size_t n;
  T *memory;
};

// exp(x) for x <= 0: 2^n exp(rest) with |rest| <= ln(2)/2 and a Taylor polynomial for exp(rest).
// Zero below `lowest`, because denormal numbers are slow on many processors; the terms that are
// lost are below the rounding of any sum here.

template <typename T> inline T exponential(T x)
{
  constexpr bool is_double = sizeof(T) == 8;
  using Integer = typename std::conditional<is_double, int64_t, int32_t>::type;
  constexpr T lowest = is_double ? T(-300.0) : T(-60.0);
  constexpr T magic = is_double ? T(6755399441055744.0) : T(12582912.0);    // 1.5 * 2^mantissa bits
  const T above = x < lowest ? T(0.0) : T(1.0);
  x = x < lowest ? lowest : x;

  const T shifted = x * T(1.4426950408889634074) + magic;
  const T n = shifted - magic;
  T rest = x - n * T(is_double ? 6.93147180369123816490e-1 : 0.693359375);
  rest = rest - n * T(is_double ? 1.90821492927058770002e-10 : -2.12194440e-4);

  constexpr int degree = is_double ? 12 : 6;
  constexpr T inverse[] = {1.0,     1.0,     1.0 / 2, 1.0 / 3,  1.0 / 4,  1.0 / 5, 1.0 / 6,
                           1.0 / 7, 1.0 / 8, 1.0 / 9, 1.0 / 10, 1.0 / 11, 1.0 / 12};
  T polynomial = 1.0;
#pragma GCC unroll 16
  for (int k = degree; k > 0; k--) polynomial = polynomial * (rest * inverse[k]) + T(1.0);

  Integer bits, offset;
  const T base = magic;
  memcpy(&bits, &shifted, sizeof(bits));
  memcpy(&offset, &base, sizeof(offset));
  bits = (Integer) ((bits - offset + (is_double ? 1023 : 127)) << (is_double ? 52 : 23));
  T power;
  memcpy(&power, &bits, sizeof(power));
  return polynomial * (power * above);
}

// cosine and sine of x in [0, pi] by Taylor series around pi/2

template <typename T> inline void cosine_and_sine(T x, T &cosine, T &sine)
{
  const T y = T(1.57079632679489661923) - x;    // cos x = sin y, sin x = cos y
  const T z = y * y;
  constexpr int terms = sizeof(T) == 8 ? 11 : 7;
  T s = 1.0, c = 1.0;
#pragma GCC unroll 16
  for (int k = terms; k > 0; k--) {
    s = T(1.0) - s * (z * T(1.0 / ((2 * k) * (2 * k + 1))));
    c = T(1.0) - c * (z * T(1.0 / ((2 * k - 1) * (2 * k))));
  }
  cosine = y * s;
  sine = c;
}

}    // namespace
}    // namespace UBIAS_ISA
}    // namespace gaussian_moments

#endif
