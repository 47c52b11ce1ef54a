#include "mlx/from_gguf/tokenizer.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json_reader.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "hf/tokenizer/pre_tokenizer_name.hpp"
#include "mlx/from_gguf/config.hpp"
#include "mlx/from_gguf/vocabulary.hpp"
#include "snug/error.hpp"

namespace snug::mlx {
namespace {

using nlohmann::json;

/// Writes tokenizer.json of a model's keys.
class TokenizerWriter {
 public:
  explicit TokenizerWriter(const ModelSource& model) : model_(model), vocabulary_(model) {}

  bool has_tokens() const { return vocabulary_.model != "none" && !vocabulary_.tokens.empty(); }

  void check() const {
    if (!is_bytes() && vocabulary_.model != "llama" && vocabulary_.model != "gemma4")
      refuse(str("the tokenizer is of the kind '", printable(vocabulary_.model),
                 "', which is not known as a tokenizer.json"));
    if (is_bytes() && !hf::pre_tokenizer_of(vocabulary_.pre))
      refuse(str("words are cut as '", printable(vocabulary_.pre),
                 "' has it, which is not known as a tokenizer.json"));
  }

  json tokenizer() const {
    check();
    json file{{"version", "1.0"},
              {"truncation", nullptr},
              {"padding", nullptr},
              {"added_tokens", added()},
              {"post_processor", post_processor()}};
    if (is_bytes())
      add_bytes(file);
    else
      add_pieces(file);
    return file;
  }

  /// Which tokens have a role, and how a chat is written.
  json config() const {
    json config{{"tokenizer_class", "PreTrainedTokenizerFast"},
                {"clean_up_tokenization_spaces", false},
                {"add_bos_token", vocabulary_.adds_bos},
                {"add_eos_token", vocabulary_.adds_eos}};
    for (const auto& [word, role] : {std::pair{"bos_token", "bos"}, std::pair{"eos_token", "eos"},
                                     std::pair{"unk_token", "unknown"}, std::pair{"pad_token", "padding"}})
      if (const auto id = id_of(role)) config[word] = vocabulary_.text(*id);
    if (const auto context = model_.metadata().integer(str(architecture(), ".context_length")))
      config["model_max_length"] = *context;
    return config;
  }

 private:
  bool is_bytes() const { return vocabulary_.model == "gpt2"; }
  std::string_view architecture() const {
    return model_.metadata().text("general.architecture").value_or("");
  }
  std::optional<int64_t> id_of(const char* role) const { return vocabulary_.id_of(model_.metadata(), role); }

  [[noreturn]] void refuse(const std::string& what) const {
    throw Error{what, model_.path().string(),
                "start from the folder of the checkpoint, which has its tokenizer.json"};
  }

  /// What is cut out of a text before anything else.
  json added() const {
    json list = json::array();
    for (size_t id = 0; id < vocabulary_.tokens.size(); ++id) {
      const int64_t kind = vocabulary_.kinds[id];
      const bool special = kind == Vocabulary::control || kind == Vocabulary::unknown;
      if (!special && kind != Vocabulary::user_defined) continue;
      list.push_back({{"id", id},
                      {"content", vocabulary_.tokens[id]},
                      {"single_word", false},
                      {"lstrip", false},
                      {"rstrip", false},
                      {"normalized", false},
                      {"special", special}});
    }
    return list;
  }

  json ids_by_text() const {
    json vocab = json::object();
    for (size_t id = 0; id < vocabulary_.tokens.size(); ++id)
      if (!vocab.emplace(vocabulary_.tokens[id], id).second)
        refuse(str("two tokens have the text ", printable(vocabulary_.tokens[id])));
    return vocab;
  }

  json joining(json merges, bool byte_fallback, bool ignores_merges) const {
    const auto unknown = byte_fallback ? id_of("unknown") : std::nullopt;
    return {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", unknown ? json(vocabulary_.text(*unknown)) : json()},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", byte_fallback},
            {"byte_fallback", byte_fallback},
            {"ignore_merges", ignores_merges},
            {"vocab", ids_by_text()},
            {"merges", std::move(merges)}};
  }

  /// "left right", parted by the first blank that is not the left's own first character.
  json listed_merges() const {
    json merges = json::array();
    for (const std::string_view merge : vocabulary_.merges) {
      const size_t blank = merge.find(' ', 1);
      if (blank == merge.npos) refuse(str("the merge ", printable(merge), " is no pair"));
      merges.push_back({merge.substr(0, blank), merge.substr(blank + 1)});
    }
    return merges;
  }

  static json split(const std::string& pattern) {
    return {
        {"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
  }

  void add_bytes(json& file) const {
    const auto pre = hf::pre_tokenizer_of(vocabulary_.pre);
    json steps = json::array();
    for (const std::string& pattern : pre->patterns) steps.push_back(split(pattern));
    steps.push_back(
        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}});
    file["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", steps}};
    // GGUF cannot say that Qwen's tokenizers compose characters; they all do.
    file["normalizer"] = architecture().starts_with("qwen") ? json{{"type", "NFC"}} : json();
    file["decoder"] = {
        {"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
    file["model"] = joining(listed_merges(), false, pre->ignores_merges);
  }

  void add_pieces(json& file) const {
    const json mark = std::string{hf::kSpaceMark};
    json before = json::array(),
         after{{{"type", "Replace"}, {"pattern", {{"String", mark}}}, {"content", " "}},
               {{"type", "ByteFallback"}},
               {{"type", "Fuse"}}};
    if (vocabulary_.adds_space) {
      before.push_back({{"type", "Prepend"}, {"prepend", mark}});
      after.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
    }
    before.push_back({{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", mark}});
    const bool has_scores = vocabulary_.model == "llama";
    json merges = has_scores ? json::array() : listed_merges();
    if (has_scores)
      for (const auto& [left, right] : merges_of_scores(vocabulary_)) merges.push_back({left, right});
    file["normalizer"] = {{"type", "Sequence"}, {"normalizers", before}};
    // Runs of line ends by themselves, as llama.cpp has it where pairs are listed.
    file["pre_tokenizer"] = has_scores ? json() : split("[^\n]+|\n+");
    file["decoder"] = {{"type", "Sequence"}, {"decoders", after}};
    file["model"] = joining(std::move(merges), true, false);
  }

  json special(const char* role) const {
    return {{"SpecialToken", {{"id", vocabulary_.text(*id_of(role))}, {"type_id", 0}}}};
  }

  /// What every text gets in front of it and behind it.
  json post_processor() const {
    const bool bos = vocabulary_.adds_bos && id_of("bos"), eos = vocabulary_.adds_eos && id_of("eos");
    if (!bos && !eos)
      return is_bytes() ? json{{"type", "ByteLevel"},
                               {"add_prefix_space", true},
                               {"trim_offsets", false},
                               {"use_regex", true}}
                        : json();
    json single = json::array(), pair = json::array(), tokens = json::object();
    for (const char* text : {"A", "B"}) {
      json one = json::array();
      if (bos) one.push_back(special("bos"));
      one.push_back({{"Sequence", {{"id", text}, {"type_id", text[0] - 'A'}}}});
      if (eos) one.push_back(special("eos"));
      if (single.empty()) single = one;
      pair.insert(pair.end(), one.begin(), one.end());
    }
    for (const char* role : {"bos", "eos"})
      if (std::string_view{role} == "bos" ? bos : eos) {
        const std::string text = vocabulary_.text(*id_of(role));
        tokens[text] = {{"id", text}, {"ids", {*id_of(role)}}, {"tokens", {text}}};
      }
    return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", tokens}};
  }

  const ModelSource& model_;
  const Vocabulary vocabulary_;
};

/// Sampling that the publisher recommends, and what ends a text.
json generation_config(const ModelSource& model) {
  json config = json::object();
  const Metadata& metadata = model.metadata();
  if (const auto bos = metadata.integer("tokenizer.ggml.bos_token_id")) config["bos_token_id"] = *bos;
  if (const auto ends = end_tokens(model); !ends.empty()) config["eos_token_id"] = ends;
  if (const auto top_k = metadata.integer("general.sampling.top_k")) config["top_k"] = *top_k;
  for (const auto& [key, word] :
       {std::pair{"top_p", "top_p"}, std::pair{"min_p", "min_p"}, std::pair{"temp", "temperature"}})
    if (const auto value = metadata.real(str("general.sampling.", key))) config[word] = meant_by(*value);
  if (config.contains("temperature")) config["do_sample"] = true;
  return config;
}

}  // namespace

std::vector<TextFile> companions_of_keys(const ModelSource& model) {
  std::vector<TextFile> files;
  if (const auto chat = model.metadata().text("tokenizer.chat_template"))
    files.push_back({"chat_template.jinja", std::string{*chat}});
  if (const json generation = generation_config(model); !generation.empty())
    files.push_back({"generation_config.json", json_text(generation, 2) + "\n"});
  const TokenizerWriter writer{model};
  if (!writer.has_tokens()) return files;
  files.push_back({"tokenizer.json", json_text(writer.tokenizer(), 1) + "\n"});
  files.push_back({"tokenizer_config.json", json_text(writer.config(), 2) + "\n"});
  return files;
}

void check_tokenizer(const ModelSource& model) {
  if (const TokenizerWriter writer{model}; writer.has_tokens()) writer.check();
}

}  // namespace snug::mlx
