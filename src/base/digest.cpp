#include "base/digest.hpp"

#define XXH_INLINE_ALL  // header only: no symbol clash with another copy of the library
#include <xxhash.h>

#include <new>

#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

Digest to_digest(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  Digest digest;
  for (size_t i = 0; i < digest.bytes.size(); ++i) digest.bytes[i] = canonical.digest[i];
  return digest;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

struct Hasher::State {
  XXH3_state_t* xxh = XXH3_createState();
  ~State() { XXH3_freeState(xxh); }
};

Hasher::Hasher() : state_(std::make_unique<State>()) {
  if (!state_->xxh) throw std::bad_alloc{};
  XXH3_128bits_reset(state_->xxh);
}

Hasher::~Hasher() = default;

Hasher& Hasher::add(std::span<const std::byte> part) {
  return begin(part.size()).more(part);
}

Hasher& Hasher::more(std::span<const std::byte> piece) {
  XXH3_128bits_update(state_->xxh, piece.data(), piece.size());
  return *this;
}

Hasher& Hasher::add(std::string_view part) { return add(std::as_bytes(std::span{part.data(), part.size()})); }

Hasher& Hasher::add(uint64_t number) {
  std::array<uint8_t, 8> little{};
  for (size_t i = 0; i < little.size(); ++i) little[i] = static_cast<uint8_t>(number >> 8 * i);
  XXH3_128bits_update(state_->xxh, little.data(), little.size());
  return *this;
}

Digest Hasher::finish() const { return to_digest(XXH3_128bits_digest(state_->xxh)); }

Digest digest_of(std::span<const std::byte> bytes) { return to_digest(XXH3_128bits(bytes.data(), bytes.size())); }

std::string Digest::hex() const {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : bytes) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

Digest Digest::from_hex(std::string_view text) {
  Digest digest;
  bool good = text.size() == 2 * digest.bytes.size();
  for (size_t i = 0; good && i < digest.bytes.size(); ++i) {
    const int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
    good = high >= 0 && low >= 0;
    digest.bytes[i] = static_cast<uint8_t>(high * 16 + low);
  }
  if (!good) throw Error{str("'", text, "' is not a digest"), "", "a digest is 32 lower-case hexadecimal digits"};
  return digest;
}

}  // namespace snug
