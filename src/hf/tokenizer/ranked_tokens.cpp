#include "hf/tokenizer/ranked_tokens.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <sstream>
#include <string_view>
#include <unordered_map>

#include "base/files/read_file.hpp"
#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "hf/tokenizer/pre_tokenizer_name.hpp"
#include "snug/error.hpp"

namespace snug::hf {
namespace {

using nlohmann::json;
using Ranks = std::unordered_map<std::string_view, size_t>;

constexpr size_t kNone = std::numeric_limits<size_t>::max();
constexpr size_t kMaxTokenBytes = 4096;  // longer ones would take quadratic time, and none is

[[noreturn]] void damaged(const std::string& problem, const std::string& where) {
  throw Error{problem, where, "the file is damaged; download it again"};
}

std::string from_base64(std::string_view text, const std::string& where) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  while (text.ends_with('=')) text.remove_suffix(1);
  for (const char c : text) {
    const size_t digit = digits.find(c);
    if (digit == digits.npos) damaged(str(quoted(std::string{text}), " is not in base 64"), where);
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count >= 8) bytes += static_cast<char>(bits >> (count -= 8) & 0xFF);
  }
  if (bytes.empty() || bytes.size() > kMaxTokenBytes)
    damaged(str("a token of ", bytes.size(), " bytes"), where);
  return bytes;
}

/// The rank of two neighbours together, kNone where they are no token or one of `limit` and more.
size_t rank_of(std::string_view left, std::string_view right, const Ranks& ranks, size_t limit) {
  const auto found = ranks.find({left.data(), left.size() + right.size()});
  return found == ranks.end() || found->second >= limit ? kNone : found->second;
}

/// Joins neighbours of `parts`, the least rank first, by ranks below `limit` only.
void join_below(std::vector<std::string_view>& parts, const Ranks& ranks, size_t limit) {
  std::vector<size_t> pairs;  // the rank of each part with its right neighbour
  for (size_t i = 0; i + 1 < parts.size(); ++i)
    pairs.push_back(rank_of(parts[i], parts[i + 1], ranks, limit));
  while (!pairs.empty()) {
    const auto best = std::ranges::min_element(pairs);
    if (*best == kNone) return;
    const auto at = static_cast<size_t>(best - pairs.begin());
    parts[at] = {parts[at].data(), parts[at].size() + parts[at + 1].size()};
    parts.erase(parts.begin() + static_cast<ptrdiff_t>(at) + 1);
    pairs.erase(best);
    if (at > 0) pairs[at - 1] = rank_of(parts[at - 1], parts[at], ranks, limit);
    if (at < pairs.size()) pairs[at] = rank_of(parts[at], parts[at + 1], ranks, limit);
  }
}

/// The frame of a tokenizer.json around ranked tokens: their ids begin at `first`.
TokenizerJson framed(const std::vector<std::string>& tokens, int64_t first, const std::string& pattern,
                     const std::string& where) {
  TokenizerJson file;
  file.where = where;
  for (size_t rank = 0; rank < tokens.size(); ++rank)
    file.vocab.emplace_back(printable_characters(tokens[rank]), first + static_cast<int64_t>(rank));
  file.merges = merges_of_ranks(tokens);
  const json split{
      {"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
  const json bytes{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  file.rest = {{"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, bytes}}}},
               {"model", {{"type", "BPE"}, {"ignore_merges", true}}}};
  return file;
}

/// Takes the tokens of a tekken.json out of the document while it is read: the parser would look through all
/// objects of a list behind each of them.
class TekkenTokens {
 public:
  TekkenTokens(std::vector<std::string>& tokens, const std::string& where) : tokens_{tokens}, where_{where} {}

  bool operator()(int depth, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::key && depth == 1) section_ = parsed.get<std::string>();
    if (event != json::parse_event_t::object_end || depth != 2 || section_ != "vocab") return true;
    tokens_.push_back(from_base64(JsonNode{parsed, where_, "$.vocab"}.at("token_bytes").text(), where_));
    return false;
  }

 private:
  std::vector<std::string>& tokens_;
  const std::string& where_;
  std::string section_;
};

/// The special tokens of the versions whose files do not list them.
constexpr std::array<std::string_view, 20> kTekkenSpecial{"<unk>",
                                                          "<s>",
                                                          "</s>",
                                                          "[INST]",
                                                          "[/INST]",
                                                          "[AVAILABLE_TOOLS]",
                                                          "[/AVAILABLE_TOOLS]",
                                                          "[TOOL_RESULTS]",
                                                          "[/TOOL_RESULTS]",
                                                          "[TOOL_CALLS]",
                                                          "[IMG]",
                                                          "<pad>",
                                                          "[IMG_BREAK]",
                                                          "[IMG_END]",
                                                          "[PREFIX]",
                                                          "[MIDDLE]",
                                                          "[SUFFIX]",
                                                          "[SYSTEM_PROMPT]",
                                                          "[/SYSTEM_PROMPT]",
                                                          "[TOOL_CONTENT]"};

void add_tekken_special(const json& root, int64_t count, TokenizerJson& file) {
  for (int64_t id = 0; id < count; ++id) {
    const bool named = id < static_cast<int64_t>(kTekkenSpecial.size());
    file.added[id] = {
        .text = named ? std::string{kTekkenSpecial[static_cast<size_t>(id)]} : str("<SPECIAL_", id, ">"),
        .special = true};
  }
  const auto listed = root.find("special_tokens");
  if (listed == root.end() || listed->is_null()) return;
  const JsonNode all{*listed, file.where, "$.special_tokens"};
  for (size_t i = 0; i < all.array_size(); ++i) {
    const int64_t id = all.at(i).at("rank").whole();
    if (id >= count) all.at(i).refuse(str("there are only ", count, " special tokens"));
    file.added[id].text = all.at(i).at("token_str").text();
  }
}

}  // namespace

std::string printable_characters(std::string_view bytes) {
  static const std::array<std::string, 256> table = [] {
    std::array<std::string, 256> all;
    unsigned next = 0x100;  // for the bytes that are no printable character themselves
    for (unsigned b = 0; b < 256; ++b) {
      const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      const unsigned code = printable ? b : next++;
      if (code < 0x80)
        all[b] = static_cast<char>(code);
      else
        all[b] = {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
    }
    return all;
  }();
  std::string out;
  for (const char c : bytes) out += table[static_cast<uint8_t>(c)];
  return out;
}

std::vector<std::string> merges_of_ranks(const std::vector<std::string>& tokens) {
  Ranks ranks;
  ranks.reserve(tokens.size());
  for (size_t rank = 0; rank < tokens.size(); ++rank) ranks.emplace(tokens[rank], rank);
  std::vector<std::string> merges;
  std::vector<std::string_view> parts;
  for (size_t rank = 0; rank < tokens.size(); ++rank) {
    const std::string_view token = tokens[rank];
    if (token.size() < 2) continue;
    parts.clear();
    for (size_t i = 0; i < token.size(); ++i) parts.push_back(token.substr(i, 1));
    join_below(parts, ranks, rank);
    if (parts.size() == 2)
      merges.push_back(str(printable_characters(parts[0]), ' ', printable_characters(parts[1])));
  }
  return merges;
}

TokenizerJson read_tekken(const std::filesystem::path& path) {
  const std::string where = path.string();
  std::vector<std::string> tokens;
  const json root = parse_json(read_file(path), where, TekkenTokens{tokens, where});
  const JsonNode config = JsonNode{root, where}.at("config");
  const int64_t size = config.at("default_vocab_size").whole();
  const int64_t special = config.at("default_num_special_tokens").whole();
  if (special > size || size > kMaxTokens || static_cast<int64_t>(tokens.size()) < size - special)
    damaged(str(tokens.size(), " tokens, ", special, " special ones and a size of ", size,
                " do not fit together"),
            where);
  tokens.resize(static_cast<size_t>(size - special));
  TokenizerJson file = framed(tokens, special, config.at("pattern").text(), where);
  add_tekken_special(root, special, file);
  return file;
}

TokenizerJson read_tiktoken(const std::filesystem::path& path, const json& config) {
  const std::string where = path.string();
  std::istringstream lines{read_file(path)};
  std::vector<std::string> tokens;
  std::string token;
  for (size_t rank = 0; lines >> token;) {
    if (!(lines >> rank)) damaged("a line is not a token and its rank", where);
    if (rank != tokens.size() || rank >= static_cast<size_t>(kMaxTokens))
      damaged(str("rank ", rank, " where ", tokens.size(), " is next"), where);
    tokens.push_back(from_base64(token, where));
  }
  if (tokens.empty()) damaged("the file lists no tokens", where);
  TokenizerJson file = framed(tokens, 0, kimi_pattern(), where);
  file.added = tokens_of_config(config, path.parent_path() / "tokenizer_config.json");
  return file;
}

}  // namespace snug::hf
