#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "imatrix/imatrix_file.hpp"

namespace snug {

/// What an imatrix says of one tensor's input x. Experts are pooled, each by its tokens: v_j = E[x_j^2] and
/// m_j = E[x_j] over all token rows.
struct TensorStatistics {
  struct Column {
    int64_t index;
    double share;  // of the sum of v
  };
  std::string tensor;
  int64_t cols = 0, mats = 1;
  double tokens = 0;        // rows summed, all experts'
  double energy = 0;        // sum of v_j
  double share = 0;         // of the energy of all tensors
  double mean_share = -1;   // sum of m_j^2 / energy; -1 where the file has no means
  double entropy = 0;       // of v_j / energy, bits; log2(cols) if all columns weigh the same
  double effective = 0;     // columns: (sum v)^2 / sum v^2
  std::vector<Column> top;  // the heaviest, heaviest first
  int64_t never_hit = 0,
          rarely_hit = 0;  // experts with no token; with some, but under a tenth of their share
};

/// Of every tensor, by block and name; `top` columns each.
std::vector<TensorStatistics> statistics_of(const Imatrix& imatrix, size_t top);

}  // namespace snug
