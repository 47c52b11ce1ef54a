#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include "calibrate/column_sums.hpp"
#include "calibrate/moment_sums.hpp"
#include "infer/rows.hpp"
#include "snug/digest.hpp"

namespace snug {

/// Where one pass over the text stands: what `snug imatrix` saves as it goes, so that it can be stopped at
/// any instant. The sums are kept as they are in memory: a resumed run ends with the same bytes.
struct CollectPass {
  int64_t chunks_done = 0;
  ColumnSumsByTensor columns;       // of the first pass only
  std::vector<MomentSums> moments;  // mirrored once the pass is finished
};

/// Replaces the file whole. `key`: digest of everything that the sums depend on.
void save_pass(const std::filesystem::path& path, const Digest& key, const CollectPass& pass);

/// Nothing where there is no such file, where it is of another run (another key), or is damaged; the last two
/// are logged. The lengths of all arrays go together; whether they are those of a model is not known
/// here. `mirrored` as chunks_done says is not checked.
std::optional<CollectPass> load_pass(const std::filesystem::path& path, const Digest& key);

/// Where a sweep of all chunks stands between two stages: what `snug imatrix` saves where it goes through the text
/// layer by layer.
struct CollectPlace {
  int64_t stage = 0;                // that comes next
  int64_t pass = 0;                 // whose moments these are,
  bool finished = false;            // mirrored
  ColumnSumsByTensor columns;       // of the stages before
  std::vector<MomentSums> moments;  // of the pass under way
};
/// As save_pass() and load_pass(). A chunk's place is asked for, and given, when it is written or was read: they are
/// not all in memory together. What was given of a file that turns out to be damaged is of no use.
void save_place(const std::filesystem::path& path, const Digest& key, const CollectPlace& place, int64_t chunks,
                const std::function<std::vector<infer::Activations>(int64_t chunk)>& rows);
std::optional<CollectPlace> load_place(
    const std::filesystem::path& path, const Digest& key, int64_t chunks,
    const std::function<void(const CollectPlace& place, int64_t chunk, std::vector<infer::Activations> rows)>& take);

}  // namespace snug
