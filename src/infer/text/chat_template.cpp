#include "infer/text/chat_template.hpp"

#include <minja.hpp>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <exception>
#include <functional>
#include <utility>

#include "base/isolated.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "base/time_of_day.hpp"
#include "infer/text/chat_forms.hpp"
#include "infer/text/jinja_source.hpp"
#include "infer/tokenizer/utf8.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

using minja::Context;
using minja::Value;
using Json = nlohmann::ordered_json;

constexpr size_t kMaxBytes = size_t{1} << 20;
constexpr const char* kRemedy = "name a built-in template (chatml, llama-3, ...) or another template's file";

const char* name_of(Role role) {
  return role == Role::system ? "system" : role == Role::user ? "user" : "assistant";
}

Json variables_of(std::span<const Message> messages, const ChatTokens& tokens) {
  Json list = Json::array();
  for (const Message& message : messages)
    list.push_back({{"role", name_of(message.role)}, {"content", valid_utf8(message.text)}});
  return {{"messages", list},
          {"tools", nullptr},
          {"documents", nullptr},
          {"add_generation_prompt", messages.empty() || messages.back().role != Role::assistant},
          {"bos_token", tokens.bos},
          {"eos_token", tokens.eos}};
}

// --- filters and functions that minja lacks, or has otherwise than Python's Jinja ---

using Function = std::function<Value(Value& arguments)>;

void add(Context& context, const char* name, const std::vector<std::string>& parameters, Function function) {
  context.set(name, minja::simple_function(name, parameters,
                                           [function = std::move(function)](const std::shared_ptr<Context>&,
                                                                            Value& arguments) -> Value {
                                             return function(arguments);
                                           }));
}

Value now_as(Value& arguments) {
  const std::string format = arguments.at("format").get<std::string>();
  return local_time(now_in_seconds(), format);
}

Value replaced(Value& arguments) {
  std::string text = arguments.at("text").to_str();
  const std::string old = arguments.at("old").to_str(), fresh = arguments.at("new").to_str();
  if (old.empty()) throw std::runtime_error{"replace needs a text to look for"};
  for (size_t at = 0; (at = text.find(old, at)) != text.npos; at += fresh.size())
    text.replace(at, old.size(), fresh);
  return text;
}

Value first_of(Value& arguments) {
  Value items = arguments.at("items");
  if (!items.is_array()) throw std::runtime_error{"first needs a list"};
  return items.empty() ? Value{} : items.at(size_t{0});
}

Value reversed(Value& arguments) {
  Value items = arguments.at("items");
  if (!items.is_array()) throw std::runtime_error{"reverse needs a list"};
  Value out = Value::array();
  for (size_t i = items.size(); i-- > 0;) out.push_back(items.at(i));
  return out;
}

Value capitalized(Value& arguments) {
  std::string text = arguments.at("text").to_str();
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return minja::capitalize(text);
}

/// Characters of a text, not bytes.
Value length_of(Value& arguments) {
  const Value& items = arguments.at("items");
  if (!items.is_string()) return static_cast<int64_t>(items.size());
  const auto text = items.get<std::string>();
  return static_cast<int64_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

/// As transformers has it: ", " and ": " between the parts, letters as they are.
Value json_of(Value& arguments) {
  for (const char* flag : {"ensure_ascii", "sort_keys", "separators"})
    if (arguments.contains(flag) && arguments.at(flag).to_bool())
      throw std::runtime_error{str("tojson with ", flag, " is not known here")};
  const Value value = arguments.at("value"),
              indent = arguments.contains("indent") ? arguments.at("indent") : Value{};
  return indent.is_null() ? value.dump(-1, true) : value.get<Json>().dump(static_cast<int>(indent.to_int()));
}

std::shared_ptr<Context> context_of(const Json& variables) {
  auto context = Context::make(Value{variables});
  add(*context, "strftime_now", {"format"}, now_as);
  add(*context, "replace", {"text", "old", "new"}, replaced);
  add(*context, "first", {"items"}, first_of);
  add(*context, "reverse", {"items"}, reversed);
  add(*context, "capitalize", {"text"}, capitalized);
  add(*context, "length", {"items"}, length_of);
  add(*context, "count", {"items"}, length_of);
  add(*context, "tojson", {"value", "ensure_ascii", "indent", "separators", "sort_keys"}, json_of);
  return context;
}

// --- what goes wrong ---

/// The line a message of minja means, 0 where it tells none: the first is that of the innermost part.
size_t line_of(std::string_view message) {
  constexpr std::string_view kMark = " at row ";
  const size_t at = message.find(kMark);
  return at == message.npos
             ? 0
             : std::strtoul(std::string{message.substr(at + kMark.size(), 10)}.c_str(), nullptr, 10);
}

std::string problem_in(std::string_view message) {
  message = message.substr(0, std::min(message.find(" at row "), message.find('\n')));
  if (message.ends_with("is not callable: null")) return "a filter or function that snug does not know";
  if (message.starts_with("vector::")) return "an index beyond the end of a list";
  return printable(message.empty() ? "it is no Jinja" : message);
}

class Rendering {
 public:
  Rendering(const std::string& source, const std::string& name)
      : name_{name}, root_{parsed(plain_jinja(source))} {}

  std::string text(const Json& variables) const {
    try {
      return root_->render(context_of(variables));
    } catch (const std::exception& error) {
      refuse("fails", error.what());
    }
  }

 private:
  std::shared_ptr<minja::TemplateNode> parsed(const std::string& source) const {
    try {
      return minja::Parser::parse(
          source, {.trim_blocks = true, .lstrip_blocks = false, .keep_trailing_newline = false});
    } catch (const std::exception& error) {
      refuse("cannot be read", error.what());
    }
  }

  [[noreturn]] void refuse(const char* what, std::string_view message) const {
    const size_t line = line_of(message);
    throw Error{str(name_, " ", what, ": ", problem_in(message)),
                line ? str("line ", line, " of it") : std::string{}, kRemedy};
  }

  const std::string& name_;
  std::shared_ptr<minja::TemplateNode> root_;
};

/// Whether there are system messages, and each has a user message behind it.
bool can_go_without_system(std::span<const Message> messages) {
  bool any = false, waiting = false;
  for (const Message& message : messages) {
    any = any || message.role == Role::system;
    waiting = message.role == Role::system || (waiting && message.role != Role::user);
  }
  return any && !waiting;
}

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

/// A template that takes no system messages gets them within the user's; the first failure is the one to
/// tell.
std::string rendered(const Rendering& rendering, std::span<const Message> messages,
                     const ChatTokens& tokens) {
  try {
    return rendering.text(variables_of(messages, tokens));
  } catch (const Error& first) {
    if (!can_go_without_system(messages)) throw;
    try {
      return rendering.text(variables_of(without_system(messages), tokens));
    } catch (const Error&) {
      throw first;
    }
  }
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
    Rendering{source_, name_};
    return std::string{};
  });
}

ChatTemplate ChatTemplate::built_in(std::string_view name) {
  if (const ChatForm* form = find_chat_form(name)) return {jinja_of(*form), std::string{name}};
  std::string known;
  for (const std::string_view each : built_in_names()) known += str(known.empty() ? "" : ", ", each);
  throw Error{str("no chat template '", printable(name), "'"), "the name of a built-in template", str("known: ", known),
              Fault::usage};
}

std::vector<std::string_view> ChatTemplate::built_in_names() {
  std::vector<std::string_view> names;
  for (const ChatForm& form : chat_forms()) names.push_back(form.name);
  return names;
}

std::string ChatTemplate::render(std::span<const Message> messages, const ChatTokens& tokens) const {
  std::string text =
      run_isolated(name_, [&] { return rendered(Rendering{source_, name_}, messages, tokens); });
  drop_added(text, tokens);
  return text;
}

}  // namespace snug::infer
