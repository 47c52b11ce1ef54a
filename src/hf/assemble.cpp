#include "hf/assemble.hpp"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "hf/rows.hpp"
#include "snug/error.hpp"

namespace snug::hf {
namespace {

/// Whether a name is the pattern with a number for '#'.
bool fits(std::string_view pattern, std::string_view name, int64_t& expert) {
  const size_t hash = pattern.find('#');
  if (hash == pattern.npos) return pattern == name;
  const std::string_view before = pattern.substr(0, hash), behind = pattern.substr(hash + 1);
  if (!name.starts_with(before) || !name.ends_with(behind) || name.size() <= before.size() + behind.size())
    return false;
  const char* begin = name.data() + before.size();
  const char* end = name.data() + name.size() - behind.size();
  const auto [stop, error] = std::from_chars(begin, end, expert);
  return error == std::errc{} && stop == end && expert >= 0;
}

/// What stands behind "layers.N.".
std::string_view in_layer(std::string_view name) {
  return name.substr(name.find('.', std::string_view{"layers."}.size()) + 1);
}

bool is_norm_less_one(const Family& family, const Checkpoint& checkpoint, const Source& source) {
  return family.norms_plus_one && !stores_whole_norms(checkpoint.sources) && source.name.ends_with("norm.weight") &&
         source.name.find("linear_attn.norm") == std::string::npos;
}

void add_one(std::span<float> values) {
  for (float& value : values) value += 1;
}

void apply(const Family& family, const Piece& piece, const Match& match, Output& out) {
  if (match.rule->transform)
    match.rule->transform(piece, out);
  else if (is_norm_less_one(family, piece.checkpoint, piece.source))
    out.add(piece.name(), changed(piece.weights(), add_one));
  else
    out.add(piece.name(), piece.weights());
}

[[noreturn]] void refuse_name(const Family& family, const Source& source) {
  throw Error{str("the tensor ", quoted(source.raw->name), " has no place in a model of the architecture ",
                  family.architecture),
              std::string{source.raw->file},
              "the checkpoint has a part that snug does not know, or is an adapter; convert it with llama.cpp's "
              "converter if that knows it"};
}

void place(const Family& family, const Checkpoint& checkpoint, const Source& source, int64_t layer, Output& out) {
  const bool global = layer < 0;
  const Match match =
      find_rule(global ? family.globals : family.rules, global ? source.name : in_layer(source.name));
  if (!match.rule) refuse_name(family, source);
  const std::string block = global ? "" : str("blk.", layer, ".");
  apply(family, {checkpoint, source, block, match.rule->to, match.suffix, match.expert}, match, out);
}

// --- completeness -------------------------------------------------------------------------------------------------

void need(const Output& out, const Config& config, const std::string& name) {
  if (!out.has(name))
    throw Error{str("the checkpoint lacks the tensor that becomes '", name, "'"), config.where(),
                "fetch all files of the checkpoint; config.json and the weights must be of the same one"};
}

/// Where the first is there, the others must be.
void need_together(const Output& out, const Config& config, const std::string& block,
                   std::initializer_list<const char*> names) {
  if (!out.has(block + *names.begin())) return;
  for (const char* name : names) need(out, config, block + name);
}

void check_block(const Family& family, const Config& config, int64_t layer, const Output& out) {
  const std::string block = str("blk.", layer, ".");
  std::istringstream names{std::string{family.needed}};
  for (std::string name; names >> name;) need(out, config, block + name + ".weight");
  need_together(out, config, block, {"attn_k.weight", "attn_q.weight", "attn_output.weight"});
  need_together(out, config, block, {"nextn.eh_proj.weight", "nextn.enorm.weight", "nextn.hnorm.weight"});
  need_together(out, config, block, {"nextn.hnorm.weight", "nextn.eh_proj.weight"});
  need_together(out, config, block, {"ffn_gate_exps.weight", "ffn_up_exps.weight", "ffn_down_exps.weight"});
  need_together(out, config, block, {"ffn_up_exps.weight", "ffn_gate_exps.weight", "ffn_gate_inp.weight"});
  need_together(out, config, block, {"ffn_gate_up_exps.weight", "ffn_down_exps.weight", "ffn_gate_inp.weight"});
  need_together(out, config, block, {"ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"});
  if (family.architecture != "phi3") need_together(out, config, block, {"ffn_up.weight", "ffn_gate.weight"});
  if (!out.has(block + "ffn_gate.weight") && !out.has(block + "ffn_down_exps.weight"))
    need(out, config, block + "ffn_down.weight");
}

void check_head(const Config& config, const Output& out, std::vector<std::string>& remarks) {
  need(out, config, "token_embd.weight");
  need(out, config, "output_norm.weight");
  const Tensor& embedding = *out.find("token_embd.weight");
  if (embedding.cols() != config.hidden())
    config.refuse(str("hidden_size is ", config.hidden(), ", the embedding has ", embedding.cols(), " columns"),
                  "config.json and the weights are not of the same checkpoint");
  const auto file_says = config.file().find("tie_word_embeddings");
  const bool tied = config.flag({"tie_word_embeddings"}).value_or(false) ||
                    (file_says != config.file().end() && *file_says == true);
  if (!out.has("output.weight") && !tied)
    remarks.push_back("no head (lm_head) is stored, though config.json does not tie it; the embedding serves as head");
}

}  // namespace

Match find_rule(std::span<const std::span<const Rule>> rules, std::string_view name,
                std::span<const std::string_view> suffixes) {
  for (const std::string_view suffix : suffixes) {
    if (!name.ends_with(suffix)) continue;
    const std::string_view base = name.substr(0, name.size() - suffix.size());
    for (const auto& part : rules)
      for (const Rule& rule : part)
        if (int64_t expert = -1; fits(rule.from, base, expert)) return {&rule, suffix, expert};
  }
  return {};
}

int64_t count_predictors(const Family& family, const Sources& sources, int64_t layers) {
  if (!family.keeps_predictors) return 0;
  int64_t last = layers - 1;
  for (const Source& source : sources.all()) last = std::max(last, layer_of_name(source.name));
  return last + 1 - layers;
}

void assemble(const Family& family, const Checkpoint& checkpoint, Output& out) {
  const int64_t blocks = checkpoint.layers + checkpoint.predictors;
  size_t behind = 0;
  if (family.generate) family.generate(checkpoint, out);
  for (const Source& source : checkpoint.sources.all()) {
    const int64_t layer = layer_of_name(source.name);
    if (layer >= blocks)
      ++behind;
    else
      place(family, checkpoint, source, layer, out);
  }
  out.stack_experts(checkpoint.config.integer({"num_local_experts", "num_experts", "n_routed_experts"}).value_or(0));
  if (family.needs_head && !out.has("output.weight") && out.has("token_embd.weight"))
    out.add("output.weight", *out.find("token_embd.weight"));
  for (int64_t layer = 0; layer < blocks; ++layer) check_block(family, checkpoint.config, layer, out);
  check_head(checkpoint.config, out, checkpoint.remarks);
  if (behind > 0)
    checkpoint.remarks.push_back(str(behind, " tensors of layers behind the last, which predict further tokens, are "
                                             "left out: GGUF has no place for them in this architecture"));
}

}  // namespace snug::hf
