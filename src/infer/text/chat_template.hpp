#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace snug::infer {

enum class Role { system, user, assistant };

struct Message {
  Role role;
  std::string text;
};

/// What a template needs to know of the vocabulary, and what is done when its text is encoded.
struct ChatTokens {
  std::string bos, eos;                     // as text; empty: none
  bool adds_bos = false, adds_eos = false;  // encoding adds them: then the rendered text goes without
};

/// How a model wants a conversation written down: a Jinja template, rendered as Python's transformers renders
/// it.
class ChatTemplate {
 public:
  /// `name` names it in messages. Throws Error naming the line where it is no template. What a hostile one
  /// may take of time and memory is limited.
  ChatTemplate(std::string source, std::string name);

  /// One of the families' own forms. Throws Error of Fault::usage that lists the names.
  static ChatTemplate built_in(std::string_view name);
  static std::vector<std::string_view> built_in_names();

  /// The text to encode with control tokens, that is encode(text, true, true). It ends where the model is to
  /// speak, unless the last message is the assistant's. A template that takes no system message gets it in
  /// front of the next user message, where there is one. Throws Error naming the line that fails, with a remedy.
  std::string render(std::span<const Message> messages, const ChatTokens& tokens) const;

  const std::string& source() const { return source_; }

 private:
  std::string source_, name_;
};

}  // namespace snug::infer
