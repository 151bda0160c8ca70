/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only */

#include "sha256.h"

#include <array>
#include <cmath>
#include <cstdint>

namespace {

using State = std::array<uint32_t, 8>;

// The constants are the first 32 bits of the fractional parts of roots of the first primes.

uint32_t fraction_of(long double root)
{
  return (uint32_t) ((root - std::floor(root)) * 4294967296.0L);
}

struct Constants {
  State initial;
  std::array<uint32_t, 64> k;

  Constants()
  {
    int found = 0;
    for (int n = 2; found < 64; n++) {
      bool prime = true;
      for (int d = 2; d * d <= n; d++) prime = prime && n % d != 0;
      if (!prime) continue;
      if (found < 8) initial[found] = fraction_of(std::sqrt((long double) n));
      k[found++] = fraction_of(std::cbrt((long double) n));
    }
  }
};

uint32_t rotr(uint32_t x, int n)
{
  return (x >> n) | (x << (32 - n));
}

void compress(State &hash, const unsigned char *block, const Constants &constants)
{
  std::array<uint32_t, 64> w;
  for (int t = 0; t < 16; t++)
    w[t] = (uint32_t) block[4 * t] << 24 | (uint32_t) block[4 * t + 1] << 16 |
        (uint32_t) block[4 * t + 2] << 8 | (uint32_t) block[4 * t + 3];
  for (int t = 16; t < 64; t++) {
    const uint32_t sigma0 = rotr(w[t - 15], 7) ^ rotr(w[t - 15], 18) ^ (w[t - 15] >> 3);
    const uint32_t sigma1 = rotr(w[t - 2], 17) ^ rotr(w[t - 2], 19) ^ (w[t - 2] >> 10);
    w[t] = sigma1 + w[t - 7] + sigma0 + w[t - 16];
  }

  auto [a, b, c, d, e, f, g, h] = hash;
  for (int t = 0; t < 64; t++) {
    const uint32_t Sigma1 = rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25);
    const uint32_t Ch = (e & f) ^ (~e & g);
    const uint32_t T1 = h + Sigma1 + Ch + constants.k[t] + w[t];
    const uint32_t Sigma0 = rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22);
    const uint32_t Maj = (a & b) ^ (a & c) ^ (b & c);
    h = g;
    g = f;
    f = e;
    e = d + T1;
    d = c;
    c = b;
    b = a;
    a = T1 + Sigma0 + Maj;
  }
  const State change = {a, b, c, d, e, f, g, h};
  for (int n = 0; n < 8; n++) hash[n] += change[n];
}

}    // namespace

std::string LAMMPS_NS::sha256(const std::string &message)
{
  static const Constants constants;
  std::string padded = message + '\x80';
  padded.resize((padded.size() + 8 + 63) / 64 * 64, '\0');
  const uint64_t bits = 8 * (uint64_t) message.size();
  for (int n = 0; n < 8; n++) padded[padded.size() - 1 - n] = (char) (bits >> (8 * n));

  State hash = constants.initial;
  for (size_t at = 0; at < padded.size(); at += 64)
    compress(hash, (const unsigned char *) padded.data() + at, constants);

  std::string digits;
  for (uint32_t word : hash)
    for (int shift = 28; shift >= 0; shift -= 4) digits += "0123456789abcdef"[word >> shift & 15];
  return digits;
}
