#include "base/json_reader.hpp"

#include <cmath>
#include <set>
#include <vector>

#include "base/events.hpp"
#include "base/files/file_kind.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

using nlohmann::json;

constexpr size_t kMaxBytes = size_t{256} << 20;
constexpr int kMaxDepth = 16;
constexpr size_t kShownBytes = 60;

/// Safe on a terminal: ASCII, and short.
std::string shown(const json& value) {
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > kShownBytes) text = text.substr(0, kShownBytes) + "...";
  return text;
}

/// Sees every event of the parser before the document grows; refuses what the parser would let pass.
class Guard {
 public:
  Guard(const std::string& where, const JsonFilter& filter) : where_(where), filter_(filter) {}

  bool operator()(int depth, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) check_cancelled();
    if (depth > kMaxDepth)
      throw Error{str("nested deeper than ", kMaxDepth, " levels"), where_, "not a snug file"};
    if (event == json::parse_event_t::object_start) keys_.emplace_back();
    if (event == json::parse_event_t::object_end) keys_.pop_back();
    if (event == json::parse_event_t::key && !keys_.back().insert(parsed.get<std::string>()).second)
      throw Error{str("the key ", shown(parsed), " is there twice in one object"), where_,
                  "remove one of the two"};
    return !filter_ || filter_(depth, event, parsed);
  }

 private:
  const std::string& where_;
  const JsonFilter& filter_;
  std::vector<std::set<std::string>> keys_;
};

}  // namespace

std::string json_text(const json& document, int indent) {
  return document.dump(indent, ' ', false, json::error_handler_t::replace);
}

std::string json_text(const nlohmann::ordered_json& document, int indent) {
  return document.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string quoted(const std::string& text) {
  return shown(json(text));
}

json parse_json(const std::string& text, const std::string& where) { return parse_json(text, where, {}); }

json parse_json(const std::string& text, const std::string& where, const JsonFilter& filter) {
  if (text.size() > kMaxBytes)
    throw Error{str("the file has ", text.size(), " bytes; at most ", kMaxBytes, " are read"), where,
                "name another file: none of this kind is so long"};
  Guard guard{where, filter};
  try {
    return json::parse(text, std::ref(guard));
  } catch (const json::exception& error) {
    const std::string_view what = error.what();
    const size_t bracket =
        what.find("] ");  // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    if (const auto foreign = foreign_file(text))
      throw Error{str("not a JSON document: it is ", foreign->what), where, foreign->remedy};
    throw Error{str("not a JSON document: ", bracket == what.npos ? what : what.substr(bracket + 2)), where,
                "the file is damaged or of another kind; `snug inspect` says of which"};
  }
}

JsonNode JsonNode::at(const char* key) const {
  if (!value_.is_object()) expected("an object");
  const auto found = value_.find(key);
  if (found == value_.end()) refuse(str("the key '", key, "' is missing"));
  return {*found, where_, str(path_, ".", key)};
}

JsonNode JsonNode::at(size_t index) const {
  return {value_.at(index), where_, str(path_, "[", index, "]")};
}

size_t JsonNode::array_size() const {
  if (!value_.is_array()) expected("an array");
  return value_.size();
}

std::string JsonNode::text() const {
  if (!value_.is_string()) expected("a string");
  return value_.get<std::string>();
}

bool JsonNode::boolean() const {
  if (!value_.is_boolean()) expected("true or false");
  return value_.get<bool>();
}

int64_t JsonNode::whole() const {
  if (value_.is_number_unsigned() && value_.get<uint64_t>() <= uint64_t{INT64_MAX})
    return value_.get<int64_t>();
  expected("a whole number from 0 to 9223372036854775807");
}

double JsonNode::number() const {
  if (!value_.is_number() || !std::isfinite(value_.get<double>())) expected("a finite number");
  return value_.get<double>();
}

double JsonNode::number_from_zero() const {
  if (!value_.is_number() || !std::isfinite(value_.get<double>()) || value_.get<double>() < 0)
    expected("a number not below 0");
  return value_.get<double>();
}

void JsonNode::refuse(const std::string& problem, const std::string& remedy) const {
  throw Error{problem, str(where_, ": ", path_), remedy.empty() ? "mend that field, or make the file again" : remedy};
}

void JsonNode::expected(std::string_view what) const {
  refuse(str("expected ", what, ", found ", shown(value_)));
}

}  // namespace snug
