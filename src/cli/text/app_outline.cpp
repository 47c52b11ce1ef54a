#include "cli/text/app_outline.hpp"

namespace snug::cli {
namespace {

/// CLI11 keeps an option's allowed values only as the text "{a,b,c}" in its type name.
std::vector<std::string> words_in(const std::string& type) {
  const size_t open = type.find('{'), close = type.find('}');
  std::vector<std::string> words;
  if (open == std::string::npos || close == std::string::npos) return words;
  for (size_t at = open + 1; at < close;) {
    const size_t comma = std::min(type.find(',', at), close);
    words.push_back(type.substr(at, comma - at));
    at = comma + 1;
  }
  return words;
}

OptionOutline outline_of(const CLI::Option& option) {
  OptionOutline outline;
  for (const std::string& name : option.get_snames()) outline.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) outline.names.push_back("--" + name);
  outline.positional = outline.names.empty();
  if (outline.positional) outline.names.push_back(option.get_name());
  outline.takes_value = option.get_items_expected_max() > 0;
  outline.words = words_in(option.get_type_name());
  outline.value = !outline.takes_value ? "" : outline.words.empty() ? "VALUE" : option.get_type_name();
  outline.help = option.get_description();
  return outline;
}

}  // namespace

CommandOutline outline_of(const CLI::App& app) {
  CommandOutline outline{app.get_name(), app.get_description(), app.get_footer(), {}, {}};
  for (const CLI::Option* option : app.get_options()) outline.options.push_back(outline_of(*option));
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    outline.commands.push_back(outline_of(*command));
  return outline;
}

}  // namespace snug::cli
