#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace snug::test {

/// The real llama.cpp, loaded at run time from the npm package's libraries (x86-64 Linux) through its C interface.
/// Its parameter structs are passed by value but not declared here: on this ABI a struct in memory may be larger than
/// the callee's, so opaque blocks filled by its own *_default_params functions are handed back to it.
class RealLlama {
 public:
  /// Folder of the libraries: $SNUG_LLAMA_LIBS or build/llama/... as tools/fetch_llama leaves it; empty if not there.
  static std::filesystem::path find_libraries();

  /// The library for this processor that it chooses itself, or the one named, as "haswell" (AVX2): the first
  /// RealLlama of a process decides. Throws std::runtime_error.
  explicit RealLlama(const std::filesystem::path& libraries, const std::string& processor = {});
  ~RealLlama();

  class Model;
  std::unique_ptr<Model> load(const std::filesystem::path& gguf, uint32_t context = 512) const;
  /// The same with keys and values in f32 and without flash attention: as exact as it gets. `batch` tokens at a time.
  std::unique_ptr<Model> load_exact(const std::filesystem::path& gguf, uint32_t context = 512, uint32_t batch = 512) const;
  /// One token's input of one matrix product: of the weight's matrix `matrix` (the expert).
  using Watch = std::function<void(const std::string& weight, int64_t matrix, std::span<const float> input)>;
  /// As load_exact(); every product with a weight is shown to `watch` while logits() runs.
  std::unique_ptr<Model> load_watched(const std::filesystem::path& gguf, uint32_t context, Watch watch) const;
  /// Only tokenizes; the file needs no tensors.
  std::unique_ptr<Model> load_vocabulary(const std::filesystem::path& gguf) const;

  /// Decodes `count` weights of ggml type `type` ("q4_K") with the library's own routine. false: it has none.
  bool dequantize(const std::string& type, const void* blocks, float* weights, int64_t count) const;
  /// ggml_quantize_chunk of one matrix; importance may be null. Returns bytes written.
  size_t quantize(int type, const float* weights, void* blocks, int64_t rows, int64_t cols, const float* importance) const;

  /// A function of libllama. Throws std::runtime_error where there is none of that name.
  void* symbol(const char* name) const;

 private:
  struct Symbols;
  struct Watcher;
  enum class Cache { half, exact };
  std::unique_ptr<Model> load(const std::filesystem::path& gguf, uint32_t context, uint32_t batch, Cache cache,
                              std::unique_ptr<Watcher> watcher) const;
  std::unique_ptr<Symbols> symbols_;
};

class RealLlama::Model {
 public:
  ~Model();
  int vocabulary() const;
  int32_t bos() const;
  std::vector<int32_t> tokenize(const std::string& text, bool add_special, bool parse_special = false) const;
  std::string piece(int32_t token) const;

  /// Logits of every position [tokens.size(), vocabulary()], from an empty cache.
  std::vector<float> logits(std::span<const int32_t> tokens) const;

  /// Appends tokens (after emptying the cache if `fresh`) and computes the logits after the last: what speed is
  /// measured on.
  void append(std::span<const int32_t> tokens, bool fresh);
  void use_threads(int threads);

  /// Greedy continuation.
  std::vector<int32_t> generate(std::vector<int32_t> tokens, int count) const;

 private:
  friend class RealLlama;
  Model(const Symbols& symbols, void* model, void* context, std::unique_ptr<Watcher> watcher);
  const Symbols& symbols_;
  std::unique_ptr<Watcher> watcher_;  // the context calls it
  void* model_;
  void* context_;
  int32_t position_ = 0;  // of append()
};

}  // namespace snug::test
