#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.hpp"
#include "snug/state.hpp"
#include "state/scratch_disk.hpp"

namespace snug::test {

using Bytes = std::vector<std::byte>;

inline Digest key_of(std::string_view text) {
  return Hasher{}.add(text).finish();
}

inline Bytes bytes(std::string_view text) {
  const auto view = std::as_bytes(std::span{text.data(), text.size()});
  return {view.begin(), view.end()};
}

inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Lengths from nothing to a few hundred bytes; half of them compress.
inline Bytes random_payload(std::mt19937_64& random) {
  Bytes payload(random() % 300);
  const bool plain = random() % 2;
  for (std::byte& b : payload) b = static_cast<std::byte>(plain ? 'a' + random() % 2 : random());
  return payload;
}

/// A store on a scratch disk, spoken to in short words.
class StoreOnScratchDisk : public testing::Test {
 protected:
  void SetUp() override { reopen(); }

  void put(const std::string& name, int value, RecordKind kind = RecordKind::measurement) {
    store->put(kind, key_of(name), bytes(std::to_string(value)));
  }
  std::optional<int> get(const std::string& name, RecordKind kind = RecordKind::measurement) const {
    const auto payload = store->get(kind, key_of(name));
    if (!payload) return {};
    return std::stoi(text_of(*payload));
  }
  void sync() { store->sync(); }
  void close() { store.reset(); }
  void reopen(Access access = Access::write) {
    close();
    store.emplace(Store::open(disk, path, access));
  }
  void lose_unsynced_bytes() {
    disk.cut_power_after(0);
    close();
    disk.restore_power(ScratchDisk::Unsynced::lost, ScratchDisk::Names::lost);
  }
  Bytes& file() { return disk.bytes(path); }

  ScratchDisk disk;
  std::filesystem::path path = "model.state";
  std::optional<Store> store;
};

}  // namespace snug::test
