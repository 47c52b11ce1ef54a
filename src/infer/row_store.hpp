#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "base/files/scratch_file.hpp"
#include "infer/rows.hpp"

namespace snug::infer {

class RowStore;

/// Rows that wait in a store, which lives longer. One thread at a time.
class StoredRows {
 public:
  StoredRows(RowStore& store, Activations rows);
  ~StoredRows();
  StoredRows(const StoredRows&) = delete;
  StoredRows& operator=(const StoredRows&) = delete;

  Activations read() const { return read(0, count_); }
  Activations read(int64_t first, int64_t count) const;
  void replace(Activations rows);  // of the same shape

 private:
  RowStore& store_;
  int64_t count_, width_;
  Activations rows_;                // in memory,
  std::optional<int64_t> offset_;  // or in the file
};

/// Rows of numbers that wait for their turn: in memory while those of the store take no more than its limit, the
/// others in a scratch file. Threads may share it.
class RowStore {
 public:
  explicit RowStore(int64_t memory_bytes) : memory_bytes_{memory_bytes} {}

  std::shared_ptr<StoredRows> keep(Activations rows) { return std::make_shared<StoredRows>(*this, std::move(rows)); }
  int64_t spilled_bytes() const;  // how long the file is

 private:
  friend class StoredRows;
  /// Nothing where the rows may stay in memory; else where in the file there is room for them.
  std::optional<int64_t> place_for(int64_t bytes);
  void give_back(int64_t bytes, std::optional<int64_t> offset);
  ScratchFile& file();

  const int64_t memory_bytes_;
  mutable std::mutex mutex_;
  int64_t in_memory_ = 0, file_bytes_ = 0;
  std::multimap<int64_t, int64_t> free_;  // bytes and offset, of parts of the file
  std::unique_ptr<ScratchFile> file_;
};

}  // namespace snug::infer
