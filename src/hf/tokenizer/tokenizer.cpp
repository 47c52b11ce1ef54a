#include "hf/tokenizer/tokenizer.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "base/files/read_file.hpp"
#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "hf/tokenizer/chat_template.hpp"
#include "hf/tokenizer/losses.hpp"
#include "hf/tokenizer/normalizer.hpp"
#include "hf/tokenizer/pre_tokenizer_name.hpp"
#include "hf/tokenizer/special_tokens.hpp"
#include "hf/tokenizer/tokenizer_files.hpp"
#include "hf/tokenizer/vocabularies.hpp"
#include "snug/error.hpp"

namespace snug::hf {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

template <class... Names>
bool any_of(const std::string& value, Names... names) {
  return ((value == names) || ...);
}

/// Writes the keys of one folder.
class Tokenizer {
 public:
  Tokenizer(const fs::path& folder, const TokenizerContext& context, MetadataBuilder& metadata)
      : files_{read_tokenizer_files(folder)}, context_{context}, metadata_{metadata} {}

  void write() {
    if (files_.none()) return write_none();
    if (takes_pieces())
      write_pieces();
    else if (is_byte_level(*files_.tokenizer))
      write_byte_level();
    else
      write_characters();
    add_chat_template(files_.folder, files_.config, *context_.remarks, metadata_);
  }

 private:
  bool llama_family() const { return any_of(context_.architecture, "llama", "mistral3"); }
  bool gemma_family() const { return any_of(context_.architecture, "gemma2", "gemma3", "gemma4"); }
  void remark(const std::string& sentence) const { context_.remarks->push_back(sentence); }

  std::string config_text(const char* name) const {
    const json& found = member(files_.config, name);
    return found.is_string() ? found.get<std::string>() : std::string{};
  }

  /// tokenizer.model is the publisher's own; a folder may have tokenizer.json, made from it, beside it. Only
  /// these architectures come with one that counts.
  bool takes_pieces() const {
    if (!files_.has_pieces || files_.is_tekken) return false;
    if (!files_.tokenizer) return true;
    if (context_.architecture == "phi3") return config_text("tokenizer_class") != "GPT2Tokenizer";
    return any_of(context_.architecture, "llama", "mistral3", "qwen2", "qwen3", "gemma2", "gemma3");
  }

  void write_none() {
    if (const char* other = files_.other_kind())
      throw Error{
          str("the folder's tokenizer is ", other, ", which is not read"), files_.folder.string(),
          "make a tokenizer.json of it: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) in "
          "Python's transformers"};
    remark("the folder has no tokenizer: the model takes token ids, not text");
    metadata_.set("tokenizer.ggml.model", "none");
  }

  void write_pieces() {
    const SentencePieces pieces = read_sentence_pieces(files_.pieces());
    TokenList tokens = sentence_piece_tokens(pieces, context_.vocab_size);
    add_overlays(tokens);
    write_characters(tokens, "llama", files_.pieces().string(), pieces.leading_space);
  }

  /// Added tokens of a folder with tokenizer.model, from whatever file names them; later files have the last
  /// word.
  void add_overlays(TokenList& tokens) const {
    for (const auto& [text, id] : files_.added.items())
      if (id.is_number_unsigned() && id.get<uint64_t>() < uint64_t{kMaxTokens})
        tokens.set(id.get<int64_t>(), text, TokenKind::user_defined, kAddedScore);
    const AddedTokens named = tokens_of_config(files_.config, files_.folder / "tokenizer_config.json");
    if (files_.tokenizer)
      for (const auto& [id, added] : files_.tokenizer->added)
        if (!named.contains(id)) set_added(tokens, id, added, kAddedScore);
    for (const auto& [id, added] : named) set_added(tokens, id, added, kAddedScore);
  }

  void write_byte_level() {
    const TokenizerJson& file = *files_.tokenizer;
    remark_losses(file, true, *context_.remarks);
    SpecialTokens special = special_tokens();
    const bool glm = id_of_added("[gMASK]").has_value();
    const std::string pre = pre_name({.adds_bos = special.adds("bos").value_or(false), .glm = glm});
    const TokenList tokens = byte_level_tokens(file, context_.vocab_size);
    metadata_.set("tokenizer.ggml.model", "gpt2");
    metadata_.set("tokenizer.ggml.pre", pre);
    write_list(tokens, file.where, false);
    metadata_.set_array("tokenizer.ggml.merges", std::span<const std::string>{file.merges});
    add_family_tokens(special, glm);
    special.write(metadata_, tokens.size());
    write_space_prefix({});
    if (files_.is_tekken) metadata_.set("tokenizer.ggml.add_bos_token", true);
  }

  /// Some folders of Mistral carry the pattern of Llama 3 by mistake.
  std::string pre_name(const PreTokenizerHints& hints) const {
    const std::string name = pre_tokenizer_name(*files_.tokenizer, hints);
    const bool mistaken =
        name == "llama-bpe" && context_.architecture == "mistral3" && context_.vocab_size == 131072;
    if (!mistaken) return name;
    remark(
        "tokenizer.json splits words as Llama 3 does, a known fault of its publisher's; Mistral's own "
        "pattern "
        "(tekken) is taken");
    return "tekken";
  }

  /// A vocabulary of characters with bytes to fall back on, without tokenizer.model.
  void write_characters() {
    const TokenizerJson& file = *files_.tokenizer;
    const Normalizer normal = normalizer_of(file);
    if (!file.model_flag("byte_fallback") || !normal.marks_blanks)
      throw Error{
          "the tokenizer is neither of bytes (ByteLevel) nor of SentencePiece's kind (byte_fallback, U+2581 "
          "for blanks)",
          file.where, "GGUF knows no other byte-pair encodings"};
    check_no_splits(file);
    remark_losses(file, false, *context_.remarks);
    if (context_.architecture == "gemma4") return write_gemma4();
    const TokenList tokens = scored_tokens(file, context_.vocab_size);
    if (!lists_every_split(file))
      remark(
          "llama.cpp may join characters that the merges of tokenizer.json do not; rare words can get other "
          "tokens");
    if (normal.only_where_missing)
      remark(
          "the tokenizer puts a blank in front of texts that begin with none, GGUF's in front of all: text "
          "that "
          "begins with a blank gets other tokens");
    write_characters(tokens, "llama", file.where, normal.leading_blank);
  }

  void write_characters(const TokenList& tokens, const char* model, const std::string& where,
                        bool leading_blank) {
    metadata_.set("tokenizer.ggml.model", model);
    metadata_.set("tokenizer.ggml.pre", "default");
    write_list(tokens, where, true);
    SpecialTokens special = special_tokens();
    add_family_tokens(special, false);
    special.write(metadata_, tokens.size());
    write_space_prefix(gemma_family() ? false : leading_blank);
  }

  /// Joins by merges; tokens in the vocabulary are ordinary ones, but for those that control or are to be
  /// seen.
  void write_gemma4() {
    const TokenizerJson& file = *files_.tokenizer;
    TokenList tokens = scored_tokens(file, context_.vocab_size);
    for (const auto& [text, id] : file.vocab) {
      const auto added = file.added.find(id);
      if (added != file.added.end() && !added->second.special) tokens.set(id, text, TokenKind::normal);
    }
    constexpr std::array<std::string_view, 7> seen{"<|channel>",   "<channel|>",       "<|tool_call>",
                                                   "<tool_call|>", "<|tool_response>", "<tool_response|>",
                                                   "<|\"|>"};
    for (int64_t id = 0; id < tokens.size(); ++id) {
      if (std::ranges::find(seen, tokens.text(id)) != seen.end())
        tokens.set_kind(id, TokenKind::user_defined);
      tokens.set_score(id, kAddedScore);  // the merges have the word
    }
    metadata_.set("tokenizer.ggml.model", "gemma4");
    write_list(tokens, file.where, true);
    metadata_.set_array("tokenizer.ggml.merges", std::span<const std::string>{file.merges});
    special_tokens().write(metadata_, tokens.size());
    metadata_.set("tokenizer.ggml.add_space_prefix", false);
    metadata_.set("tokenizer.ggml.add_bos_token", true);
    write_suppressed();
  }

  void write_list(const TokenList& tokens, const std::string& where, bool with_scores) const {
    tokens.check_unique(where);
    tokens.write(metadata_, with_scores);
    if (tokens.left_out() > 0)
      remark(str(tokens.left_out(), " tokens have no row in the token embedding and are left out"));
    if (files_.tokenizer &&
        std::ranges::any_of(files_.tokenizer->added, [](const auto& token) { return token.second.trims; }))
      remark("some added tokens swallow blanks beside them or want a word's boundary, which GGUF cannot say");
  }

  SpecialTokens special_tokens() const {
    json ids = context_.config ? *context_.config : json::object();
    if (ids.is_object() && context_.text_config && context_.text_config->is_object() &&
        !ids.contains("eos_token_id"))
      if (const auto found = context_.text_config->find("eos_token_id"); found != context_.text_config->end())
        ids["eos_token_id"] = *found;
    return {files_.tokenizer ? &*files_.tokenizer : nullptr, files_.config, ids};
  }

  std::optional<int64_t> id_of_added(std::string_view text) const {
    if (files_.tokenizer)
      for (const auto& [id, added] : files_.tokenizer->added)
        if (added.text == text) return id;
    return {};
  }

  /// Roles that a family of models gives to its tokens by their text or place.
  void add_family_tokens(SpecialTokens& special, bool glm) const {
    const auto by_text = [&](const char* role, const char* text) {
      if (const auto id = id_of_added(text)) special.set(role, *id);
    };
    if (files_.is_tekken) {
      by_text("bos", "<s>");
      by_text("eos", "</s>");
      by_text("unk", "<unk>");
      by_text("pad", "<pad>");
    }
    const bool glm_family = any_of(context_.architecture, "glm4moe", "deepseek2");
    if (glm_family && glm) {
      by_text("bos", "[gMASK]");
      by_text("eot", "<|user|>");
      by_text("unk", "<|endoftext|>");
      by_text("eom", "<|observation|>");
    } else if (context_.architecture == "glm4moe") {  // Solar
      by_text("eos", "<|endoftext|>");
      by_text("eot", "<|endoftext|>");
      by_text("unk", "<unk>");
      by_text("bos", "<|startoftext|>");
    }
    if (llama_family() && context_.vocab_size == 32016) {  // CodeLlama
      special.set("prefix", 32007);
      special.set("suffix", 32008);
      special.set("middle", 32009);
      special.set("eot", 32010);
    }
  }

  /// `leading_blank` as the tokenizer has it; what its configuration says counts more. A reader takes it for
  /// granted with SentencePiece, so only its absence is written.
  void write_space_prefix(std::optional<bool> leading_blank) const {
    if (leading_blank && !*leading_blank) metadata_.set("tokenizer.ggml.add_space_prefix", false);
    if (llama_family()) {
      if (const json& named = member(files_.config, "add_prefix_space"); named.is_boolean())
        metadata_.set("tokenizer.ggml.add_space_prefix", named.get<bool>());
      if (context_.vocab_size == 49152) metadata_.set("tokenizer.ggml.add_bos_token", false);
    }
  }

  void write_suppressed() const {
    const fs::path file = files_.folder / "generation_config.json";
    if (!fs::is_regular_file(file)) return;
    const json generation = parse_json(read_file(file), file.string());
    const json& list = member(generation, "suppress_tokens");
    if (!list.is_array() || list.empty()) return;
    std::vector<int32_t> ids;
    for (const json& id : list)
      if (id.is_number_unsigned() && id.get<uint64_t>() < uint64_t{kMaxTokens})
        ids.push_back(id.get<int32_t>());
    metadata_.set_array("tokenizer.ggml.suppress_tokens", std::span<const int32_t>{ids});
  }

  const TokenizerFiles files_;
  const TokenizerContext& context_;
  MetadataBuilder& metadata_;
};

}  // namespace

void add_tokenizer(const fs::path& folder, const TokenizerContext& context, MetadataBuilder& metadata) {
  Tokenizer{folder, context, metadata}.write();
}

}  // namespace snug::hf
