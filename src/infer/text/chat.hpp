#pragma once

#include <span>
#include <string>
#include <string_view>

namespace snug::infer {

enum class Role { system, user, assistant };

struct Message {
  Role role;
  std::string text;
};

/// How a family of models writes a conversation down, behind BOS: what stands around each message.
struct ChatForm {
  std::string_view name;
  std::string_view system_before, system_after;  // unused where there is a system_join
  std::string_view user_before, user_after;
  std::string_view assistant_before, assistant_after;
  std::string_view generation;  // makes the model speak next
  std::string_view system_join =
      {};  // not empty: the system text goes in front of the next user text, this between
  std::string_view later_user_before = {};  // of every user turn but the first, where it differs
  std::string_view start = {};              // of the conversation
  bool trims = false;                       // texts lose white space at both ends
};

std::span<const ChatForm> chat_forms();
const ChatForm* find_chat_form(std::string_view name);  // nullptr: none of that name

/// The form that a Jinja chat template asks for, going by the marks in it; nullptr where none is recognised.
const ChatForm* recognise_chat_form(std::string_view chat_template);

/// The text to encode with BOS and control tokens, that is encode(text, true, true). Ends with the generation
/// prompt unless the last message is the assistant's.
std::string render_chat(const ChatForm& form, std::span<const Message> messages);

}  // namespace snug::infer
