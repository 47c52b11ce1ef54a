#include "hf/tokenizer/pre_tokenizer_name.hpp"

#include <algorithm>
#include <vector>

#include "base/json_reader.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "hf/tokenizer/split_pattern.hpp"
#include "snug/error.hpp"

namespace snug::hf {
namespace {

using nlohmann::json;
using Text = std::string;
using Patterns = std::vector<Text>;

// The patterns as the publishers write them.
const Text kContraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const Text kTail = R"(\s*[\r\n]+|\s+(?!\S)|\s+)";
const Text kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const Text kWord = R"([^\r\n\p{L}\p{N}]?\p{L}+)";
const Text kUpper = R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])", kLower = R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])";

Text llama3(const Text& digits) {
  return kContraction + "|" + kWord + "|" + digits + R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|)" + kTail;
}

Text o200k(const Text& digits, const Text& suffix) {
  const Text lead = R"([^\r\n\p{L}\p{N}]?)";
  return lead + kUpper + "*" + kLower + "+" + suffix + "|" + lead + kUpper + "+" + kLower + "*" + suffix +
         "|" + digits + R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" + kTail;
}

const Text kQwen35 =
    kContraction + R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|)" + kTail;
const Text kKana = "[一-龥\u3040-ゟ゠-ヿ]+";
const Text kDeepseek3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|)" +
    kTail;
const Text kCjkWide = "[一-龥ࠀ-一가-\uD7FF]+";
const Text kSigns = "\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+";
const Text kSeed = kContraction + "|" + kWord + R"(|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|)" + kTail;
const Text kOldTail = R"(\s*[\r\n]|\s+(?!\S)|\s+)";
const Text kBailing = kContraction + "|" + kWord + R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)" + kOldTail;
const Text kExaone =
    kContraction +
    R"(|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|)" + kOldTail;
const Text kPoro = " ?[^(\\s|.,!?…。，、।۔،)]+", kBloom = " ?[^(\\s|[.,!?…。，、।۔،])]+";
const Text kAsciiSigns = "punctuation, in runs";  // Punctuation of behavior Contiguous

const Text kKimi = R"([\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*)"
                   R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
                   R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+)"
                   R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
                   R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr size_t kMaxPattern = 4096;

/// What the letters of a class stand for in deepseek-llm's own list of cased letters: how it begins.
constexpr std::string_view kLetterList = "\\s?[A-Za-z";

enum class Merges { either, ignored, heeded };  // model.ignore_merges

struct Known {
  const char* name;
  Patterns patterns;
  Merges merges = Merges::either;
};

const std::vector<Known>& known() {
  static const std::vector<Known> all{
      {"llama-bpe", {llama3(R"(\p{N}{1,3})")}, Merges::ignored},
      {"dbrx", {llama3(R"(\p{N}{1,3})")}, Merges::heeded},
      {"qwen2", {llama3(R"(\p{N})")}},
      {"qwen35", {kQwen35}},
      {"gpt-4o", {o200k(R"(\p{N}{1,3})", kContraction + "?")}},
      {"tekken", {o200k(R"(\p{N})", "")}},
      {"deepseek-v3", {R"(\p{N}{1,3})", kKana, kDeepseek3}},
      {"deepseek-coder", {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kCjkWide, R"(\p{N})"}},
      {"deepseek-llm", {R"([\r\n])", Text{kLetterList}, kSigns, R"(\s+$)", kCjkWide, R"(\p{N}+)"}},
      {"smollm", {R"(\p{N})", kGpt2}},
      {"gpt-2", {kGpt2}},
      {"falcon", {kAsciiSigns, kGpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
      {"kimi-k2", {kKimi}},
      {"seed-coder", {kSeed}},
      {"bailingmoe", {kBailing}},
      {"exaone-moe", {kExaone}},
      {"minicpm5", {R"(\p{N}{1,3})", llama3(R"(\p{N}+)")}, Merges::ignored},
      {"superbpe", {R"(\p{N}+)", R"((?=(\d{3})+(?!\d)))"}},
      {"poro-chat", {kPoro}},
      {"poro-chat", {kBloom}},
      {"viking", {kPoro, R"(\p{N})"}},
      {"viking", {kBloom, R"(\p{N})"}},
      {"laguna", {R"([^\n]+|\n+)", llama3(R"(\p{N})")}},
  };
  return all;
}

struct Alias {
  std::string_view name, known;
};
/// Names of GGUF that stand for the patterns of another.
constexpr Alias kAliases[] = {
    {"llama3", "llama-bpe"},     {"llama-v3", "llama-bpe"},   {"falcon3", "llama-bpe"},  {"falcon-h1", "llama-bpe"},
    {"pixtral", "llama-bpe"},    {"lfm2", "llama-bpe"},       {"smaug-bpe", "dbrx"},     {"glm4", "dbrx"},
    {"chatglm-bpe", "dbrx"},     {"deepseek-r1-qwen", "qwen2"}, {"megrez", "qwen2"},     {"hunyuan", "qwen2"},
    {"stablelm2", "qwen2"},      {"grok-2", "qwen2"},         {"llama4", "gpt-4o"},      {"kanana2", "gpt-4o"},
    {"minimax-m2", "gpt-4o"},    {"hunyuan-dense", "deepseek-v3"}, {"starcoder", "smollm"}, {"refact", "smollm"},
    {"command-r", "smollm"},     {"codeshell", "smollm"},     {"exaone", "smollm"},      {"phi-2", "gpt-2"},
    {"olmo", "gpt-2"},           {"mpt", "gpt-2"},            {"exaone4", "gpt-2"},      {"bailingmoe2", "bailingmoe"},
};

std::vector<json> flattened(const json& step) {
  if (step.is_null()) return {};
  if (member(step, "type") != "Sequence") return {step};
  std::vector<json> steps;
  for (const json& each : member(step, "pretokenizers"))
    for (json& inner : flattened(each)) steps.push_back(std::move(inner));
  return steps;
}

[[noreturn]] void not_known(const TokenizerJson& file, const std::string& what) {
  throw Error{str("the pre-tokenizer is not known: ", what), str(file.where, ": $.pre_tokenizer"),
              "no program that reads GGUF could cut texts into words as this model does"};
}

Text pattern_of_split(const TokenizerJson& file, const json& step) {
  const json& pattern = member(step, "pattern");
  const json& regex = member(pattern, "Regex");
  const json& behavior = member(step, "behavior");
  // What is kept by inverting is the matches: the same where the pattern matches all of a text, as these do.
  const bool inverted = is_true(step, "invert") && behavior == "Removed";
  if (!regex.is_string() || !(inverted || (behavior == "Isolated" && !is_true(step, "invert"))))
    not_known(file, printable(step.dump()));
  if (regex.get_ref<const Text&>().size() > kMaxPattern) not_known(file, "a pattern longer than any known");
  return regex.get<Text>();
}

/// The patterns of one step, none for one that only maps bytes.
Patterns patterns_of_step(const TokenizerJson& file, const json& step) {
  const json& type = member(step, "type");
  if (type == "Split") return {pattern_of_split(file, step)};
  if (type == "Digits") return {is_true(step, "individual_digits") ? R"(\p{N})" : R"(\p{N}+)"};
  if (type == "ByteLevel") return is_true(step, "use_regex", true) ? Patterns{kGpt2} : Patterns{};
  if (type == "Punctuation" && member(step, "behavior") == "Contiguous") return {kAsciiSigns};
  not_known(file, printable(step.dump()));
}

Patterns canonical(Patterns patterns) {
  for (Text& pattern : patterns)
    pattern = pattern.starts_with(kLetterList) ? Text{kLetterList} : canonical_split_pattern(pattern);
  return patterns;
}

bool fits(Merges wanted, bool ignored) {
  return wanted == Merges::either || (wanted == Merges::ignored) == ignored;
}

/// A pattern as it is, but for control characters.
Text shown(const Text& pattern) {
  Text out;
  for (const char c : with_escaped_controls(pattern))
    if (static_cast<uint8_t>(c) >= 0x20 && c != 0x7F) out += c;
  return out;
}

Text listed(const Patterns& patterns) {
  Text out;
  for (const Text& pattern : patterns) out += (out.empty() ? "" : "  then  ") + shown(pattern);
  return out.empty() ? "no pattern at all" : out;
}

/// Names that stand for the same patterns, as the publishers' families go.
Text family_name(const Text& name, const PreTokenizerHints& hints) {
  if (name == "dbrx" && hints.glm) return "glm4";
  if (name == "qwen2" && hints.adds_bos) return "deepseek-r1-qwen";
  return name;
}

}  // namespace

std::string kimi_pattern() {
  return kKimi;
}

std::optional<PreTokenizer> pre_tokenizer_of(std::string_view name) {
  const auto* const alias = std::ranges::find(kAliases, name, &Alias::name);
  if (alias != std::end(kAliases)) name = alias->known;
  const auto row = std::ranges::find(known(), name, &Known::name);
  if (row == known().end()) return {};
  const auto is_in_words = [](const Text& pattern) { return pattern == kAsciiSigns || pattern == kLetterList; };
  if (std::ranges::any_of(row->patterns, is_in_words)) return {};
  return PreTokenizer{row->patterns, row->merges == Merges::ignored};
}

bool is_byte_level(const TokenizerJson& file) {
  const std::vector<json> steps = flattened(file.part("pre_tokenizer"));
  return std::ranges::any_of(steps, [](const json& step) { return member(step, "type") == "ByteLevel"; });
}

std::string pre_tokenizer_name(const TokenizerJson& file, const PreTokenizerHints& hints) {
  Patterns patterns;
  for (const json& step : flattened(file.part("pre_tokenizer")))
    for (Text& pattern : patterns_of_step(file, step)) patterns.push_back(std::move(pattern));
  const Patterns wanted = canonical(patterns);
  for (const Known& row : known())
    if (canonical(row.patterns) == wanted && fits(row.merges, file.model_flag("ignore_merges")))
      return family_name(row.name, hints);
  not_known(file, listed(patterns));
}

}  // namespace snug::hf
