#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "calibrate/chunk_runner.hpp"
#include "calibrate/moment_sums.hpp"
#include "snug/digest.hpp"

namespace snug {

/// An input whose second moments are wanted.
struct MomentInput {
  std::string name;                  // of the first weight tensor that reads it
  std::vector<std::string> tensors;  // all quantizable ones
  int64_t dim = 0, mats = 1;
  int stage = 0;  // of a TextSweep, that shows it
  std::vector<int32_t> row_groups{};  // where matrices stand for groups of a tensor's rows
  int64_t matrix_bytes() const { return dim * dim * static_cast<int64_t>(sizeof(float)); }
};

/// Which weight tensors read the same activations, found by running the first chunk; in the order of the run.
std::vector<MomentInput> find_inputs(ChunkRunner& runner, const infer::Model& model);

/// Cuts the matrices of all inputs, in order, into passes of at most `memory_bytes`, or of one matrix where
/// that is larger; the first `done` matrices are left out. Nothing is allocated.
std::vector<std::vector<MomentSums>> cut_into_passes(const std::vector<MomentInput>& inputs, int64_t done,
                                                     int64_t memory_bytes);

/// Adds what a chunk shows to the sums of one pass, once for each input.
class MomentCollector {
 public:
  MomentCollector(const std::vector<MomentInput>& inputs, std::vector<MomentSums>& sums);
  void begin_chunk() { seen_.clear(); }
  /// Throws Error where tensors that were found to share an input do not.
  void add(std::string_view tensor, int64_t mat, Matrix<const float> rows);
  /// Whether a matrix is one of these sums.
  bool wants(std::string_view tensor, int64_t mat);

 private:
  MomentSums* find(const std::string& input, int64_t mat);

  std::map<std::string, const MomentInput*, std::less<>> input_of_;
  std::multimap<std::string, MomentSums*, std::less<>> sums_of_;
  std::map<std::pair<std::string, int64_t>, Digest> seen_;  // of inputs that several tensors read, this chunk
};

}  // namespace snug
