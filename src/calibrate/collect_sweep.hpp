#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/save_clock.hpp"
#include "calibrate/chunk_runner.hpp"
#include "calibrate/collect_pass.hpp"
#include "calibrate/pass_sums.hpp"

namespace snug {

/// Collects in one sweep: all chunks go through a stage of the model before the next, and the second moments of one
/// pass after the other exist. A stage whose moments belong to several passes is run for each of them, from the hidden
/// states before it. Now and then where it stands is saved, and a later one goes on from there.
class CollectSweep {
 public:
  struct Job {
    const infer::Model& model;
    const ChunkRunner& runner;
    int64_t first = 0, last = 0;  // chunks
    const CollectedMoments& collected;
    std::filesystem::path saved;  // where the sweep stands
    Digest key;
  };
  /// `columns` and `passes` are filled in. finished(i) is called when pass i is, mirrored: it may release its sums.
  CollectSweep(const Job& job, ColumnSumsByTensor& columns, std::vector<CollectPass>& passes, SaveClock& clock,
               std::function<void(size_t pass)> finished);

  /// Throws Error of Fault::interrupted once cancelled; what was saved last is told.
  void run();
  double model_reads() const { return sweep_->model_reads(); }

 private:
  int64_t chunks() const { return job_.last - job_.first; }
  int stage_of(const MomentSums& moments) const;
  std::vector<size_t> passes_at(int stage) const;
  void begin();
  void resume();
  bool is_place(const CollectPlace& place) const;
  void run_stage();
  void show(std::vector<MomentSums>& moments, ColumnSumsByTensor* columns, bool goes_on);
  void finish(size_t pass);
  void save();
  [[noreturn]] void stop() const;

  Job job_;
  ColumnSumsByTensor& columns_;
  std::vector<CollectPass>& passes_;
  SaveClock& clock_;
  std::function<void(size_t)> finished_;
  std::unique_ptr<TextSweep> sweep_;
  std::optional<int> saved_stage_;
};

}  // namespace snug
