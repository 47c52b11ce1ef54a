#include "hf/tokenizer/special_tokens.hpp"

#include <algorithm>
#include <utility>

#include "base/str.hpp"

namespace snug::hf {
namespace {

using nlohmann::json;

struct Role {
  const char *role, *key;  // bos -> tokenizer.ggml.bos_token_id
};
constexpr Role kRoles[] = {{"bos", "bos"},       {"eos", "eos"},      {"unk", "unknown"},
                           {"sep", "seperator"}, {"pad", "padding"},  {"mask", "mask"},
                           {"eot", "eot"},       {"eom", "eom"},      {"prefix", "prefix"},
                           {"suffix", "suffix"}, {"middle", "middle"}};

/// The text of a token, which is given as such or as an object with its content.
std::string text_of(const json& token) {
  if (token.is_string()) return token.get<std::string>();
  const json& content = member(token, "content");
  return content.is_string() ? content.get<std::string>() : std::string{};
}

/// An id given as a whole number.
std::optional<int64_t> id_in(const json& value) {
  if (!value.is_number_integer() || value.get<int64_t>() < 0) return {};
  return value.get<int64_t>();
}

/// The special token that an element of a template stands for; empty for the place of the text.
std::string special_in(const json& element) {
  const json& id = member(member(element, "SpecialToken"), "id");
  return id.is_string() ? id.get<std::string>() : std::string{};
}

bool is_sequence(const json& element, const char* name) {
  return member(member(element, "Sequence"), "id") == name;
}

}  // namespace

SpecialTokens::SpecialTokens(const TokenizerJson* tokenizer, json tokenizer_config, const json& config)
    : tokenizer_{tokenizer}, config_(std::move(tokenizer_config)) {
  if (tokenizer_) {
    if (named("bos").empty()) name("bos", named("cls"));
    if (named("eos").empty()) name("eos", named("sep"));
    read_post_processor(tokenizer_->part("post_processor"));
  }
  read_tokenizer_config();
  for (const std::string& role : roles_)
    if (const auto id = id_in(member(config, str(role, "_token_id")))) set(role, *id);
  find_end(config);
}

std::string SpecialTokens::named(const std::string& role) const {
  return text_of(member(config_, str(role, "_token")));
}

/// A folder without tokenizer_config.json names nothing: there the ids of config.json count.
void SpecialTokens::name(const std::string& role, const std::string& token) {
  if (config_.is_object() && !token.empty()) config_[str(role, "_token")] = token;
}

void SpecialTokens::set(const std::string& role, int64_t id) {
  ids_.try_emplace(role, id);
}

std::optional<int64_t> SpecialTokens::find(const std::string& role) const {
  const auto found = ids_.find(role);
  return found == ids_.end() ? std::nullopt : std::optional{found->second};
}

std::optional<bool> SpecialTokens::adds(const std::string& role) const {
  const auto found = adds_.find(role);
  return found == adds_.end() ? std::nullopt : std::optional{found->second};
}

void SpecialTokens::read_post_processor(const json& processor) {
  const json& kind = member(processor, "type");
  if (kind == "Sequence") {
    for (const json& each : member(processor, "processors")) read_post_processor(each);
  } else if (kind == "RobertaProcessing") {
    for (const char* role : {"bos", "eos", "sep"}) adds_[role] = true;
  } else if (kind == "TemplateProcessing") {
    read_template(processor);
  }
}

void SpecialTokens::read_template(const json& processor) {
  const json &single = member(processor, "single"), &pair = member(processor, "pair");
  std::string first, last;
  if (single.is_array() && single.size() > 1) {
    if (first = special_in(single.front()); !first.empty()) read_first(first);
    if (last = special_in(single.back()); !last.empty()) read_last(last);
  }
  if (pair.is_array() && !pair.empty()) read_pair(pair, first, last);
}

/// Of two texts together only one thing is wanted: whether a separator stands between them.
void SpecialTokens::read_pair(const json& pair, const std::string& first, const std::string& last) {
  auto begin = pair.begin(), end = pair.end();
  if (!first.empty() && special_in(*begin) == first) ++begin;
  if (!last.empty() && begin != end && special_in(*(end - 1)) == last) --end;
  if (end - begin < 3 || !is_sequence(*begin, "A") || !is_sequence(*(end - 1), "B")) return;
  ++begin, --end;
  adds_["sep"] = (last.empty() && separates(*begin)) || (end - begin == 2 && separates(*(begin + 1)));
}

bool SpecialTokens::separates(const json& element) const {
  const std::string token = special_in(element);
  return !token.empty() && (token == named("sep") || token == named("eos"));
}

void SpecialTokens::read_first(const std::string& token) {
  if (named("bos").empty()) name("bos", token);
  if (named("cls").empty()) name("cls", token);
  adds_["bos"] = !config_.is_object() || token == named("bos") || token == named("cls");
}

/// What ends texts is the EOS; one that was named otherwise ends turns.
void SpecialTokens::read_last(const std::string& token) {
  adds_["eos"] = true;
  if (!config_.is_object() || token == named("eos")) return;
  const bool second = std::ranges::find(roles_, "eot") != roles_.end();
  roles_.push_back(second ? "eom" : "eot");
  name(roles_.back(), named("eos"));
  name("eos", token);
}

/// What it says of adding tokens counts more than the post-processor: some publishers correct themselves
/// there.
void SpecialTokens::read_tokenizer_config() {
  for (const std::string& role : roles_) {
    if (const json& adds = member(config_, str("add_", role, "_token")); adds.is_boolean())
      adds_[role] = adds.get<bool>();
    if (const std::string token = named(role); tokenizer_ && !token.empty())
      for (const auto& [id, added] : tokenizer_->added)
        if (added.text == token) {
          set(role, id);
          break;
        }
  }
}

/// A file without EOS would get the one its reader takes for granted. So a name that is a plain token counts
/// too, and of a list in config.json the first.
void SpecialTokens::find_end(const json& config) {
  if (find("eos")) return;
  if (const std::string token = named("eos"); tokenizer_ && !token.empty())
    for (const auto& [text, id] : tokenizer_->vocab)
      if (text == token) return set("eos", id);
  if (const json& ids = member(config, "eos_token_id"); ids.is_array() && !ids.empty())
    if (const auto id = id_in(ids.front())) set("eos", *id);
}

void SpecialTokens::write(MetadataBuilder& metadata, int64_t vocab_size) const {
  for (const auto& [role, key] : kRoles)
    if (const auto id = find(role); id && *id < vocab_size)
      metadata.set(str("tokenizer.ggml.", key, "_token_id"), static_cast<uint32_t>(*id));
  for (const char* role : {"bos", "eos", "sep"})
    if (const auto added = adds(role)) metadata.set(str("tokenizer.ggml.add_", role, "_token"), *added);
}

}  // namespace snug::hf
