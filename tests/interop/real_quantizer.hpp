#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "interop/real_llama.hpp"

namespace snug::test {

/// What llama-quantize is asked for.
struct QuantizeRequest {
  uint32_t file_type = 7;
  /// By tensor, a value a column and expert. Empty: no imatrix at all.
  std::map<std::string, std::vector<float>> importance{};
  /// Patterns as --tensor-type has them, and ggml's number of the type.
  std::vector<std::pair<std::string, uint32_t>> overrides{};
  /// --token-embedding-type and --output-tensor-type; negative: not given.
  int token_embedding = -1, output = -1;
};

/// The quantize call of the real library: what llama-quantize does behind its command line. One at a time.
class RealQuantizer {
 public:
  explicit RealQuantizer(const RealLlama& llama);

  /// The type of every tensor that it would write ("q4_K"), from a dry run, which asks for no importance.
  /// Throws std::runtime_error with what the library said where it refuses.
  std::map<std::string, std::string> types(const std::filesystem::path& model,
                                           const QuantizeRequest& request) const;

  /// Writes the file. Throws likewise.
  void write(const std::filesystem::path& model, const std::filesystem::path& out,
             const QuantizeRequest& request) const;

 private:
  /// llama_model_quantize_params of this package's release; the constructor checks how it lies.
  struct Params {
    int32_t threads, file_type, output, token_embedding;
    bool allow_requantize, quantize_output, only_copy, pure, keep_split, dry_run;
    const void *imatrix, *kv_overrides, *overrides, *prune_layers;
  };
  std::string run(const std::filesystem::path& model, const std::filesystem::path& out,
                  const QuantizeRequest& request, bool dry) const;

  using Log = void (*)(int, const char*, void*);
  Params (*default_params_)() = nullptr;
  uint32_t (*quantize_)(const char*, const char*, const Params*) = nullptr;
  void (*log_set_)(Log, void*) = nullptr;
};

}  // namespace snug::test
