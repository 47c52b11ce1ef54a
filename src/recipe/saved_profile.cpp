#include "recipe/saved_profile.hpp"

#include <nlohmann/json.hpp>

#include "base/str.hpp"
#include "base/json_reader.hpp"
#include "recipe/profile.hpp"

namespace snug {
namespace {

constexpr int kVersion = 1;
constexpr std::string_view kStart = "{\"snug_saved_profile\":";

}  // namespace

bool is_saved_profile(std::string_view text) {
  return text.starts_with(kStart);
}

std::string to_text(const SavedProfile& saved) {
  const nlohmann::ordered_json head{{"snug_saved_profile", kVersion},
                                    {"name", saved.model_name},
                                    {"architecture", saved.architecture},
                                    {"layers", saved.layers},
                                    {"heads", saved.heads},
                                    {"heads_kv", saved.heads_kv},
                                    {"experts", saved.experts},
                                    {"header_bytes", saved.header_bytes}};
  return json_text(head) + "\n" + to_json(saved.profile);
}

SavedProfile parse_saved_profile(const std::string& text, const std::string& where) {
  const size_t line_end = text.find('\n');
  const nlohmann::json document = parse_json(text.substr(0, line_end), where);
  const JsonNode head{document, where};
  const JsonNode version = head.at("snug_saved_profile");
  if (version.whole() != kVersion)
    version.refuse(
        str("a saved profile of version ", version.whole(), "; this snug reads version ", kVersion));
  SavedProfile saved;
  saved.model_name = head.at("name").text();
  saved.architecture = head.at("architecture").text();
  saved.layers = head.at("layers").whole();
  saved.heads = head.at("heads").whole();
  saved.heads_kv = head.at("heads_kv").whole();
  saved.experts = head.at("experts").whole();
  saved.header_bytes = head.at("header_bytes").whole();
  saved.profile = parse_profile(line_end == text.npos ? "" : text.substr(line_end + 1), where);
  return saved;
}

}  // namespace snug
