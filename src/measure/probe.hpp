#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "imatrix/importance.hpp"
#include "infer/model.hpp"
#include "snug/profile.hpp"
#include "snug/state.hpp"

namespace snug {

/// Raised when the same model, text and format would give other figures: part of every probe's key.
constexpr uint32_t kProbeVersion = 1;

struct ProbeOptions {
  int64_t chunks = 24;         // of the text, at most
  int64_t first_chunks = 4;    // that every tensor gets
  int64_t context = 256;       // tokens of a chunk; those behind the first eighth are scored
  std::optional<int32_t> bos;  // replaces the first token of each chunk
  double precision = 0.2;   // wanted relative standard error of a tensor with an average share of the damage
  int64_t memory_bytes = int64_t{2} << 30;  // for what is kept of the original's run
  int shard = 0, shards = 1;  // of several: every shards-th tensor, on the first chunks alone
  std::vector<std::string> only{};  // tensors to probe; empty: all
  std::filesystem::path resume{};   // where a sweep under way is saved for a later start; empty: nowhere
};

/// What one tensor does to the model's output, found by encoding it alone.
struct Probe {
  FormatId format{};          // it was encoded in
  double alpha = 0;           // kl / rho: nats per unit of relative output error
  double standard_error = 0;  // of alpha, over chunks
  double kl = 0;              // mean KL(original || probe), nats per token
  double rho = 0;             // of the encoded tensor, over all rows
  int64_t chunks = 0;
};

struct ProbeResults {
  std::map<std::string, Probe, std::less<>> tensors;  // those that the forward pass reads and a format fits
  std::string digest;                                 // of all of them
  int64_t measured = 0, reused = 0;                   // (tensor, chunk) pairs
  double seconds = 0;
  /// Time of the probes in units of the time the original takes over all chunks; 0 if nothing was run.
  double forward_passes = 0;
};

/// Runs the original on chunks of `tokens`, then with one tensor at a time encoded in about 3 bits, and
/// compares the two token by token. The original runs exactly, so nothing but the encoding makes a
/// difference.
///
/// Every tensor is probed on the first chunks; further ones go where the standard error, weighed by the
/// tensor's share of the damage, is above the average allowed. Each (tensor, chunk) is a record of `state`,
/// synced tensor by tensor, and what is in the state already makes no difference to the result. Deterministic
/// on any thread count. States of shards, merged, leave a whole run only the further chunks. Ctrl-C throws Fault::interrupted. Throws Error where the text has fewer than two
/// chunks.
ProbeResults probe(const infer::Model& model, const Importance* importance, Store& state,
                   std::span<const int32_t> tokens, const ProbeOptions& options);

/// Replaces alpha and the losses of the tensors probed (alpha_from "probe"). Priors of the others are brought
/// to the same scale: by the median over the tensors probed of probe / prior.
void apply_probes(Profile& profile, const ProbeResults& probes);

}  // namespace snug
