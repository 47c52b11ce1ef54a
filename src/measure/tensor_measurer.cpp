#include "measure/tensor_measurer.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <utility>

#include "base/aligned.hpp"
#include "base/parallel.hpp"
#include "base/read_counter.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"
#include "snug/quantize.hpp"

namespace snug {
namespace {

// Fewer would miss that a few rows carry most of a tensor, and the standard error with them.
constexpr int64_t kFirstBatch = 128;

/// Rows measured after the next batch: half as many again, so that little is measured in vain and few batches are cut.
int64_t next_count(int64_t count, int64_t rows) {
  return std::min(rows, count == 0 ? kFirstBatch : count + std::max(kFirstBatch, count / 2));
}

/// Buffers of one thread; a row is looked at in every format while it is in cache.
struct Scratch {
  FloatRow row, decoded, zero;
  std::vector<std::byte> blocks;

  void fit(int64_t cols, int64_t block_bytes) {
    row.resize(static_cast<size_t>(cols));
    decoded.resize(static_cast<size_t>(cols));
    zero.assign(static_cast<size_t>(cols), 0.0f);
    blocks.resize(static_cast<size_t>(block_bytes));
  }
};

int64_t largest_row(const std::vector<const Format*>& formats, int64_t cols) {
  int64_t largest = 0;
  for (const Format* format : formats) largest = std::max(largest, format->row_bytes(cols));
  return largest;
}

}  // namespace

struct TensorMeasurer::Pending {
  size_t candidate;
  const Format* format;
  RatioEstimate estimate;
  std::vector<double> errors;  // of the rows of the batch under way
  bool done = false;
};

TensorMeasurer::TensorMeasurer(const Tensor& tensor, const TensorImportance* importance,
                               std::vector<const Format*> candidates, Settings settings)
    : tensor_(tensor),
      importance_(importance),
      candidates_(std::move(candidates)),
      settings_(settings),
      source_(*find_format(tensor.format)),
      order_(tensor.rows()) {
  Hasher hasher;
  hasher.add("measurement").add(tensor.name).add_array<int64_t>(tensor.shape);
  hasher.add(uint64_t{kSamplerVersion}).add(std::bit_cast<uint32_t>(kAlongRow)).add(static_cast<uint64_t>(tensor.format));
  hasher.add(std::bit_cast<uint64_t>(settings.precision)).add(static_cast<uint64_t>(settings.effort));
  if (importance_) {
    hasher.add_array<float>(importance_->mean_square).add_array<float>(importance_->mean);
    hasher.add_array<float>(importance_->counts);
  }
  const Digest first = rows_digest(next_count(0, tensor.rows()));
  base_key_ = hasher.add_array<uint8_t>(first.bytes).finish();
}

Digest TensorMeasurer::key_of(const Format& format) const {
  return Hasher{}.add_array<uint8_t>(base_key_.bytes).add(static_cast<uint64_t>(format.id)).add(uint64_t{format.encoder_version}).finish();
}

void TensorMeasurer::add_row(int64_t row) {
  if (const auto in_place = tensor_.row(row); !in_place.empty()) {
    hasher_.add(in_place);
    return;
  }
  std::vector<std::byte> blocks(static_cast<size_t>(tensor_.row_bytes()));
  tensor_.read_blocks(row, 1, blocks);
  hasher_.add(blocks);
}

/// Digest of the first `count` rows in measuring order; counts come as next_count() gives them.
Digest TensorMeasurer::rows_digest(int64_t count) {
  while (hashed_ < count) {
    const int64_t end = next_count(hashed_, tensor_.rows());
    for (; hashed_ < end; ++hashed_) add_row(order_[hashed_]);
    digests_[end] = hasher_.finish();
  }
  const auto found = digests_.find(count);
  return found == digests_.end() ? Digest{} : found->second;
}

void TensorMeasurer::measure_batch(int64_t begin, int64_t end, std::vector<Pending>& pending,
                                   MeasureCounters& counters) const {
  const auto count = static_cast<size_t>(end - begin);
  std::vector<double> energies(count);
  for (Pending& p : pending) p.errors.assign(count, 0.0);

  parallel_for(end - begin, [&](int64_t i) {
    thread_local Scratch scratch;
    scratch.fit(tensor_.cols(), largest_row(candidates_, tensor_.cols()));
    const int64_t row = order_[begin + i];
    tensor_.read_row(row, scratch.row);
    const ColumnWeights columns = columns_of(importance_, tensor_, row);
    const double share = token_share_of(importance_, tensor_, row);
    const auto at = static_cast<size_t>(i);
    energies[at] = share * weighted_error(scratch.zero, scratch.row, columns);
    for (Pending& p : pending) {
      if (p.done) continue;
      const auto start = std::chrono::steady_clock::now();
      p.format->encode(scratch.row, columns, settings_.effort, scratch.blocks.data());
      p.format->decode(scratch.blocks.data(), scratch.decoded);
      counters.nanoseconds.at(p.format->id) += (std::chrono::steady_clock::now() - start).count();
      p.errors[at] = share * weighted_error(scratch.row, scratch.decoded, columns);
    }
  });

  counters.rows += end - begin;
  for (Pending& p : pending) {
    if (p.done) continue;
    counters.weights += (end - begin) * tensor_.cols();
    for (size_t i = 0; i < count; ++i) p.estimate.add(p.errors[i], energies[i]);  // in order: same sum on any threads
    p.done = p.estimate.standard_error() <= settings_.precision * p.estimate.ratio();
  }
}

std::vector<Measurement> TensorMeasurer::run(Store& state, MeasureCounters& counters) {
  std::vector<Measurement> results(candidates_.size());
  std::vector<Pending> pending;
  for (size_t c = 0; c < candidates_.size(); ++c) {
    Measurement& result = results[c];
    result = {std::string(tensor_.name), candidates_[c]->id, tensor_.rows(), tensor_.rows(), {}, 0, 0, 0};
    if (candidates_[c] == &source_) continue;
    if (const auto known = state.get(RecordKind::measurement, key_of(*candidates_[c]))) {
      const Measurement m = parse_measurement(*known);
      const bool is_ours = m.tensor == tensor_.name && m.format == result.format && m.rows == result.rows;
      if (is_ours && m.rows_digest == rows_digest(m.rows_measured)) {
        result = m;
        ++counters.reused;
        continue;
      }
    }
    pending.push_back({c, candidates_[c], RatioEstimate{tensor_.rows()}, {}, false});
  }

  all_known_ = pending.empty();
  for (int64_t begin = 0; begin < tensor_.rows() && !std::ranges::all_of(pending, &Pending::done);) {
    const int64_t end = next_count(begin, tensor_.rows());
    measure_batch(begin, end, pending, counters);
    begin = end;
  }
  for (const Pending& p : pending) {
    Measurement& m = results[p.candidate];
    m.rows_measured = p.estimate.count();
    m.rows_digest = rows_digest(m.rows_measured);
    m.relative_error = p.estimate.ratio();
    m.standard_error = p.estimate.standard_error();
    m.mean_energy = p.estimate.mean_energy();
    state.put(RecordKind::measurement, key_of(*p.format), to_payload(m));
    ++counters.measured;
  }
  if (!pending.empty()) state.sync();
  count_read("measuring", hashed_ * tensor_.row_bytes());
  return results;
}

}  // namespace snug
