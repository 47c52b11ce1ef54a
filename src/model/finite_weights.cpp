#include "model/finite_weights.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/digest.hpp"
#include "base/events.hpp"
#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "base/printable.hpp"
#include "base/progress.hpp"
#include "base/read_counter.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr int64_t kPieceWeights = 1 << 20;  // of a task
constexpr int64_t kFirstBytes = 4096;        // of a tensor, that tell it from another of the same shape

/// Whether a row of floats has an exponent of all ones, NaN's and infinity's.
template <class Bits>
bool has_exponent(std::span<const std::byte> row, Bits exponent) {
  unsigned found = 0;
  for (size_t at = 0; at + sizeof(Bits) <= row.size(); at += sizeof(Bits)) {
    Bits bits;
    std::memcpy(&bits, row.data() + at, sizeof bits);
    found |= static_cast<unsigned>((bits & exponent) == exponent);
  }
  return found != 0;
}

/// A row as its format stores it, in place or in `copy`.
std::span<const std::byte> stored_row(const Tensor& tensor, int64_t row, std::vector<std::byte>& copy) {
  if (const auto in_place = tensor.row(row); !in_place.empty()) return in_place;
  copy.resize(static_cast<size_t>(tensor.row_bytes()));
  tensor.read_blocks(row, 1, copy);
  return copy;
}

/// The first column that is not finite, or -1.
int64_t bad_column(const Tensor& tensor, int64_t row, std::vector<float>& weights) {
  thread_local std::vector<std::byte> copy;
  const Format* format = find_format(tensor.format);
  if (!format) return -1;
  const std::span<const std::byte> bytes = stored_row(tensor, row, copy);
  if (tensor.format == FormatId::f32 && !has_exponent<uint32_t>(bytes, 0x7f800000)) return -1;
  if (tensor.format == FormatId::f16 && !has_exponent<uint16_t>(bytes, 0x7c00)) return -1;
  if (tensor.format == FormatId::bf16 && !has_exponent<uint16_t>(bytes, 0x7f80)) return -1;
  weights.resize(static_cast<size_t>(tensor.cols()));
  format->decode(bytes.data(), weights);
  const auto bad = std::ranges::find_if_not(weights, [](float w) { return std::isfinite(w); });
  return bad == weights.end() ? -1 : bad - weights.begin();
}

void keep_least(std::atomic<int64_t>& least, int64_t value) {
  for (int64_t now = least; value < now && !least.compare_exchange_weak(now, value);) {
  }
}

[[noreturn]] void refuse(const Tensor& tensor, int64_t row) {
  std::vector<float> weights;
  const int64_t column = bad_column(tensor, row, weights);
  throw Error{str("tensor '", printable(tensor.name), "' holds ", weights[static_cast<size_t>(column)],
                  " at row ", row, ", column ", column),
              std::string{tensor.file}, "the source is damaged or was converted wrongly; convert it again"};
}

std::vector<std::byte> first_bytes(const Tensor& tensor) {
  if (!find_format(tensor.format)) return {};
  const int64_t rows = std::clamp<int64_t>(kFirstBytes / tensor.row_bytes(), 1, tensor.rows());
  std::vector<std::byte> bytes(static_cast<size_t>(rows * tensor.row_bytes()));
  tensor.read_blocks(0, rows, bytes);
  return bytes;
}

/// Names, shapes and the first bytes of all tensors: a model that was repaired is another one.
Digest key_of(const ModelSource& model) {
  Hasher hasher;
  hasher.add("finite weights");
  for (const Tensor& tensor : model.tensors())
    hasher.add(tensor.name)
        .add(static_cast<uint64_t>(tensor.format))
        .add_array<int64_t>(tensor.shape)
        .add(first_bytes(tensor));
  return hasher.finish();
}

}  // namespace

void check_finite(const Tensor& tensor) {
  constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  std::atomic<int64_t> first{kNone};
  parallel_ranges(tensor.rows(), std::max<int64_t>(1, kPieceWeights / tensor.cols()),
                  [&](int64_t begin, int64_t end) {
                    thread_local std::vector<float> weights;
                    if (cancelled()) return;
                    for (int64_t row = begin; row < end && row < first; ++row)
                      if (bad_column(tensor, row, weights) >= 0) return keep_least(first, row);
                  });
  check_cancelled();
  if (first != kNone) refuse(tensor, first);
}

void check_finite(const ModelSource& model) {
  int64_t bytes = 0;
  for (const Tensor& tensor : model.tensors()) bytes += tensor.bytes();
  Progress progress{"checking weights", bytes, Progress::Unit::bytes};
  for (const Tensor& tensor : model.tensors()) {
    check_finite(tensor);
    tensor.done_with();
    progress.advance(tensor.bytes(), std::string(tensor.name));
  }
  count_read("checking weights", bytes);
}

void check_finite_once(const ModelSource& model, Store& state) {
  constexpr std::string_view kNote = "snug_finite_weights\n";
  const Digest key = key_of(model);
  if (state.contains(RecordKind::note, key)) return;
  if (stays_in_memory(model.bytes()))
    check_finite(model);
  else
    model.contents_digest();  // which checks them on the way, and is wanted anyway
  state.put(RecordKind::note, key, std::as_bytes(std::span{kNote.data(), kNote.size()}));
  state.sync();
}

}  // namespace snug
