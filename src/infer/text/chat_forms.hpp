#pragma once

#include <span>
#include <string>
#include <string_view>

namespace snug::infer {

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

/// The form as a Jinja template.
std::string jinja_of(const ChatForm& form);

}  // namespace snug::infer
