#include "metatomic_sha256.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <vector>

namespace metatomic {

// first 32 bits of the fractional parts of the cube roots of the first 64 primes, and of the square
// roots of eight
static constexpr uint32_t ROUNDS[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
static constexpr std::array<uint32_t, 8> START = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static uint32_t rotated(uint32_t x, int n) { return (x >> n) | (x << (32 - n)); }

// Mix one block of 64 bytes into the state.
static void add_block(std::array<uint32_t, 8> &state, const unsigned char *block)
{
  uint32_t w[64];
  for (int t = 0; t < 16; t++)
    w[t] = uint32_t(block[4 * t]) << 24 | uint32_t(block[4 * t + 1]) << 16 |
        uint32_t(block[4 * t + 2]) << 8 | block[4 * t + 3];
  for (int t = 16; t < 64; t++) {
    uint32_t s0 = rotated(w[t - 15], 7) ^ rotated(w[t - 15], 18) ^ (w[t - 15] >> 3);
    uint32_t s1 = rotated(w[t - 2], 17) ^ rotated(w[t - 2], 19) ^ (w[t - 2] >> 10);
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }
  auto v = state;  // a to h
  for (int t = 0; t < 64; t++) {
    uint32_t s1 = rotated(v[4], 6) ^ rotated(v[4], 11) ^ rotated(v[4], 25);
    uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
    uint32_t first = v[7] + s1 + choice + ROUNDS[t] + w[t];
    uint32_t s0 = rotated(v[0], 2) ^ rotated(v[0], 13) ^ rotated(v[0], 22);
    uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
    v = {first + s0 + majority, v[0], v[1], v[2], v[3] + first, v[4], v[5], v[6]};
  }
  for (int k = 0; k < 8; k++) state[k] += v[k];
}

std::string sha256_of_file(const std::string &path)
{
  std::ifstream file(path, std::ios::binary);
  if (!file) return "";
  auto state = START;
  uint64_t length = 0;
  std::vector<char> bytes(1 << 16);
  size_t n = bytes.size();
  while (n == bytes.size()) {
    file.read(bytes.data(), bytes.size());
    n = static_cast<size_t>(file.gcount());
    length += n;
    if (n < bytes.size()) {
      // the end: a bit, zeros, and the number of bits
      bytes.resize((n + 9 + 63) / 64 * 64);
      std::fill(bytes.begin() + n, bytes.end(), 0);
      bytes[n] = static_cast<char>(0x80);
      for (int k = 0; k < 8; k++)
        bytes[bytes.size() - 1 - k] = static_cast<char>((8 * length) >> (8 * k));
      for (size_t k = 0; k < bytes.size(); k += 64)
        add_block(state, reinterpret_cast<unsigned char *>(&bytes[k]));
      break;
    }
    for (size_t k = 0; k < n; k += 64)
      add_block(state, reinterpret_cast<unsigned char *>(&bytes[k]));
  }
  std::string text;
  char digits[9];
  for (uint32_t word : state) {
    std::snprintf(digits, sizeof(digits), "%08x", word);
    text += digits;
  }
  return text;
}

}  // namespace metatomic
