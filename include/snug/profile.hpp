#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "snug/format.hpp"

namespace snug {

/// The solver's unit. 100 nats are more than any loss, and sums of that over tensors stay within its limit.
inline int64_t pico_nats(double nats) { return std::llround(std::min(nats * 1e12, 1e14)); }
inline double nats(int64_t pico) { return static_cast<double>(pico) * 1e-12; }

/// Size and predicted loss of one tensor in one format.
struct Candidate {
  FormatId format{};
  int64_t bytes = 0;           // of the tensor's data, without padding
  double relative_error = 0;   // rho = e / E, the relative output error
  double standard_error = 0;   // of relative_error, absolute; 0 where every row was measured
  int64_t loss = 0;            // alpha * rho in pico-nats per token
};

struct ProfiledTensor {
  std::string name, role;
  int layer = -1;
  int64_t cols = 0, rows = 0, experts = 1;  // rows counts all experts' rows
  FormatId source{};
  double alpha = 0;            // nats per unit of rho
  double alpha_error = 0;      // its standard error, absolute; 0 where it is not known (priors)
  std::string alpha_from;      // "prior" or "probe"
  double energy = 0;           // E: mean squared output per token
  bool weighted = false;       // an importance was used
  std::vector<Candidate> candidates;  // sorted by bytes, at least one
};

/// A tensor that is copied as it is.
struct UnquantizedTensor {
  std::string name;
  FormatId format{};
  int64_t weights = 0, bytes = 0;
};

/// Everything the solver needs to know of a model: losses and bytes of each tensor in each format.
struct Profile {
  std::string model_digest, imatrix_digest, state_digest;
  std::vector<ProfiledTensor> tensors;
  std::vector<UnquantizedTensor> fixed;

  int64_t weights() const {
    int64_t sum = 0;
    for (const ProfiledTensor& tensor : tensors) sum += tensor.cols * tensor.rows;
    for (const UnquantizedTensor& tensor : fixed) sum += tensor.weights;
    return sum;
  }
};

}  // namespace snug
