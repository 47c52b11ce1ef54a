#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <vector>

#include "imatrix/importance.hpp"
#include "measure/measurement.hpp"
#include "measure/sample.hpp"
#include "snug/model.hpp"
#include "snug/state.hpp"

namespace snug {

/// Work done, shared by all tensors of a run.
struct MeasureCounters {
  std::atomic<int64_t> measured{0}, reused{0}, rows{0}, weights{0};
  std::map<FormatId, std::atomic<int64_t>> nanoseconds;  // one entry a format, made before the run
};

/// One tensor, its rows in measuring order, and what is known of it in each candidate format.
class TensorMeasurer {
 public:
  struct Settings {
    double precision;
    Effort effort;
  };

  TensorMeasurer(const Tensor& tensor, const TensorImportance* importance,
                 std::vector<const Format*> candidates, Settings settings);

  /// One Measurement per candidate (in their order; the source format is exact and free). Known ones come from `state`,
  /// new ones are put there and synced.
  std::vector<Measurement> run(Store& state, MeasureCounters& counters);
  bool all_known() const { return all_known_; }  // run() found everything in the state

 private:
  struct Pending;
  Digest key_of(const Format& format) const;
  Digest rows_digest(int64_t count);
  void measure_batch(int64_t begin, int64_t end, std::vector<Pending>& pending, MeasureCounters& counters) const;
  void add_row(int64_t row);  // to the digest of rows

  const Tensor& tensor_;
  const TensorImportance* importance_;
  std::vector<const Format*> candidates_;
  Settings settings_;
  const Format& source_;
  RowOrder order_;
  Digest base_key_;
  Hasher hasher_;               // of the rows below hashed_
  int64_t hashed_ = 0;
  bool all_known_ = false;
  std::map<int64_t, Digest> digests_;
};

}  // namespace snug
