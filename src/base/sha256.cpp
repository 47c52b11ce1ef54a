#include "base/sha256.hpp"

#include <algorithm>
#include <bit>

namespace snug {
namespace {

constexpr size_t kBlock = 64;

/// The first bits of the fractional parts of the cube roots of the first 64 primes.
constexpr std::array<uint32_t, 64> kRounds{
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

using Words = std::array<uint32_t, 64>;

uint32_t big_endian(const std::byte* bytes) {
  uint32_t word = 0;
  for (int i = 0; i < 4; ++i) word = word << 8 | std::to_integer<uint32_t>(bytes[i]);
  return word;
}

Words spread(const std::byte* block) {
  Words w{};
  for (size_t t = 0; t < 16; ++t) w[t] = big_endian(block + 4 * t);
  for (size_t t = 16; t < w.size(); ++t) {
    const uint32_t a = w[t - 15], b = w[t - 2];
    w[t] = w[t - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) + w[t - 7] +
           (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
  }
  return w;
}

}  // namespace

void Sha256::take_block(const std::byte* block) {
  const Words w = spread(block);
  auto [a, b, c, d, e, f, g, h] = sums_;
  for (size_t t = 0; t < w.size(); ++t) {
    const uint32_t one = h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & f) ^ (~e & g)) + kRounds[t] + w[t];
    const uint32_t two = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + one;
    d = c, c = b, b = a, a = one + two;
  }
  const std::array<uint32_t, 8> more{a, b, c, d, e, f, g, h};
  for (size_t i = 0; i < sums_.size(); ++i) sums_[i] += more[i];
}

Sha256& Sha256::add(std::span<const std::byte> piece) {
  size_t held = bytes_ % kBlock;
  bytes_ += piece.size();
  while (!piece.empty()) {
    const size_t taken = std::min(kBlock - held, piece.size());
    std::ranges::copy(piece.first(taken), pending_.begin() + static_cast<std::ptrdiff_t>(held));
    piece = piece.subspan(taken);
    held = (held + taken) % kBlock;
    if (held == 0) take_block(pending_.data());
  }
  return *this;
}

std::string Sha256::hex() && {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const uint64_t bits = 8 * bytes_;
  const std::byte one{0x80}, zero{0};
  add({&one, 1});
  while (bytes_ % kBlock != kBlock - sizeof bits) add({&zero, 1});
  std::array<std::byte, sizeof bits> length{};
  for (size_t i = 0; i < length.size(); ++i) length[i] = static_cast<std::byte>(bits >> (56 - 8 * i));
  add(length);
  std::string text;
  for (const uint32_t sum : sums_)
    for (int shift = 28; shift >= 0; shift -= 4) text += kDigits[sum >> shift & 15];
  return text;
}

}  // namespace snug
