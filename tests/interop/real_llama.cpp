#include "interop/real_llama.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace snug::test {
namespace {

constexpr size_t kOpaqueBytes = 1024;

/// Larger than any of llama.cpp's parameter structs, so always passed and returned in memory.
struct Opaque {
  std::array<std::byte, kOpaqueBytes> bytes{};
};

/// llama_batch is part of its stable interface.
struct Batch {
  int32_t n_tokens;
  int32_t* token;
  float* embd;
  int32_t* pos;
  int32_t* n_seq_id;
  int32_t** seq_id;
  int8_t* logits;
};

void* open_library(const std::filesystem::path& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (!library) throw std::runtime_error{dlerror()};
  return library;
}

std::filesystem::path file_like(const std::filesystem::path& folder, const std::string& stem) {
  for (const auto& entry : std::filesystem::directory_iterator{folder})
    if (entry.path().filename().string().starts_with(stem + ".")) return entry.path();
  throw std::runtime_error{stem + " is not in " + folder.string()};
}

template <class Function>
void bind(void* library, const char* name, Function& function) {
  void* symbol = dlsym(library, name);
  if (!symbol) throw std::runtime_error{std::string("missing symbol ") + name};
  std::memcpy(&function, &symbol, sizeof symbol);
}

void silent(int, const char*, void*) {}

/// Where this package's release has flash attention and the cache's types among llama_context_params.
void ask_for_exact(Opaque& params) {
  constexpr size_t kFlash = 52, kTypes = 104;
  const int32_t automatic = -1, off = 0;
  const std::array<int32_t, 2> f16{1, 1}, f32{0, 0};
  if (std::memcmp(params.bytes.data() + kFlash, &automatic, sizeof automatic) != 0 ||
      std::memcmp(params.bytes.data() + kTypes, f16.data(), sizeof f16) != 0)
    throw std::runtime_error{"llama_context_params of this release lie differently"};
  std::memcpy(params.bytes.data() + kFlash, &off, sizeof off);
  std::memcpy(params.bytes.data() + kTypes, f32.data(), sizeof f32);
}

/// ggml_tensor of this package's release.
struct Tensor {
  int32_t type;
  void* buffer;
  std::array<int64_t, 4> ne;
  std::array<size_t, 4> nb;
  int32_t op;
  std::array<int32_t, 16> op_params;
  int32_t flags;
  std::array<const Tensor*, 10> src;
  const Tensor* view_src;
  size_t view_offs;
  const std::byte* data;
  std::array<char, 64> name;

  const float* row(int64_t i1, int64_t i2, int64_t i3) const {
    const size_t at = static_cast<size_t>(i1) * nb[1] + static_cast<size_t>(i2) * nb[2] + static_cast<size_t>(i3) * nb[3];
    return reinterpret_cast<const float*>(data + at);
  }
};

}  // namespace

/// Receives every node of a graph before (`ask`) and after it is computed.
struct RealLlama::Watcher {
  Watch watch;
  const char* (*op_name)(const Tensor*) = nullptr;

  static bool on_node(const Tensor* node, bool ask, void* self) {
    return static_cast<Watcher*>(self)->on_node(*node, ask);
  }
  bool on_node(const Tensor& node, bool ask) const {
    const std::string_view op = op_name(&node);
    const bool routed = op == "MUL_MAT_ID";
    if (!routed && op != "MUL_MAT") return false;
    const std::string weight = node.src[0]->name.data();
    if (!weight.ends_with(".weight") || node.src[1]->type != 0) return false;
    if (!ask) routed ? show_routed(weight, *node.src[1], *node.src[2]) : show(weight, *node.src[0], *node.src[1]);
    return true;
  }
  void show(const std::string& weight, const Tensor& matrices, const Tensor& x) const {
    for (int64_t i3 = 0; i3 < x.ne[3]; ++i3)
      for (int64_t i2 = 0; i2 < x.ne[2]; ++i2)
        for (int64_t i1 = 0; i1 < x.ne[1]; ++i1)
          watch(weight, i2 * matrices.ne[2] / x.ne[2], {x.row(i1, i2, i3), static_cast<size_t>(x.ne[0])});
  }
  /// x [cols, 1 or used, tokens], ids [used, tokens]
  void show_routed(const std::string& weight, const Tensor& x, const Tensor& ids) const {
    for (int64_t t = 0; t < ids.ne[1]; ++t)
      for (int64_t used = 0; used < ids.ne[0]; ++used) {
        int32_t expert = 0;
        std::memcpy(&expert, ids.data + static_cast<size_t>(t) * ids.nb[1] + static_cast<size_t>(used) * ids.nb[0], sizeof expert);
        watch(weight, expert, {x.row(used % x.ne[1], t, 0), static_cast<size_t>(x.ne[0])});
      }
  }
  void put_into(Opaque& params) {
    constexpr size_t kCallback = 88;  // and its user data, in llama_context_params
    bool (*const callback)(const Tensor*, bool, void*) = on_node;
    void* const self = this;
    std::memcpy(params.bytes.data() + kCallback, &callback, sizeof callback);
    std::memcpy(params.bytes.data() + kCallback + sizeof callback, &self, sizeof self);
  }
};

struct RealLlama::Symbols {
  void* base = nullptr;
  void* llama = nullptr;
  Opaque (*model_default_params)() = nullptr;
  Opaque (*context_default_params)() = nullptr;
  void* (*load)(const char*, Opaque) = nullptr;
  void* (*init)(void*, Opaque) = nullptr;
  void (*free_model)(void*) = nullptr;
  void (*free_context)(void*) = nullptr;
  const void* (*vocab)(const void*) = nullptr;
  int32_t (*vocab_size)(const void*) = nullptr;
  int32_t (*bos)(const void*) = nullptr;
  int32_t (*tokenize)(const void*, const char*, int32_t, int32_t*, int32_t, bool, bool) = nullptr;
  int32_t (*piece)(const void*, int32_t, char*, int32_t, int32_t, bool) = nullptr;
  Batch (*batch_init)(int32_t, int32_t, int32_t) = nullptr;
  void (*batch_free)(Batch) = nullptr;
  int32_t (*decode)(void*, Batch) = nullptr;
  float* (*logits)(void*, int32_t) = nullptr;
  void (*set_threads)(void*, int32_t, int32_t) = nullptr;
  void* (*memory)(const void*) = nullptr;
  void (*clear)(void*, bool) = nullptr;
  void (*log_set)(void (*)(int, const char*, void*), void*) = nullptr;
  void (*load_backends)(const char*) = nullptr;
  void* (*load_backend)(const char*) = nullptr;
  void (*quantize_init)(int) = nullptr;
  size_t (*quantize_chunk)(int, const float*, void*, int64_t, int64_t, int64_t, const float*) = nullptr;
};

std::filesystem::path RealLlama::find_libraries() {
  if (const char* named = std::getenv("SNUG_LLAMA_LIBS")) return named;
  const std::filesystem::path fetched =
      std::filesystem::path{SNUG_SOURCE_DIR} / "build/llama/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64";
  return std::filesystem::exists(fetched) ? fetched : std::filesystem::path{};
}

RealLlama::RealLlama(const std::filesystem::path& libraries, const std::string& processor)
    : symbols_(std::make_unique<Symbols>()) {
  Symbols& s = *symbols_;
  s.base = open_library(file_like(libraries, "libggml-base"));
  void* ggml = open_library(file_like(libraries, "libggml"));
  void* llama = s.llama = open_library(file_like(libraries, "libllama"));
  bind(llama, "llama_model_default_params", s.model_default_params);
  bind(llama, "llama_context_default_params", s.context_default_params);
  bind(llama, "llama_model_load_from_file", s.load);
  bind(llama, "llama_init_from_model", s.init);
  bind(llama, "llama_model_free", s.free_model);
  bind(llama, "llama_free", s.free_context);
  bind(llama, "llama_model_get_vocab", s.vocab);
  bind(llama, "llama_vocab_n_tokens", s.vocab_size);
  bind(llama, "llama_vocab_bos", s.bos);
  bind(llama, "llama_tokenize", s.tokenize);
  bind(llama, "llama_token_to_piece", s.piece);
  bind(llama, "llama_batch_init", s.batch_init);
  bind(llama, "llama_batch_free", s.batch_free);
  bind(llama, "llama_decode", s.decode);
  bind(llama, "llama_get_logits_ith", s.logits);
  bind(llama, "llama_set_n_threads", s.set_threads);
  bind(llama, "llama_get_memory", s.memory);
  bind(llama, "llama_memory_clear", s.clear);
  bind(llama, "llama_log_set", s.log_set);
  bind(ggml, "ggml_backend_load_all_from_path", s.load_backends);
  bind(ggml, "ggml_backend_load", s.load_backend);
  bind(s.base, "ggml_quantize_init", s.quantize_init);
  bind(s.base, "ggml_quantize_chunk", s.quantize_chunk);
  if (!std::getenv("SNUG_LLAMA_LOG")) s.log_set(silent, nullptr);
  if (processor.empty()) {
    s.load_backends(libraries.c_str());
    return;
  }
  const std::filesystem::path chosen = file_like(libraries, "libggml-cpu-" + processor);
  if (!s.load_backend(chosen.c_str())) throw std::runtime_error{chosen.string() + " does not load"};
}

RealLlama::~RealLlama() = default;

std::unique_ptr<RealLlama::Model> RealLlama::load(const std::filesystem::path& gguf, uint32_t context) const {
  return load(gguf, context, context, Cache::half, nullptr);
}

std::unique_ptr<RealLlama::Model> RealLlama::load_exact(const std::filesystem::path& gguf, uint32_t context,
                                                        uint32_t batch) const {
  return load(gguf, context, std::min(batch, context), Cache::exact, nullptr);
}

std::unique_ptr<RealLlama::Model> RealLlama::load_watched(const std::filesystem::path& gguf, uint32_t context,
                                                          Watch watch) const {
  auto watcher = std::make_unique<Watcher>();
  watcher->watch = std::move(watch);
  bind(symbols_->base, "ggml_op_desc", watcher->op_name);
  return load(gguf, context, context, Cache::exact, std::move(watcher));
}

std::unique_ptr<RealLlama::Model> RealLlama::load(const std::filesystem::path& gguf, uint32_t context,
                                                  uint32_t batch, Cache cache,
                                                  std::unique_ptr<Watcher> watcher) const {
  void* model = symbols_->load(gguf.c_str(), symbols_->model_default_params());
  if (!model) throw std::runtime_error{"llama.cpp does not load " + gguf.string()};
  Opaque params = symbols_->context_default_params();
  const std::array<uint32_t, 3> sizes{context, context, batch};  // n_ctx, n_batch, n_ubatch come first
  std::memcpy(params.bytes.data(), sizes.data(), sizeof sizes);
  if (cache == Cache::exact) ask_for_exact(params);
  if (watcher) watcher->put_into(params);
  void* made = symbols_->init(model, params);
  if (!made) {
    symbols_->free_model(model);
    throw std::runtime_error{"llama.cpp makes no context for " + gguf.string()};
  }
  symbols_->set_threads(made, 1, 1);  // its default spins on cores that others use
  return std::unique_ptr<Model>{new Model{*symbols_, model, made, std::move(watcher)}};
}

std::unique_ptr<RealLlama::Model> RealLlama::load_vocabulary(const std::filesystem::path& gguf) const {
  constexpr size_t kVocabOnly = 72;  // where the flags of llama_model_params begin in this package's release
  Opaque params = symbols_->model_default_params();
  params.bytes[kVocabOnly] = std::byte{1};
  void* model = symbols_->load(gguf.c_str(), params);
  if (!model) throw std::runtime_error{"llama.cpp does not load the vocabulary of " + gguf.string()};
  return std::unique_ptr<Model>{new Model{*symbols_, model, nullptr, nullptr}};
}

bool RealLlama::dequantize(const std::string& type, const void* blocks, float* weights, int64_t count) const {
  void* symbol = dlsym(symbols_->base, ("dequantize_row_" + type).c_str());
  if (!symbol) return false;
  void (*decode)(const void*, float*, int64_t) = nullptr;
  std::memcpy(&decode, &symbol, sizeof symbol);
  decode(blocks, weights, count);
  return true;
}

size_t RealLlama::quantize(int type, const float* weights, void* blocks, int64_t rows, int64_t cols,
                           const float* importance) const {
  symbols_->quantize_init(type);
  return symbols_->quantize_chunk(type, weights, blocks, 0, rows, cols, importance);
}

void* RealLlama::symbol(const char* name) const {
  void* found = nullptr;
  bind(symbols_->llama, name, found);
  return found;
}

RealLlama::Model::Model(const Symbols& symbols, void* model, void* context, std::unique_ptr<Watcher> watcher)
    : symbols_(symbols), watcher_(std::move(watcher)), model_(model), context_(context) {}

RealLlama::Model::~Model() {
  if (context_) symbols_.free_context(context_);
  symbols_.free_model(model_);
}

int RealLlama::Model::vocabulary() const { return symbols_.vocab_size(symbols_.vocab(model_)); }
int32_t RealLlama::Model::bos() const { return symbols_.bos(symbols_.vocab(model_)); }

std::vector<int32_t> RealLlama::Model::tokenize(const std::string& text, bool add_special,
                                               bool parse_special) const {
  std::vector<int32_t> tokens(text.size() + 8);
  const int32_t count = symbols_.tokenize(symbols_.vocab(model_), text.data(), static_cast<int32_t>(text.size()),
                                          tokens.data(), static_cast<int32_t>(tokens.size()), add_special, parse_special);
  if (count < 0) throw std::runtime_error{"llama.cpp does not tokenize the text"};
  tokens.resize(static_cast<size_t>(count));
  return tokens;
}

std::string RealLlama::Model::piece(int32_t token) const {
  std::array<char, 256> text{};
  const int32_t count =
      symbols_.piece(symbols_.vocab(model_), token, text.data(), static_cast<int32_t>(text.size()), 0, true);
  return {text.data(), static_cast<size_t>(std::max(count, 0))};
}

std::vector<float> RealLlama::Model::logits(std::span<const int32_t> tokens) const {
  symbols_.clear(symbols_.memory(context_), true);
  Batch batch = symbols_.batch_init(static_cast<int32_t>(tokens.size()), 0, 1);
  batch.n_tokens = static_cast<int32_t>(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    batch.token[i] = tokens[i];
    batch.pos[i] = static_cast<int32_t>(i);
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = 1;
  }
  const int32_t failed = symbols_.decode(context_, batch);
  symbols_.batch_free(batch);
  if (failed) throw std::runtime_error{"llama_decode fails"};
  std::vector<float> all;
  const auto width = static_cast<size_t>(vocabulary());
  for (size_t i = 0; i < tokens.size(); ++i) {
    const float* row = symbols_.logits(context_, static_cast<int32_t>(i));
    all.insert(all.end(), row, row + width);
  }
  return all;
}

void RealLlama::Model::append(std::span<const int32_t> tokens, bool fresh) {
  if (fresh) {
    symbols_.clear(symbols_.memory(context_), true);
    position_ = 0;
  }
  Batch batch = symbols_.batch_init(static_cast<int32_t>(tokens.size()), 0, 1);
  batch.n_tokens = static_cast<int32_t>(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    batch.token[i] = tokens[i];
    batch.pos[i] = position_++;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = i + 1 == tokens.size();
  }
  const int32_t failed = symbols_.decode(context_, batch);
  symbols_.batch_free(batch);
  if (failed || !symbols_.logits(context_, -1)) throw std::runtime_error{"llama_decode fails"};
}

void RealLlama::Model::use_threads(int threads) { symbols_.set_threads(context_, threads, threads); }

std::vector<int32_t> RealLlama::Model::generate(std::vector<int32_t> tokens, int count) const {
  const auto width = static_cast<size_t>(vocabulary());
  for (int i = 0; i < count; ++i) {
    const std::vector<float> all = logits(tokens);
    const auto last = all.end() - static_cast<std::ptrdiff_t>(width);
    tokens.push_back(static_cast<int32_t>(std::max_element(last, all.end()) - last));
  }
  return tokens;
}

}  // namespace snug::test
