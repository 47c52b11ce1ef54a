#include "interop/real_quantizer.hpp"

#include <cstring>
#include <optional>
#include <sstream>
#include <stdexcept>

namespace snug::test {
namespace {

constexpr int32_t kQ8_0 = 7;

/// Of the library's interface: lists of these end with a null name.
struct ImatrixEntry {
  const char* name;
  const float* data;
  size_t size;
};
struct TypeOverride {
  const char* pattern;
  int32_t type;
};

template <class Function>
void bind(const RealLlama& llama, const char* name, Function& function) {
  void* symbol = llama.symbol(name);
  std::memcpy(&function, &symbol, sizeof symbol);
}

void keep(int, const char* text, void* said) { static_cast<std::string*>(said)->append(text); }
void drop(int, const char*, void*) {}

std::vector<ImatrixEntry> entries_of(const QuantizeRequest& request) {
  std::vector<ImatrixEntry> entries;
  for (const auto& [name, values] : request.importance)
    entries.push_back({name.c_str(), values.data(), values.size()});
  entries.push_back({nullptr, nullptr, 0});
  return entries;
}

std::vector<TypeOverride> overrides_of(const QuantizeRequest& request) {
  std::vector<TypeOverride> overrides;
  for (const auto& [pattern, type] : request.overrides)
    overrides.push_back({pattern.c_str(), static_cast<int32_t>(type)});
  overrides.push_back({nullptr, 0});
  return overrides;
}

/// The word behind `mark`, up to a space or one of ",)"; empty without the mark.
std::string word_behind(const std::string& line, const std::string& mark) {
  const size_t at = line.find(mark);
  if (at == line.npos) return {};
  const size_t start = line.find_first_not_of(' ', at + mark.size());
  return line.substr(start, line.find_first_of(" ,)", start) - start);
}

/// Name and type out of a tensor's line, "[ 3/ 9] blk.0.ffn_up.weight - [...], type = f16, size = 1 MiB -> 0.3 MiB
/// (q4_K)"; one that stays as it is ends behind its size. Nothing for other lines.
std::optional<std::pair<std::string, std::string>> parse_line(const std::string& line) {
  if (!line.starts_with("[") || line.find(", type = ") == line.npos) return std::nullopt;
  const std::string to = word_behind(line, " MiB (");
  return std::pair{word_behind(line, "] "), to.empty() ? word_behind(line, ", type = ") : to};
}

}  // namespace

RealQuantizer::RealQuantizer(const RealLlama& llama) {
  bind(llama, "llama_model_quantize_default_params", default_params_);
  bind(llama, "llama_model_quantize", quantize_);
  bind(llama, "llama_log_set", log_set_);
  const Params p = default_params_();
  if (p.threads != 0 || p.file_type != kQ8_0 || p.output != p.token_embedding || !p.quantize_output ||
      p.dry_run || p.imatrix || p.prune_layers)
    throw std::runtime_error{"llama_model_quantize_params of this release lie differently"};
}

std::string RealQuantizer::run(const std::filesystem::path& model, const std::filesystem::path& out,
                               const QuantizeRequest& request, bool dry) const {
  const std::vector<ImatrixEntry> entries = entries_of(request);
  const std::vector<TypeOverride> overrides = overrides_of(request);
  Params params = default_params_();
  params.threads = 1;
  params.file_type = static_cast<int32_t>(request.file_type);
  params.dry_run = dry;
  if (request.token_embedding >= 0) params.token_embedding = request.token_embedding;
  if (request.output >= 0) params.output = request.output;
  if (!request.importance.empty()) params.imatrix = entries.data();
  if (!request.overrides.empty()) params.overrides = overrides.data();
  std::string said;
  log_set_(keep, &said);
  const uint32_t failed = quantize_(model.c_str(), out.c_str(), &params);
  log_set_(drop, nullptr);
  if (failed) throw std::runtime_error{said};
  return said;
}

std::map<std::string, std::string> RealQuantizer::types(const std::filesystem::path& model,
                                                        const QuantizeRequest& request) const {
  std::map<std::string, std::string> types;
  std::istringstream said{run(model, "unused", request, true)};
  for (std::string line; std::getline(said, line);)
    if (const auto tensor = parse_line(line)) types.insert(*tensor);
  return types;
}

void RealQuantizer::write(const std::filesystem::path& model, const std::filesystem::path& out,
                          const QuantizeRequest& request) const {
  run(model, out, request, false);
}

}  // namespace snug::test
