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
#include "base/interrupt.hpp"
#include "base/mapped_file.hpp"
#include "base/parallel.hpp"
#include "base/printable.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "gguf/split.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr int64_t kPieceWeights = 1 << 20;  // of a task
constexpr size_t kFirstBytes = 4096;        // of a tensor, that tell it from another of the same shape

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

bool decode_row(const gguf::Tensor& tensor, int64_t row, std::vector<float>& weights) {
  const Format* format = find_format(tensor.format);
  if (!format) return false;
  weights.resize(static_cast<size_t>(tensor.cols()));
  format->decode(tensor.row(row).data(), weights);
  return true;
}

/// The first column that is not finite, or -1.
int64_t bad_column(const gguf::Tensor& tensor, int64_t row, std::vector<float>& weights) {
  const std::span<const std::byte> bytes = tensor.row(row);
  if (tensor.format == FormatId::f32 && !has_exponent<uint32_t>(bytes, 0x7f800000)) return -1;
  if (tensor.format == FormatId::f16 && !has_exponent<uint16_t>(bytes, 0x7c00)) return -1;
  if (tensor.format == FormatId::bf16 && !has_exponent<uint16_t>(bytes, 0x7f80)) return -1;
  if (!decode_row(tensor, row, weights)) return -1;
  const auto bad = std::ranges::find_if_not(weights, [](float w) { return std::isfinite(w); });
  return bad == weights.end() ? -1 : bad - weights.begin();
}

void keep_least(std::atomic<int64_t>& least, int64_t value) {
  for (int64_t now = least; value < now && !least.compare_exchange_weak(now, value);) {
  }
}

[[noreturn]] void refuse(const gguf::Reader& model, const gguf::Tensor& tensor, int64_t row) {
  std::vector<float> weights;
  const int64_t column = bad_column(tensor, row, weights);
  const auto files = gguf::split_files(model.path());
  const auto shard = std::min(static_cast<size_t>(tensor.shard), files.size() - 1);
  throw Error{str("tensor '", printable(tensor.name), "' holds ", weights[static_cast<size_t>(column)],
                  " at row ", row, ", column ", column),
              files[shard].string(), "the source is damaged or was converted wrongly; convert it again"};
}

/// Names, shapes and the first bytes of all tensors: a model that was repaired is another one.
Digest key_of(const gguf::Reader& model) {
  Hasher hasher;
  hasher.add("finite weights");
  for (const gguf::Tensor& tensor : model.tensors())
    hasher.add(tensor.name)
        .add(static_cast<uint64_t>(tensor.format))
        .add_array<int64_t>(tensor.shape)
        .add(tensor.data.first(std::min(kFirstBytes, tensor.data.size())));
  return hasher.finish();
}

}  // namespace

void check_finite(const gguf::Reader& model, const gguf::Tensor& tensor) {
  constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  std::atomic<int64_t> first{kNone};
  parallel_ranges(tensor.rows(), std::max<int64_t>(1, kPieceWeights / tensor.cols()),
                  [&](int64_t begin, int64_t end) {
                    thread_local std::vector<float> weights;
                    if (interrupted()) return;
                    for (int64_t row = begin; row < end && row < first; ++row)
                      if (bad_column(tensor, row, weights) >= 0) return keep_least(first, row);
                  });
  check_interrupt();
  if (first != kNone) refuse(model, tensor, first);
}

void check_finite(const gguf::Reader& model) {
  int64_t bytes = 0;
  for (const gguf::Tensor& tensor : model.tensors()) bytes += static_cast<int64_t>(tensor.data.size());
  Progress progress{"checking weights", bytes, Progress::Unit::bytes};
  for (const gguf::Tensor& tensor : model.tensors()) {
    check_finite(model, tensor);
    MappedFile::done_with(tensor.data);
    progress.advance(static_cast<int64_t>(tensor.data.size()), std::string(tensor.name));
  }
}

void check_finite_once(const gguf::Reader& model, Store& state) {
  constexpr std::string_view kNote = "snug_finite_weights\n";
  const Digest key = key_of(model);
  if (state.contains(RecordKind::note, key)) return;
  check_finite(model);
  state.put(RecordKind::note, key, std::as_bytes(std::span{kNote.data(), kNote.size()}));
  state.sync();
}

}  // namespace snug
