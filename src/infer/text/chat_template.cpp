#include "infer/text/chat_template.hpp"

#include <jinja/lexer.h>
#include <jinja/parser.h>
#include <jinja/runtime.h>
#include <jinja/value.h>
#include <json.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/isolated.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "infer/text/chat_forms.hpp"
#include "infer/tokenizer/utf8.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 20;
constexpr const char* kRemedy = "give --chat-template NAME (chatml, llama-3, ...) or another template's file";

const char* name_of(Role role) {
  return role == Role::system ? "system" : role == Role::user ? "user" : "assistant";
}

/// What the engine calls the tools of a conversation that has none: some templates ask whether they are none,
/// others go through them as they are.
enum class Tools { none, undefined };

common_json variables_of(std::span<const Message> messages, const ChatTokens& tokens, Tools tools) {
  common_json list = common_json::array();
  for (const Message& message : messages) {
    common_json one = common_json::object();
    one["role"] = std::string{name_of(message.role)};
    one["content"] = valid_utf8(message.text);
    list.push_back(one);
  }
  common_json all = common_json::object();
  all["messages"] = list;
  if (tools == Tools::none) all["tools"] = nullptr;
  if (tools == Tools::none) all["documents"] = nullptr;
  all["add_generation_prompt"] = messages.empty() || messages.back().role != Role::assistant;
  all["bos_token"] = tokens.bos;
  all["eos_token"] = tokens.eos;
  return all;
}

size_t line_at(std::string_view source, size_t position) {
  return 1 + static_cast<size_t>(std::ranges::count(source.substr(0, position), '\n'));
}

/// The line a message of the engine means, 0 where it tells none. It either says so, or shows the text around
/// the place between dots.
size_t line_of(std::string_view message, std::string_view source) {
  if (const size_t at = message.find(" at line "); at != message.npos)
    return std::strtoul(std::string{message.substr(at + 9, 10)}.c_str(), nullptr, 10);
  const size_t begin = message.find("..."),
               end = begin == message.npos ? begin : message.find("...\n", begin + 3);
  if (end == message.npos) return 0;
  std::string shown{message.substr(begin + 3, end - begin - 3)};
  constexpr std::string_view kLineEnd = "\xE2\x86\xB5";  // the arrow that stands for one
  for (size_t at; (at = shown.find(kLineEnd)) != shown.npos;) shown.replace(at, kLineEnd.size(), "\n");
  const size_t place = source.find(shown), caret = message.size() - std::min(message.size(), end + 8);
  return line_at(source, place == source.npos ? source.size() : place + std::min(caret, shown.size()));
}

/// The engine's last words: what is wrong, without where.
std::string problem_in(std::string_view message) {
  if (const size_t at = message.rfind("Error: "); at != message.npos) message.remove_prefix(at + 7);
  message = message.substr(0, message.find('\n'));
  return printable(message.empty() ? "it is no Jinja" : message);
}

/// The first tokens of a template, as a template.
jinja::lexer_result cut(const jinja::lexer_result& whole, size_t count) {
  jinja::lexer_result part;
  part.source = whole.source;
  part.tokens.assign(whole.tokens.begin(), whole.tokens.begin() + static_cast<ptrdiff_t>(count));
  return part;
}

/// What the parser says of a text; empty where it takes it.
std::string complaint(const jinja::lexer_result& tokens) {
  try {
    jinja::parse_from_tokens(tokens);
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

/// The line of a complaint that tells no place: of the token with which it first comes up. One about the end
/// of the text means its last line.
size_t line_by_search(const jinja::lexer_result& tokens, const std::string& wanted) {
  size_t good = 0, bad = tokens.tokens.size();
  if (bad == 0 || complaint(cut(tokens, bad - 1)) != wanted)
    return line_at(tokens.source, tokens.source.size());
  while (bad - good > 1) {
    const size_t middle = (good + bad) / 2;
    (complaint(cut(tokens, middle)) == wanted ? bad : good) = middle;
  }
  return line_at(tokens.source, tokens.tokens[bad - 1].pos);
}

class Rendering {
 public:
  Rendering(const std::string& source, const std::string& name) : source_{source}, name_{name} {}

  void check() const { parsed(); }

  std::string text(const common_json& variables) const {
    try {
      const auto [program, source] = parsed();
      jinja::context context{source};
      jinja::global_from_json(context, variables, false);
      jinja::runtime runtime{context};
      return jinja::runtime::gather_string_parts(runtime.execute(program))->as_string().str();
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      refuse("fails", error.what(), line_of(error.what(), source_));
    }
  }

 private:
  std::pair<jinja::program, std::string> parsed() const {
    jinja::lexer_result tokens;
    try {
      tokens = jinja::lexer{}.tokenize(source_);
      return {jinja::parse_from_tokens(tokens), tokens.source};
    } catch (const std::exception& error) {
      const std::string_view message = error.what();
      const size_t told = line_of(message, source_);
      refuse("cannot be read", message, told ? told : line_by_search(tokens, error.what()));
    }
  }

  [[noreturn]] void refuse(const char* what, std::string_view message, size_t line) const {
    throw Error{str(name_, " ", what, ": ", problem_in(message)),
                line ? str("line ", line, " of it") : std::string{}, kRemedy};
  }

  const std::string& source_;
  const std::string& name_;
};

/// Every system message in front of the next user message, a line between.
std::vector<Message> without_system(std::span<const Message> messages) {
  std::vector<Message> merged;
  std::string waiting;
  for (const Message& message : messages) {
    if (message.role == Role::system) {
      waiting += message.text + "\n";
    } else {
      merged.push_back({message.role, message.role == Role::user ? std::exchange(waiting, {}) + message.text
                                                                 : message.text});
    }
  }
  return merged;
}

/// Tries the conversation in the forms that templates expect; the first failure is the one to tell.
std::string first_that_renders(const Rendering& rendering, std::span<const Message> messages,
                               const ChatTokens& tokens) {
  const std::vector<Message> merged = without_system(messages);
  std::optional<Error> first;
  for (const std::span<const Message> form : {messages, std::span<const Message>{merged}})
    for (const Tools tools : {Tools::none, Tools::undefined}) {
      try {
        return rendering.text(variables_of(form, tokens, tools));
      } catch (const Error& error) {
        if (!first) first = error;
      }
    }
  throw *first;
}

void drop_added(std::string& text, const ChatTokens& tokens) {
  if (tokens.adds_bos && !tokens.bos.empty() && text.starts_with(tokens.bos))
    text.erase(0, tokens.bos.size());
  if (tokens.adds_eos && !tokens.eos.empty() && text.ends_with(tokens.eos))
    text.erase(text.size() - tokens.eos.size());
}

}  // namespace

ChatTemplate::ChatTemplate(std::string source, std::string name)
    : source_{std::move(source)}, name_{std::move(name)} {
  if (source_.size() > kMaxBytes)
    throw Error{str(name_, " has ", source_.size(), " bytes"), str("at most ", kMaxBytes), kRemedy};
  run_isolated(name_, [&] {
    Rendering{source_, name_}.check();
    return std::string{};
  });
}

ChatTemplate ChatTemplate::built_in(std::string_view name) {
  if (const ChatForm* form = find_chat_form(name)) return {jinja_of(*form), std::string{name}};
  std::string known;
  for (const std::string_view each : built_in_names()) known += str(known.empty() ? "" : ", ", each);
  throw Error{str("no chat template '", printable(name), "'"), "--chat-template", str("known: ", known),
              Fault::usage};
}

std::vector<std::string_view> ChatTemplate::built_in_names() {
  std::vector<std::string_view> names;
  for (const ChatForm& form : chat_forms()) names.push_back(form.name);
  return names;
}

std::string ChatTemplate::render(std::span<const Message> messages, const ChatTokens& tokens) const {
  std::string text = run_isolated(name_, [&] {
    return first_that_renders(Rendering{source_, name_}, messages, tokens);
  });
  drop_added(text, tokens);
  return text;
}

}  // namespace snug::infer
