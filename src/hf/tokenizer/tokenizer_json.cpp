#include "hf/tokenizer/tokenizer_json.hpp"

#include <charconv>

#include "base/files/read_file.hpp"
#include "base/json_reader.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::hf {
namespace {

using nlohmann::json;
using Event = json::parse_event_t;

constexpr const char* kRemedy = "the file is damaged or of a kind that is not known; download it again";
constexpr size_t kMaxMerges = size_t{1} << 26;

/// Takes model.vocab and model.merges out of the document while it is read.
class Lists {
 public:
  explicit Lists(TokenizerJson& to) : to_{to} {}

  /// A JsonFilter: false leaves the value out of the document. Depth 1 is inside the document, 3 inside a
  /// list of the model.
  bool operator()(int depth, Event event, json& parsed) {
    if (event == Event::key) return key(depth, parsed);
    if (depth != 3) return true;
    if (list_ == "vocab") return event == Event::value ? id(parsed) : no_id();
    if (list_ != "merges") return true;
    if (event == Event::value) return merge_line(parsed);
    if (event == Event::array_end) return merge_pair(parsed);
    return event == Event::array_start || refuse("a merge is no pair");
  }

 private:
  bool key(int depth, const json& parsed) {
    if (depth > 3) return true;
    const auto& name = parsed.get_ref<const std::string&>();
    if (depth == 1) section_ = name;
    if (depth <= 2) list_ = depth == 2 && section_ == "model" ? name : std::string{};
    if (depth < 3 || list_ != "vocab") return true;
    token_ = name;
    return false;
  }

  bool id(const json& parsed) {
    if (!parsed.is_number_unsigned() || parsed.get<uint64_t>() >= uint64_t{kMaxTokens})
      refuse(str("the id of ", quoted(token_), " is no token id"));
    to_.vocab.emplace_back(std::move(token_), parsed.get<int64_t>());
    return true;  // its key was left out, and so is the value
  }

  /// A vocabulary that is a list, without keys, is another kind of model's; check_model() names the kind.
  bool no_id() const { return token_.empty() || refuse("a token's id is no number"); }

  bool merge_line(const json& parsed) {
    if (!parsed.is_string()) refuse(str("merge ", to_.merges.size(), " is no text"));
    const auto& line = parsed.get_ref<const std::string&>();
    if (line.find(' ', 1) >= line.size() - 1) refuse(str("merge ", to_.merges.size(), " is no pair"));
    return keep(line);
  }

  bool merge_pair(const json& parsed) {
    if (parsed.size() != 2 || !parsed[0].is_string() || !parsed[1].is_string())
      refuse(str("merge ", to_.merges.size(), " is no pair"));
    return keep(str(without_blanks(parsed[0]), ' ', without_blanks(parsed[1])));
  }

  bool keep(std::string line) {
    if (to_.merges.size() == kMaxMerges) refuse("more merges than any vocabulary needs");
    to_.merges.push_back(std::move(line));
    return false;
  }

  /// GGUF parts a merge at its first blank, so one inside a part goes by the sign that bytes map it to.
  static std::string without_blanks(const json& part) {
    std::string out;
    for (const char c : part.get_ref<const std::string&>())
      if (c == ' ')
        out += "\xC4\xA0";  // U+0120
      else
        out += c;
    return out;
  }

  [[noreturn]] bool refuse(const std::string& problem) const {
    throw Error{problem, str(to_.where, ": $.model.", list_), kRemedy};
  }

  TokenizerJson& to_;
  std::string section_, list_, token_;
};

[[noreturn]] void cannot_express(const TokenizerJson& file, const std::string& what) {
  throw Error{str("the tokenizer has ", what, ", which GGUF cannot express"), str(file.where, ": $.model"),
              "only byte-pair encodings without it can be converted"};
}

void check_model(const TokenizerJson& file) {
  const json& model = file.part("model");
  if (!model.is_object()) throw Error{"the tokenizer has no model", file.where, kRemedy};
  const json& type = member(model, "type");
  const std::string kind = type.is_string() ? type.get<std::string>() : "BPE";  // old files name none
  if (kind != "BPE") cannot_express(file, str("a model of type ", quoted(kind)));
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (const json& value = member(model, affix); value.is_string() && value != "")
      cannot_express(file, str("a ", affix, " ", quoted(value.get<std::string>())));
  if (file.vocab.empty()) throw Error{"the tokenizer has no vocabulary", file.where, kRemedy};
}

}  // namespace

const json& member(const json& object, std::string_view name) {
  static const json missing;
  if (!object.is_object()) return missing;
  const auto found = object.find(name);
  return found == object.end() ? missing : *found;
}

bool is_true(const json& object, std::string_view name, bool fallback) {
  const json& value = member(object, name);
  return value.is_boolean() ? value.get<bool>() : fallback;
}

const json& TokenizerJson::part(std::string_view name) const {
  return member(rest, name);
}

bool TokenizerJson::model_flag(std::string_view name) const {
  return is_true(part("model"), name);
}

namespace {

AddedToken added_token_of(const json& object, const std::string& where) {
  const JsonNode node{object, where, "$.added_tokens"};
  AddedToken token{.text = node.at("content").text(), .special = is_true(object, "special")};
  token.normalized = is_true(object, "normalized");
  token.trims = is_true(object, "lstrip") || is_true(object, "rstrip") || is_true(object, "single_word");
  if (token.text.empty()) node.refuse("an added token is empty", kRemedy);
  return token;
}

int64_t id_of(const std::string& text, const std::string& where) {
  int64_t id = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc{} || end != text.data() + text.size() || id < 0 || id >= kMaxTokens)
    throw Error{str(quoted(text), " is no token id"), str(where, ": $.added_tokens_decoder"), kRemedy};
  return id;
}

}  // namespace

AddedTokens added_tokens_of(const json& list, const std::string& where) {
  AddedTokens tokens;
  if (list.is_null()) return tokens;
  const JsonNode all{list, where, "$.added_tokens"};
  for (size_t i = 0; i < all.array_size(); ++i) {
    const int64_t id = all.at(i).at("id").whole();
    if (id >= kMaxTokens) all.at(i).refuse(str("the id ", id, " is no token id"), kRemedy);
    tokens[id] = added_token_of(list[i], where);
  }
  return tokens;
}

AddedTokens tokens_of_config(const json& config, const std::filesystem::path& file) {
  AddedTokens tokens;
  const std::string where = file.string();
  if (const json& list = member(config, "added_tokens_decoder"); list.is_object())
    for (const auto& [id, token] : list.items()) tokens[id_of(id, where)] = added_token_of(token, where);
  return tokens;
}

TokenizerJson parse_tokenizer_json(const std::string& text, const std::string& where) {
  TokenizerJson file;
  file.where = where;
  file.rest = parse_json(text, where, Lists{file});
  if (!file.rest.is_object()) throw Error{"a tokenizer is an object", where, kRemedy};
  check_model(file);
  file.added = added_tokens_of(file.part("added_tokens"), where);
  file.rest.erase("added_tokens");
  return file;
}

TokenizerJson read_tokenizer_json(const std::filesystem::path& path) {
  return parse_tokenizer_json(read_file(path), path.string());
}

}  // namespace snug::hf
