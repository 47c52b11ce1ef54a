#include "cli/usage_error.hpp"

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/closest.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/text/app_outline.hpp"

namespace snug::cli {
namespace {

/// The command that was parsed last, and what a person types for it.
struct Place {
  const CLI::App* command;
  std::string path;  // "snug state merge"
};

Place deepest(const CLI::App& app) {
  Place place{&app, app.get_name()};
  while (!place.command->get_subcommands().empty()) {
    place.command = place.command->get_subcommands().front();
    place.path += " " + place.command->get_name();
  }
  return place;
}

std::vector<std::string_view> views(const std::vector<std::string>& words) {
  return {words.begin(), words.end()};
}

std::vector<std::string> option_names(const CommandOutline& command) {
  std::vector<std::string> names;
  for (const OptionOutline& option : command.options)
    if (!option.positional) names.insert(names.end(), option.names.begin(), option.names.end());
  return names;
}

Error usage(std::string problem, std::string where, std::string remedy) {
  return Error{std::move(problem), std::move(where), std::move(remedy), Fault::usage};
}

std::string help_of(const Place& place) {
  return str("`", place.path, " --help` tells more");
}

Error unknown_option(const Place& place, const std::string& argument) {
  const std::string name = argument.substr(0, argument.find('='));
  const std::vector<std::string> names = option_names(outline_of(*place.command));
  return usage(str("there is no option ", name), str("`", place.path, "`"),
               did_you_mean(name, views(names), str("`", place.path, " --help` lists them")));
}

/// The option whose name an error begins with.
const CLI::Option* option_of(const CLI::App& command, std::string_view name) {
  for (const CLI::Option* option : command.get_options())
    if (option->get_name() == name || option->get_name(false, true) == name ||
        option->check_name(std::string{name}))
      return option;
  return nullptr;
}

/// "--gptq: maybe not in {auto,on,off}" as CLI11 says it.
Error bad_value(const Place& place, const std::string& message) {
  const size_t colon = message.find(": ");
  const std::string name = message.substr(0, colon);
  std::string problem = colon == std::string::npos ? message : message.substr(colon + 2);
  const CLI::Option* option = option_of(*place.command, name);
  const std::vector<std::string> words =
      option ? words_in(option->get_type_name()) : std::vector<std::string>{};
  const size_t list = problem.find(" not in {");
  if (list == std::string::npos || words.empty()) return usage(problem, name, help_of(place));
  const std::string value = problem.substr(0, list);
  std::string all;
  for (const std::string& word : words) all += str(all.empty() ? "" : ", ", word);
  return usage(str("'", value, "' is no value of ", name), str("it is one of ", all),
               did_you_mean(value, views(words), help_of(place)));
}

/// "Could not convert: --bpw = abc".
Error not_a_number(const Place& place, const std::string& message) {
  constexpr std::string_view kStart = "Could not convert: ";
  const size_t equals = message.find(" = ");
  if (!message.starts_with(kStart) || equals == std::string::npos) return usage(message, "", help_of(place));
  return usage(str("'", message.substr(equals + 3), "' is not a number"),
               message.substr(kStart.size(), equals - kStart.size()), help_of(place));
}

std::string missing_of(const CLI::App& command, const std::string& message) {
  const std::string name = message.substr(0, message.find(' '));
  const OptionOutline* found = nullptr;
  const CommandOutline outline = outline_of(command);
  for (const OptionOutline& option : outline.options)
    if (option.required && std::ranges::count_if(option.names, [&](const std::string& known) {
          return std::ranges::equal(
              known, name, {}, [](char c) { return std::tolower(static_cast<unsigned char>(c)); },
              [](char c) { return std::tolower(static_cast<unsigned char>(c)); });
        }))
      found = &option;
  return found ? str(found->names.front(), " is missing: ", found->help) : message;
}

/// "--size excludes --bpw".
std::string joined_by(const std::string& message, const std::string& verb, const std::string& words) {
  const size_t at = message.find(verb);
  return at == std::string::npos ? message
                                 : str(message.substr(0, at), words, message.substr(at + verb.size()));
}

}  // namespace

/// A file where a command is wanted most likely is a model that somebody wants to fit.
Error unknown_command(const CLI::App& command, const std::string& path, const std::string& name) {
  const CommandOutline outline = outline_of(command);
  std::vector<std::string> names;
  for (const CommandOutline& inner : outline.commands) names.push_back(inner.name);
  std::error_code unreadable;
  if (std::filesystem::exists(name, unreadable) && closest(name, views(names)).empty())
    return usage(str("'", name, "' is a file, not a command"), "", str("snug fit '", name, "' --bpw 4.25"));
  return usage(str("there is no command '", name, "'"), str("`", path, "`"),
               did_you_mean(name, views(names), str("`", path, " --help` lists them")));
}

Error usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const Place place = deepest(app);
  const std::vector<std::string> extras = place.command->remaining(true);
  const std::string kind = error.get_name(), message = error.what();
  const auto option =
      std::ranges::find_if(extras, [](const std::string& word) { return word.starts_with('-'); });
  const bool wants_command = !place.command->get_subcommands([](const CLI::App*) { return true; }).empty();
  if (wants_command && !extras.empty() && !extras.front().starts_with("-"))
    return unknown_command(*place.command, place.path, extras.front());
  if (option != extras.end()) return unknown_option(place, *option);
  if (!extras.empty())
    return usage(str("'", extras.front(), "' is one argument too many"), str("`", place.path, "`"),
                 is_size_unit(extras.front()) ? "a size is one word: 11GB" : help_of(place));
  if (kind == "ValidationError") return bad_value(place, message);
  if (kind == "ConversionError") return not_a_number(place, message);
  if (kind == "RequiredError" && wants_command)
    return usage("a command is missing", str("`", place.path, "`"), help_of(place));
  if (kind == "RequiredError")
    return usage(missing_of(*place.command, message), str("`", place.path, "`"), help_of(place));
  if (kind == "ExcludesError")
    return usage(joined_by(message, " excludes ", " does not go with "), "", "leave one of them out");
  if (kind == "RequiresError") return usage(joined_by(message, " requires ", " goes with "), "", "add it");
  if (kind == "ArgumentMismatch")
    return usage(str(message.substr(0, message.find(':')), " wants a value"), "", help_of(place));
  return usage(message, str("`", place.path, "`"), help_of(place));
}

}  // namespace snug::cli
