#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "snug/digest.hpp"
#include "snug/state.hpp"
#include "state/crc32c.hpp"

namespace snug::state {

static_assert(std::endian::native == std::endian::little,
              "the structs below are written as they lie in memory");

constexpr uint32_t kFormatVersion = 1;

/// The first bytes of every store. The magic's first byte is no ASCII, its last two are what a text-mode copy
/// spoils.
struct FileHeader {
  std::array<uint8_t, 8> magic{0x89, 'S', 'N', 'U', 'G', 'S', '\r', '\n'};
  uint32_t version = kFormatVersion;  // a newer one is refused, not guessed
  uint32_t crc32c = 0;                // of the bytes before
};
static_assert(sizeof(FileHeader) == 16);

enum class Encoding : uint16_t { raw = 0, zstd = 1 };  // unknown ones are skipped and counted

/// On disk, little-endian, never edited in place. Spec: docs/state-format.md.
struct RecordHeader {
  uint32_t crc32c = 0;         // of every later byte, payload included
  Encoding encoding{};         // of the payload
  RecordKind kind{};           // unknown kinds are skipped and counted
  uint32_t stored_bytes = 0;   // of the payload as it lies in the file
  uint32_t header_crc32c = 0;  // of the record's file offset and the header's other fields but crc32c
  Digest key;                  // of what the payload is about
};
static_assert(sizeof(RecordHeader) == 32 && offsetof(RecordHeader, key) == 16);

constexpr int64_t kFileHeaderBytes = sizeof(FileHeader);
constexpr int64_t kRecordHeaderBytes = sizeof(RecordHeader);

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span{&value, 1});
}

template <class T>
T read_struct(std::span<const std::byte> bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

inline FileHeader file_header() {
  FileHeader header;
  header.crc32c = crc32c(bytes_of(header).first(offsetof(FileHeader, crc32c)));
  return header;
}

/// A header is only valid at its own place: bytes of a record that lie inside another's payload, or a block
/// that the disk returned for another one, are not mistaken for a record.
inline uint32_t header_crc(const RecordHeader& header, int64_t offset) {
  const auto bytes = bytes_of(header);
  uint32_t crc = crc32c(bytes_of(offset));
  crc = crc32c(bytes.subspan(4, 8), crc);
  return crc32c(bytes.subspan(offsetof(RecordHeader, key)), crc);
}

}  // namespace snug::state
