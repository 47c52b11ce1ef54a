#pragma once

#include <string>
#include <vector>

#include "snug/model.hpp"
#include "imatrix/importance.hpp"
#include "snug/format.hpp"
#include "snug/profile.hpp"
#include "snug/state.hpp"

namespace snug {

struct MeasureOptions {
  double precision = 0.02;         // wanted relative standard error of each rho
  Effort effort = Effort::normal;
  std::string formats;             // comma-separated; empty: all that the runtime loads
  std::string runtime = "llama.cpp";
  int shard = 0, shards = 1;       // measures shard `shard` of `shards`, balanced by bytes
  bool allow_requantize = false;
};

struct MeasureReport {
  int64_t measured = 0, reused = 0;           // (tensor, format) pairs
  int64_t rows = 0, weights_encoded = 0;      // work done in this run
  double seconds = 0;
  std::vector<std::pair<std::string, int64_t>> format_nanoseconds;  // encoding and decoding, over all threads
};

/// Measures every quantizable tensor of the model in every candidate format, or takes what `state` already knows.
/// Each finished tensor is synced to `state`. Deterministic on any thread count. Ctrl-C throws Fault::interrupted
/// after the tensors under way are saved.
///
/// The Profile holds all tensors if shards == 1, otherwise those of the shard.
Profile measure(const ModelSource& model, const Importance* importance, Store& state, const MeasureOptions& options,
                MeasureReport* report = nullptr);

/// The same tensors and candidates with their bytes, all losses 0: tells before hours of work what can be reached.
Profile unmeasured_profile(const ModelSource& model, const MeasureOptions& options);

}  // namespace snug
