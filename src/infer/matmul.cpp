#include "infer/matmul.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/aligned.hpp"
#include "base/parallel.hpp"
#include "infer/exact/exact_kernels.hpp"
#include "infer/kernels/activations.hpp"

namespace snug::infer {
namespace {

int64_t padded(int64_t n) {
  return (n + 7) / 8 * 8;
}

/// x with its rows padded with zeros to a multiple of 8; x itself where they are one.
const Activations& padded_rows(const Activations& x, Activations& storage) {
  if (x.width() % 8 == 0) return x;
  storage = Activations(x.count(), padded(x.width()));
  for (int64_t t = 0; t < x.count(); ++t) std::copy_n(x.at(t), x.width(), storage.at(t));
  return storage;
}

/// Rows of f32 as they lie there, which need no copy; null where they are to be decoded, or padded.
const float* plain_rows(const Weight& w, int64_t matrix, int64_t first) {
  const bool is_plain = w.format->id == FormatId::f32 && w.cols % 8 == 0;
  const std::byte* row = is_plain ? w.row(matrix, first) : nullptr;
  const bool is_aligned = reinterpret_cast<uintptr_t>(row) % alignof(float) == 0;  // a file's may lie anywhere
  return is_aligned ? reinterpret_cast<const float*>(row) : nullptr;
}

Activations matmul_exact(const Weight& w, int64_t matrix, const Activations& x) {
  Activations y = Activations::unset(x.count(), w.rows), storage;
  const Activations& in = padded_rows(x, storage);
  const int64_t stride = padded(w.cols);
  const ExactKernels& kernels = exact_kernels();
  parallel_ranges(w.rows, kPanelRows, [&](int64_t begin, int64_t end) {
    const float* plain = plain_rows(w, matrix, begin);
    FloatRow rows(plain ? 0 : static_cast<size_t>((end - begin) * stride));
    // Every task decodes its rows once, for all tokens.
    for (int64_t r = begin; !plain && r < end; ++r)
      decode_row(w, matrix, r, {rows.data() + (r - begin) * stride, static_cast<size_t>(w.cols)});
    kernels.panel(plain ? plain : rows.data(), end - begin, in.at(0), x.count(), stride, y.at(0) + begin, w.rows);
  });
  return y;
}

// Bytes of weights to a task. Memory reads ahead in long ones; with short ones at the end, all threads end
// together.
constexpr int64_t kMaxDotBytes = 1 << 20, kMinDotBytes = 1 << 14;

/// One matrix of a product as it lies in memory, and which rows of activations it wants.
struct Part {
  const PackedFormat* format = nullptr;
  PackedRows all{};
  int64_t together = 1;  // rows that one call takes at least
  const QuantizedActivations* in = nullptr;
  Activations* out = nullptr;

  PackedRows rows(int64_t begin, int64_t end) const {
    return {all.data + begin * all.row_bytes, all.row_bytes, end - begin, all.cols};
  }
  void dots(int64_t begin, int64_t end) const {
    for (int64_t t = 0; t < out->count(); ++t) format->dots(rows(begin, end), in->row(t), out->at(t) + begin);
  }
  void product(int64_t begin, int64_t end) const {
    const auto scratch =
        std::make_unique_for_overwrite<float[]>(static_cast<size_t>(scratch_size(out->count())));
    format->product(rows(begin, end), in->tiles(), scratch.get(), out->at(0) + begin, all.count);
  }
};

/// How fast mode multiplies: format is nullptr where it cannot.
Part part_of(const Weight& w, int64_t matrix) {
  if (const RepackedFormat* repacked =
          w.repacked.empty() ? nullptr : packed_kernels().find_repacked(w.format->id)) {
    const int64_t row_bytes = repacked->row_bytes(w.cols);
    return {&repacked->products,
            {w.repacked.data() + matrix * w.rows * row_bytes, row_bytes, w.rows, w.cols},
            kStripRows};
  }
  const PackedFormat* format = packed_kernels().find(w.format->id);
  if (format && w.cols % block_of(format->rounding) != 0) return {};
  return {format, {w.row(matrix, 0), w.format->row_bytes(w.cols), w.rows, w.cols}};
}

/// x as each of the formats wants it; those that want the same share it.
class SharedActivations {
 public:
  const QuantizedActivations& find(const PackedFormat& format, const Activations& x,
                                   QuantizedActivations::Use use) {
    for (const auto& [known, in] : kept_)
      if (known->rounding == format.rounding &&
          (known->layout == format.layout || use == QuantizedActivations::Use::dots))
        return *in;
    kept_.emplace_back(&format, std::make_unique<QuantizedActivations>(packed_kernels(), format, x, use));
    return *kept_.back().second;
  }

 private:
  std::vector<std::pair<const PackedFormat*, std::unique_ptr<QuantizedActivations>>> kept_;
};

/// Rows of one part.
struct Task {
  const Part* part;
  int64_t begin, end;
};

/// Of all parts, for one loop: the last rows of one leave no thread idle while another begins.
std::vector<Task> tasks_of(std::span<const Part> parts, QuantizedActivations::Use use) {
  int64_t left = 0;  // bytes
  for (const Part& part : parts) left += part.all.count * part.all.row_bytes;
  std::vector<Task> tasks;
  for (const Part& part : parts)
    for (int64_t begin = 0, end = 0; begin < part.all.count; begin = end) {
      const int64_t bytes = std::clamp(left / (2 * threads()), kMinDotBytes, kMaxDotBytes);
      const int64_t fit = bytes / part.all.row_bytes / part.together * part.together;
      const int64_t rows =
          use == QuantizedActivations::Use::product ? kProductRows : std::max(part.together, fit);
      end = std::min(part.all.count, begin + rows);
      left -= (end - begin) * part.all.row_bytes;
      tasks.push_back({&part, begin, end});
    }
  return tasks;
}

void multiply(std::span<const Part> parts, QuantizedActivations::Use use) {
  const std::vector<Task> tasks = tasks_of(parts, use);
  parallel_for(static_cast<int64_t>(tasks.size()), [&](int64_t i) {
    const auto& [part, begin, end] = tasks[static_cast<size_t>(i)];
    use == QuantizedActivations::Use::dots ? part->dots(begin, end) : part->product(begin, end);
  });
}

}  // namespace

void decode_row(const Weight& w, int64_t matrix, int64_t row, std::span<float> out) {
  w.format->decode(w.row(matrix, row), out);
}

std::vector<Activations> matmul_each(std::span<const WeightSlice> factors, const Activations& x,
                                     Compute compute) {
  const auto use =
      x.count() < kProductTokens ? QuantizedActivations::Use::dots : QuantizedActivations::Use::product;
  std::vector<Activations> results(factors.size());
  std::vector<Part> parts;
  SharedActivations shared;
  for (size_t i = 0; i < factors.size(); ++i) {
    const Weight& w = *factors[i].weight;
    Part part = compute == Compute::fast ? part_of(w, factors[i].matrix) : Part{};
    if (!part.format || x.count() == 0) {
      results[i] = matmul_exact(w, factors[i].matrix, x);
      continue;
    }
    results[i] = Activations::unset(x.count(), w.rows);
    part.in = &shared.find(*part.format, x, use);
    part.out = &results[i];
    parts.push_back(part);
  }
  if (!parts.empty()) multiply(parts, use);
  return results;
}

Activations matmul(const Weight& w, int64_t matrix, const Activations& x, Compute compute) {
  const WeightSlice one{&w, matrix};
  return std::move(matmul_each({&one, 1}, x, compute)[0]);
}

}  // namespace snug::infer
