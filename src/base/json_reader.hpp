#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace snug {

/// Parses a JSON text that came from outside. Throws Error on a syntax error (line and column), on nesting
/// deeper than 16, on a key that is there twice in one object, and on texts over 256 MiB. `where` names the
/// file.
nlohmann::json parse_json(const std::string& text, const std::string& where);

/// A document as text. Bytes that are not UTF-8, as names of files may hold, become U+FFFD: never fails on
/// them.
std::string json_text(const nlohmann::json& document, int indent = -1);
std::string json_text(const nlohmann::ordered_json& document, int indent = -1);
/// Sees every value while a document is read, and may take it: what it answers false for is left out of the
/// document. Arguments as of nlohmann's parser callback.
using JsonFilter = std::function<bool(int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed)>;

/// The same for a document of which large parts are kept in another form than as JSON.
nlohmann::json parse_json(const std::string& text, const std::string& where, const JsonFilter& filter);

/// Text from outside for a message: in quotes, ASCII, cut where long.
std::string quoted(const std::string& text);

/// A value of a parsed document together with its path, so that every complaint can say which value it means.
class JsonNode {
 public:
  JsonNode(const nlohmann::json& value, std::string where, std::string path = "$")
      : value_(value), where_(std::move(where)), path_(std::move(path)) {}

  const nlohmann::json& value() const { return value_; }
  const std::string& path() const { return path_; }

  /// The member `key`; Error where this is no object or the key is missing.
  JsonNode at(const char* key) const;
  JsonNode at(size_t index) const;  // of an array, index < size
  bool has(const char* key) const { return value_.is_object() && value_.contains(key); }
  size_t array_size() const;  // Error where this is no array

  std::string text() const;
  bool boolean() const;
  int64_t whole() const;            // an integer, 0 to 2^63 - 1
  double number() const;            // finite
  double number_from_zero() const;  // finite and not negative

  /// Error{problem, file and path, remedy}.
  [[noreturn]] void refuse(const std::string& problem, const std::string& remedy = {}) const;

 private:
  [[noreturn]] void expected(std::string_view what) const;

  const nlohmann::json& value_;
  std::string where_, path_;
};

}  // namespace snug
