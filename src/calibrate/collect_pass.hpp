#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "calibrate/column_sums.hpp"
#include "calibrate/moment_sums.hpp"
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
/// are told on stderr. The lengths of all arrays go together; whether they are those of a model is not known
/// here. `mirrored` as chunks_done says is not checked.
std::optional<CollectPass> load_pass(const std::filesystem::path& path, const Digest& key);

}  // namespace snug
