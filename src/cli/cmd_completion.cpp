#include "base/str.hpp"
#include "cli/text/app_outline.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"

namespace snug::cli {
namespace {

std::string words_of(const CommandOutline& command) {
  std::string words;
  for (const CommandOutline& inner : command.commands) words += inner.name + " ";
  for (const OptionOutline& option : command.options)
    if (!option.positional)
      for (const std::string& name : option.names) words += name + " ";
  return words;
}

/// Within quotes of any of the three shells: quotes and what they expand go.
std::string plain(const std::string& text) {
  std::string safe;
  for (const char c : text) safe += c == '\'' || c == '"' || c == '`' || c == '\\' || c == '$' || c == '[' || c == ']' || c == ':'
                                        ? ' ' : c == '\n' ? ' ' : c;
  return safe;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += str(text.empty() ? "" : " ", word);
  return text;
}

void bash_cases(const CommandOutline& command, const std::string& path, std::string& values, std::string& words) {
  for (const OptionOutline& option : command.options)
    if (!option.words.empty())
      for (const std::string& name : option.names)
        values += str("    '", path, " ", name, "') COMPREPLY=($(compgen -W '", joined(option.words), "' -- \"$cur\")); return ;;\n");
  words += str("    '", path, "') words='", words_of(command), "' ;;\n");
  for (const CommandOutline& inner : command.commands) bash_cases(inner, str(path, " ", inner.name), values, words);
}

/// Words of the command line that are commands, so that `snug state show` completes as itself.
std::string bash_script(const CommandOutline& app) {
  std::string values, words, paths;
  bash_cases(app, "snug", values, words);
  for (const CommandOutline& command : app.commands) {
    paths += str(" 'snug ", command.name, "'");
    for (const CommandOutline& inner : command.commands) paths += str(" 'snug ", command.name, " ", inner.name, "'");
  }
  return str("# bash completion for snug\n_snug() {\n"
             "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path=snug words= word known\n"
             "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
             "    for known in", paths, "; do [[ \"$path $word\" == \"$known\" ]] && path=$known && break; done\n"
             "  done\n  case \"$path $prev\" in\n", values, "  esac\n  case \"$path\" in\n", words, "  esac\n"
             "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
             "  [[ ${#COMPREPLY[@]} -eq 0 ]] && COMPREPLY=($(compgen -f -- \"$cur\"))\n}\n"
             "complete -o filenames -F _snug snug\n");
}

std::string zsh_arguments(const CommandOutline& command) {
  std::string text;
  for (const OptionOutline& option : command.options) {
    if (option.positional) continue;
    for (const std::string& name : option.names) {
      text += str(" \\\n        '", name, "[", plain(option.help), "]");
      if (option.takes_value) text += option.words.empty() ? ":value:_files" : str(":value:(", joined(option.words), ")");
      text += "'";
    }
  }
  return text + " \\\n        '*:file:_files'";
}

std::string zsh_script(const CommandOutline& app) {
  std::string text = "#compdef snug\n_snug() {\n  local -a commands\n  commands=(\n";
  for (const CommandOutline& command : app.commands) text += str("    '", command.name, ":", plain(command.help), "'\n");
  text += "  )\n  if (( CURRENT == 2 )); then _describe command commands; return; fi\n  case ${words[2]} in\n";
  for (const CommandOutline& command : app.commands) {
    text += str("    ", command.name, ")\n");
    if (!command.commands.empty()) {
      std::string inner_names;
      for (const CommandOutline& inner : command.commands) inner_names += inner.name + " ";
      text += str("      if (( CURRENT == 3 )); then compadd ", inner_names, "; return; fi\n      case ${words[3]} in\n");
      for (const CommandOutline& inner : command.commands)
        text += str("        ", inner.name, ") _arguments", zsh_arguments(inner), " ;;\n");
      text += "      esac ;;\n";
    } else {
      text += str("      _arguments", zsh_arguments(command), " ;;\n");
    }
  }
  return text + "  esac\n}\n[[ $zsh_eval_context[-1] == loadautofunc ]] && _snug \"$@\" || compdef _snug snug\n";
}

void fish_options(const CommandOutline& command, const std::string& condition, std::string& text) {
  for (const OptionOutline& option : command.options) {
    if (option.positional) continue;
    text += str("complete -c snug -n '", condition, "'");
    for (const std::string& name : option.names)
      text += name.starts_with("--") ? str(" -l ", name.substr(2)) : str(" -s ", name.substr(1));
    if (option.takes_value) text += option.words.empty() ? " -r -F" : str(" -x -a '", joined(option.words), "'");
    text += str(" -d '", plain(option.help), "'\n");
  }
}

std::string fish_script(const CommandOutline& app) {
  std::string text = "# fish completion for snug\n";
  fish_options(app, "__fish_use_subcommand", text);
  for (const CommandOutline& command : app.commands) {
    text += str("complete -c snug -f -n __fish_use_subcommand -a ", command.name, " -d '", plain(command.help), "'\n");
    const std::string condition = str("__fish_seen_subcommand_from ", command.name);
    fish_options(command, condition, text);
    for (const CommandOutline& inner : command.commands) {
      text += str("complete -c snug -f -n '", condition, "' -a ", inner.name, " -d '", plain(inner.help), "'\n");
      fish_options(inner, str(condition, "; and __fish_seen_subcommand_from ", inner.name), text);
    }
  }
  return text;
}

int run(const CLI::App& app, const std::string& shell) {
  const CommandOutline outline = outline_of(app);
  print_out(shell == "bash" ? bash_script(outline) : shell == "zsh" ? zsh_script(outline) : fish_script(outline));
  return 0;
}

}  // namespace

void add_completion(CLI::App& app, int& exit_code) {
  auto shell = std::make_shared<std::string>();
  auto* command = app.add_subcommand("completion", "print completions for a shell");
  command->add_option("shell", *shell, "which shell")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->footer("Examples:\n"
                  "  snug completion bash > /etc/bash_completion.d/snug\n"
                  "  snug completion zsh > \"${fpath[1]}/_snug\"\n"
                  "  snug completion fish > ~/.config/fish/completions/snug.fish");
  command->callback([shell, &app, &exit_code] { exit_code = guarded([&] { return run(app, *shell); }); });
}

}  // namespace snug::cli
