#include "infer/kv_cache.hpp"

#include <algorithm>
#include <cstring>

#include "base/str.hpp"
#include "infer/kernels/kernels.hpp"
#include "quant/kernels/dispatch.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

int64_t row_bytes(const Format& format, int64_t width) {
  if (width == 0) return 0;
  if (!format.fits(width))
    throw Error{str("a cache row of ", width, " values does not fit the format ", format.name), "KV cache",
                "use an f16 cache"};
  return format.row_bytes(width);
}

bool all_finite(std::span<const float> row) {
  return kernels().row.finite(row.data(), static_cast<int64_t>(row.size()));
}

}  // namespace

KvCache::KvCache(const Format& format, const LayerCacheShape& memory, int64_t cells)
    : format_{&format},
      cells_{cells},
      key_bytes_{row_bytes(format, memory.key_width)},
      value_bytes_{row_bytes(format, memory.value_width)},
      keys_(static_cast<size_t>(cells * key_bytes_)),
      values_(static_cast<size_t>(cells * value_bytes_)) {}

int64_t KvCache::bytes_of(const Format& format, const LayerCacheShape& memory, int64_t cells) {
  return cells * (row_bytes(format, memory.key_width) + row_bytes(format, memory.value_width));
}

void KvCache::store(int64_t position, std::span<const float> key, std::span<const float> value) {
  std::byte* const key_row = keys_.data() + position % cells_ * key_bytes_;
  std::byte* const value_row = values_.data() + position % cells_ * value_bytes_;
  if (!all_finite(key) || !all_finite(value)) {
    std::memset(key_row, 0xff, static_cast<size_t>(key_bytes_));
    std::memset(value_row, 0xff, static_cast<size_t>(value_bytes_));
    return;
  }
  format_->encode(key, {}, Effort::normal, key_row);
  if (value_bytes_) format_->encode(value, {}, Effort::normal, value_row);
}

const float* KvCache::read(const ZeroedBytes& rows, int64_t bytes, int64_t position, int64_t first,
                           int64_t count, float* scratch) const {
  const std::byte* row = rows.data() + position % cells_ * bytes;
  if (format_->id == FormatId::f32) return reinterpret_cast<const float*>(row) + first;
  const int64_t block = format_->block_weights, from = first / block * block;
  if (first == from && count % block == 0) {
    format_->decode(row + format_->row_bytes(first), {scratch, static_cast<size_t>(count)});
    return scratch;
  }
  const int64_t end = (first + count + block - 1) / block * block;  // heads that share a block
  std::vector<float> whole(static_cast<size_t>(end - from));
  format_->decode(row + format_->row_bytes(from), whole);
  std::copy_n(whole.data() + (first - from), count, scratch);
  return scratch;
}

const float* KvCache::key(int64_t position, int64_t first, int64_t count, float* scratch) const {
  return read(keys_, key_bytes_, position, first, count, scratch);
}

const float* KvCache::value(int64_t position, int64_t first, int64_t count, float* scratch) const {
  if (!value_bytes_) return key(position, first, count, scratch);
  return read(values_, value_bytes_, position, first, count, scratch);
}

void KvCache::copy(const ZeroedBytes& from, int64_t bytes, int64_t position, int64_t rows, int64_t first,
                   int64_t count, float* to) const {
  if (format_->id != FormatId::f16) {
    for (int64_t r = 0; r < rows; ++r, to += count) {
      const float* row = read(from, bytes, position + r, first, count, to);
      if (row != to) std::copy_n(row, count, to);
    }
    return;
  }
  for (int64_t some; rows > 0; rows -= some, position += some, to += some * count) {
    const int64_t cell = position % cells_;  // the ring ends somewhere
    some = std::min(rows, cells_ - cell);
    packed_kernels().widen(from.data() + cell * bytes + format_->row_bytes(first), bytes, some, count, to);
  }
}

void KvCache::copy_to(std::span<std::byte> out) const {
  std::ranges::copy(values_, std::ranges::copy(keys_, out.begin()).out);
}

void KvCache::restore(std::span<const std::byte> cells) {
  std::copy_n(cells.begin(), keys_.size(), keys_.begin());
  std::copy_n(cells.begin() + std::ssize(keys_), values_.size(), values_.begin());
}

void KvCache::copy_keys(int64_t position, int64_t rows, int64_t first, int64_t count, float* to) const {
  copy(keys_, key_bytes_, position, rows, first, count, to);
}

void KvCache::copy_values(int64_t position, int64_t rows, int64_t first, int64_t count, float* to) const {
  if (value_bytes_)
    copy(values_, value_bytes_, position, rows, first, count, to);
  else
    copy_keys(position, rows, first, count, to);
}

}  // namespace snug::infer
