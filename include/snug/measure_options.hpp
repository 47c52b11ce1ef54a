#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "snug/format.hpp"

namespace snug {

/// How tensors are measured.
struct MeasureOptions {
  double precision = 0.02;         // wanted relative standard error of each rho
  Effort effort = Effort::normal;
  std::string formats;             // comma-separated; empty: all that the runtime loads
  std::string runtime = "llama.cpp";
  int shard = 0, shards = 1;       // measures shard `shard` of `shards`, balanced by bytes
  bool allow_requantize = false;
};

/// What measuring took.
struct MeasureReport {
  int64_t measured = 0, reused = 0;           // (tensor, format) pairs
  int64_t rows = 0, weights_encoded = 0;      // work done in this run
  double seconds = 0;
  std::vector<std::pair<std::string, int64_t>> format_nanoseconds;  // encoding and decoding, over all threads
};

}  // namespace snug
