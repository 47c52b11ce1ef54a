#include "infer/kv_cache.hpp"

#include <algorithm>

#include "base/str.hpp"
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

}  // namespace

KvCache::KvCache(const Format& format, const LayerMemory& memory, int64_t cells)
    : format_{&format},
      cells_{cells},
      key_bytes_{row_bytes(format, memory.key_width)},
      value_bytes_{row_bytes(format, memory.value_width)},
      keys_(static_cast<size_t>(cells * key_bytes_)),
      values_(static_cast<size_t>(cells * value_bytes_)) {}

int64_t KvCache::bytes_of(const Format& format, const LayerMemory& memory, int64_t cells) {
  return cells * (row_bytes(format, memory.key_width) + row_bytes(format, memory.value_width));
}

void KvCache::store(int64_t position, std::span<const float> key, std::span<const float> value) {
  const int64_t cell = position % cells_;
  format_->encode(key, {}, Effort::normal, keys_.data() + cell * key_bytes_);
  if (value_bytes_) format_->encode(value, {}, Effort::normal, values_.data() + cell * value_bytes_);
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

}  // namespace snug::infer
