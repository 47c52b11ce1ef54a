#include "hf/tokenizer/chat_template.hpp"

#include <algorithm>
#include <cctype>
#include <map>

#include "base/files/read_file.hpp"
#include "base/json_reader.hpp"
#include "base/str.hpp"

namespace snug::hf {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

using Templates = std::map<std::string, std::string>;  // by name; the usual one is "default"

constexpr const char* kKey = "tokenizer.chat_template";

/// A template as such, or a list of named ones.
Templates templates_in(const json& value, const std::string& where) {
  if (value.is_null()) return {};
  if (value.is_string()) return {{"default", value.get<std::string>()}};
  const JsonNode list{value, where, "$.chat_template"};
  Templates found;
  for (size_t i = 0; i < list.array_size(); ++i)
    found[list.at(i).at("name").text()] = list.at(i).at("template").text();
  return found;
}

Templates templates_in_files(const fs::path& folder) {
  Templates found;
  if (const fs::path file = folder / "chat_template.jinja"; fs::is_regular_file(file)) {
    found["default"] = read_file(file);
    if (const fs::path more = folder / "additional_chat_templates"; fs::is_directory(more))
      for (const auto& entry : fs::directory_iterator{more})
        if (entry.path().extension() == ".jinja")
          found[entry.path().stem().string()] = read_file(entry.path());
  } else if (const fs::path old = folder / "chat_template.json"; fs::is_regular_file(old)) {
    const json parsed = parse_json(read_file(old), old.string());
    if (parsed.is_object() && parsed.contains("chat_template"))
      found = templates_in(parsed["chat_template"], old.string());
  }
  return found;
}

/// Names go into keys: anything but letters, digits and _ becomes _.
std::string key_part(std::string name) {
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
}

void write(const Templates& templates, MetadataBuilder& metadata) {
  std::vector<std::string> names;
  for (const auto& [name, text] : templates) {
    if (name == "default" || text.empty()) continue;
    names.push_back(key_part(name));
    metadata.set(str(kKey, ".", names.back()), text);
  }
  if (!names.empty()) metadata.set_array("tokenizer.chat_templates", std::span<const std::string>{names});
  if (const auto usual = templates.find("default"); usual != templates.end() && !usual->second.empty())
    metadata.set(kKey, usual->second);
}

}  // namespace

void add_chat_template(const fs::path& folder, const json& tokenizer_config,
                       std::vector<std::string>& remarks, MetadataBuilder& metadata) {
  const Templates in_files = templates_in_files(folder);
  Templates templates;
  if (tokenizer_config.is_object() && tokenizer_config.contains("chat_template"))
    templates = templates_in(tokenizer_config["chat_template"], (folder / "tokenizer_config.json").string());
  if (templates.empty()) return write(in_files, metadata);
  if (!in_files.empty() && in_files != templates)
    remarks.push_back(
        "the folder has two chat templates that differ; the one of tokenizer_config.json is taken, "
        "not that of the chat_template file");
  write(templates, metadata);
}

}  // namespace snug::hf
