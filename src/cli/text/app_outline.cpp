#include "cli/text/app_outline.hpp"

#include <algorithm>
#include <cctype>

#include "base/str.hpp"

namespace snug::cli {
namespace {

constexpr size_t kShortList = 24;  // characters of "a|b|c" that stand beside an option's name

std::string listed(const std::vector<std::string>& words, const char* between) {
  std::string text;
  for (const std::string& word : words) text += str(text.empty() ? "" : between, word);
  return text;
}

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

/// What a person calls CLI11's types; a name of our own stays.
std::string value_name(const CLI::Option& option, const std::vector<std::string>& words) {
  if (const std::string list = listed(words, "|"); !words.empty() && list.size() <= kShortList) return list;
  const std::string type = option.get_type_name();
  const std::string name = type.substr(0, type.find_first_of(":{"));
  if (name == "INT" || name == "UINT" || name == "FLOAT") return "N";
  return name.empty() || name == "TEXT" || name == "ENUM" ? "TEXT" : name;
}

std::vector<std::string> names_of(const std::set<CLI::Option*>& options) {
  std::vector<std::string> names;
  for (const CLI::Option* option : options)
    if (!option->get_group().empty()) names.push_back(option->get_name());
  std::ranges::sort(names);
  return names;
}

OptionOutline outline_of(const CLI::Option& option) {
  OptionOutline outline;
  for (const std::string& name : option.get_snames()) outline.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) outline.names.push_back("--" + name);
  outline.positional = outline.names.empty();
  if (outline.positional) outline.names.push_back(upper(option.get_name()));
  outline.takes_value = option.get_items_expected_max() > 0;
  outline.words = words_in(option.get_type_name());
  outline.value = outline.takes_value ? value_name(option, outline.words) : "";
  outline.help = option.get_description();
  outline.usual = outline.takes_value ? option.get_default_str() : "";
  outline.group = option.get_group();
  outline.excluded = names_of(option.get_excludes());
  outline.needed = names_of(option.get_needs());
  outline.required = option.get_required();
  outline.many = option.get_expected_max() > 1;
  return outline;
}

}  // namespace

std::vector<std::string> words_in(const std::string& type) {
  const size_t open = type.find('{'), close = type.find('}');
  std::vector<std::string> words;
  if (open == std::string::npos || close == std::string::npos) return words;
  for (size_t at = open + 1; at < close;) {
    const size_t comma = std::min(type.find(',', at), close);
    words.push_back(type.substr(at, std::min(comma, type.find("->", at)) - at));
    at = comma + 1;
  }
  return words;
}

std::string OptionOutline::text() const {
  constexpr size_t kFew = 2;
  std::string text = help;
  if (!words.empty() && value != listed(words, "|"))
    text += str(text.empty() ? "" : ": ", listed(words, ", "));
  const bool says_default = help.find("default") != std::string::npos;
  if (!usual.empty() && !says_default) text += str(" (default: ", usual, ")");
  if (!needed.empty()) text += str(" (with ", listed(needed, ", "), ")");
  if (!excluded.empty() && excluded.size() <= kFew) text += str(" (not with ", listed(excluded, ", "), ")");
  return text;
}

CommandOutline outline_of(const CLI::App& app) {
  CommandOutline outline{
      app.get_name(), app.get_description(), app.get_footer(), app.get_group(), {}, {}, {}};
  outline.may_stand_alone = app.get_require_subcommand_min() == 0;
  for (const CLI::Option* option : app.get_options())
    if (!option->get_group().empty()) outline.options.push_back(outline_of(*option));
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    if (!command->get_group().empty()) outline.commands.push_back(outline_of(*command));
  return outline;
}

}  // namespace snug::cli
