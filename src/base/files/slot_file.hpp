#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "snug/digest.hpp"

namespace snug {

/// Pieces of one size, numbered from 0, in a file that a later start of the program finds again. On disk: u64 magic,
/// key[16], u64 bytes of a slot, then slots: digest[16] and the bytes, where one was put. Threads may use different
/// slots at once. Everything throws Error of Fault::io.
class SlotFile {
 public:
  /// Goes on with a file that is of this key and size, and begins any other anew.
  SlotFile(const std::filesystem::path& path, const Digest& key, int64_t slot_bytes);
  ~SlotFile();
  SlotFile(const SlotFile&) = delete;
  SlotFile& operator=(const SlotFile&) = delete;

  void put(int64_t slot, std::span<const std::byte> bytes);
  /// False where nothing was put, or not all of it has reached the disk.
  bool get(int64_t slot, std::span<std::byte> bytes) const;

 private:
  int64_t place_of(int64_t slot) const;
  bool is_mine() const;
  void begin() const;

  std::filesystem::path path_;
  Digest key_;
  int64_t slot_bytes_;
  int fd_;
};

}  // namespace snug
