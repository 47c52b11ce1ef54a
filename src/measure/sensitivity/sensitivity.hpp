#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "imatrix/importance.hpp"
#include "infer/model.hpp"
#include "measure/probe.hpp"
#include "measure/sensitivity/saved_way.hpp"
#include "snug/profile.hpp"
#include "snug/state.hpp"

namespace snug {

/// Raised when the same model, text and format would give other figures: part of every record's key.
constexpr uint32_t kSensitivityVersion = 2;

struct SensitivityOptions {
  int64_t chunks = 12;         // of the text, at most
  int64_t context = 256;       // tokens of a chunk; those behind the first eighth are scored
  std::optional<int32_t> bos;  // replaces the first token of each chunk
  int64_t draws = 2;           // of labels for every token
  std::string formats;         // comma-separated; empty: all that the runtime loads
  std::string runtime = "llama.cpp";
  Effort effort = Effort::normal;
  int64_t memory_bytes = int64_t{2} << 30;  // for hidden states and gradients; beyond, a scratch file
  int shard = 0, shards = 1;                // of several: every shards-th chunk
  SaveWay saved{};                          // a pass under way
};

/// What the model's output suffers where one tensor is stored in one format.
struct Sensitivity {
  double loss = 0;            // nats of KL divergence per token
  double standard_error = 0;  // over chunks
};

struct TensorSensitivity {
  std::map<FormatId, Sensitivity> formats;
  int64_t rows = 0, sampled = 0;
  int64_t chunks = 0;
};

struct SensitivityResults {
  std::map<std::string, TensorSensitivity, std::less<>> tensors;
  std::vector<std::string> beyond;     // read by the forward pass, but out of reach of a reverse pass
  std::string digest;                  // of all of them
  int64_t measured = 0, reused = 0;    // (tensor, format, chunk)
  double seconds = 0;                  // of this run, and of that:
  double encoding_seconds = 0;         // encoding the sampled rows in every format
  double forward_seconds = 0;          // running the original
};

/// The loss of every tensor in every candidate format, from the gradients of one reverse pass per chunk and draw.
/// Near the original KL is half the quadratic form of the Fisher matrix, and the gradient G of the log-likelihood
/// of labels that the model itself drew is a sample of its square root; so with N scored tokens
///
///   D(t, f) = 1/(2 N) * mean over draws of  sum over chunks and row groups of (sum over rows <G_row, error_row(f)>)^2
///
/// for the very error that the format makes (docs/loss.md). Rows are sampled (RowSample). Every (tensor, format,
/// chunk) is a record of `state`, synced block by block, and where the pass stands is saved between two blocks; what is
/// there makes no difference to the result.
/// Deterministic on any thread count. States of shards, merged, are that of a whole run. Ctrl-C throws
/// Fault::interrupted. Throws Error where the text has fewer than two chunks.
SensitivityResults sensitivities(const infer::Model& model, const Importance* importance, Store& state,
                                 std::span<const int32_t> tokens, const SensitivityOptions& options);

/// The tensors whose damage in about three bits is most, most first: what forward probes are best spent on.
std::vector<std::string> worth_checking(const SensitivityResults& results, size_t count);

/// Losses of the tensors and formats in `results` take the place of alpha * rho; alpha is what makes it of the
/// format nearest to three and a half bits, alpha_from "reverse". Tensors in `probes` besides are brought to the level
/// that the probe measured in its format; what no reverse pass reaches takes the probe's alpha ("probe"), or its
/// prior, on the scale of the others by the median over tensors.
void apply_sensitivities(Profile& profile, const SensitivityResults& results, const ProbeResults& probes = {});

}  // namespace snug
