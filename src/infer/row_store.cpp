#include "infer/row_store.hpp"

#include <malloc.h>

#include <algorithm>
#include <utility>

namespace snug::infer {
namespace {

int64_t bytes_of(int64_t count, int64_t width) {
  return count * width * static_cast<int64_t>(sizeof(float));
}

/// Rows that are read, changed and written back by the thousand: where the heap cuts each of them, aligned, out of a
/// larger piece, it is left with as many holes that nothing fits. Large blocks go back to the kernel instead.
void give_back_large_blocks() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 128 << 10);
#endif
}

}  // namespace

StoredRows::StoredRows(RowStore& store, Activations rows)
    : store_{store}, count_{rows.count()}, width_{rows.width()}, offset_{store.place_for(bytes_of(count_, width_))} {
  replace(std::move(rows));
}

StoredRows::~StoredRows() {
  store_.give_back(bytes_of(count_, width_), offset_);
}

Activations StoredRows::read(int64_t first, int64_t count) const {
  Activations rows = Activations::unset(count, width_);
  if (offset_)
    store_.file().read(*offset_ + bytes_of(first, width_), std::as_writable_bytes(rows.values()));
  else
    std::copy_n(rows_.at(first), rows.values().size(), rows.at(0));
  return rows;
}

void StoredRows::replace(Activations rows) {
  if (offset_)
    store_.file().write(*offset_, std::as_bytes(std::as_const(rows).values()));
  else
    rows_ = std::move(rows);
}

int64_t RowStore::spilled_bytes() const {
  const std::lock_guard lock{mutex_};
  return file_bytes_;
}

std::optional<int64_t> RowStore::place_for(int64_t bytes) {
  const std::lock_guard lock{mutex_};
  if (in_memory_ + bytes <= memory_bytes_) {
    in_memory_ += bytes;
    return {};
  }
  if (!file_) {
    file_ = std::make_unique<ScratchFile>();
    give_back_large_blocks();
  }
  if (const auto found = free_.find(bytes); found != free_.end()) {
    const int64_t offset = found->second;
    free_.erase(found);
    return offset;
  }
  return std::exchange(file_bytes_, file_bytes_ + bytes);
}

void RowStore::give_back(int64_t bytes, std::optional<int64_t> offset) {
  const std::lock_guard lock{mutex_};
  if (offset)
    free_.emplace(bytes, *offset);
  else
    in_memory_ -= bytes;
}

ScratchFile& RowStore::file() {
  const std::lock_guard lock{mutex_};
  return *file_;
}

}  // namespace snug::infer
