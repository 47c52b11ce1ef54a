// What compare_templates.py asks snug: chat_probe FOLDER CONVERSATIONS.json renders every .jinja file of the
// folder with every conversation (name: messages) and prints {"file/conversation": {"text" or "error": ...}}.
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/files/read_file.hpp"
#include "base/json_reader.hpp"
#include "infer/text/chat_template.hpp"
#include "snug/error.hpp"

namespace {

using namespace snug;
using infer::Message;
using infer::Role;

std::vector<Message> messages_of(const nlohmann::json& list) {
  std::vector<Message> messages;
  for (const auto& each : list) {
    const std::string role = each.at("role");
    messages.push_back({role == "system" ? Role::system
                        : role == "user" ? Role::user
                                         : Role::assistant,
                        each.at("content").get<std::string>()});
  }
  return messages;
}

nlohmann::json rendered(const std::filesystem::path& file, const std::vector<Message>& messages) {
  try {
    return {{"text", infer::ChatTemplate{read_file(file), "the template"}.render(
                         messages, {.bos = "<s>", .eos = "</s>"})}};
  } catch (const Error& error) {
    return {{"error", error.what()}};
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const nlohmann::json conversations = parse_json(read_file(argv[2]), argv[2]);
  nlohmann::json all = nlohmann::json::object();
  for (const auto& entry : std::filesystem::directory_iterator{argv[1]})
    if (entry.path().extension() == ".jinja")
      for (const auto& [name, list] : conversations.items())
        all[entry.path().filename().string() + "/" + name] = rendered(entry.path(), messages_of(list));
  std::cout << all.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
}
