#include "safetensors/header.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::safetensors {
namespace {

constexpr const char* kDamaged = "the file is damaged or was not fetched whole; fetch it again";

[[noreturn]] void refuse(const std::string& problem, const std::string& where) {
  throw Error{problem, where, kDamaged};
}

/// The JSON text; its length stands in front of it.
std::string_view text_of(std::span<const std::byte> file, const std::string& where) {
  uint64_t length = 0;
  if (file.size() < sizeof length) refuse(str("a file of ", file.size(), " bytes is no safetensors file"), where);
  std::memcpy(&length, file.data(), sizeof length);
  if (length > kMaxHeaderBytes) refuse(str("a header of ", length, " bytes; no safetensors file has one"), where);
  if (length > file.size() - sizeof length)
    refuse(str("the header should have ", length, " bytes; the file ends before"), where);
  return {reinterpret_cast<const char*>(file.data()) + sizeof length, static_cast<size_t>(length)};
}

/// A whole number, as the container demands: no sign, no fraction.
int64_t whole(const JsonNode& node) {
  return node.whole();
}

Entry entry_of(const std::string& name, const JsonNode& node) {
  Entry entry{.name = name, .dtype = {}, .shape = {}};
  const std::string dtype = node.at("dtype").text();
  const auto known = find_dtype(dtype);
  if (!known) node.refuse(str("the element type ", quoted(dtype), " is unknown"));
  entry.dtype = *known;
  const JsonNode shape = node.at("shape"), offsets = node.at("data_offsets");
  for (size_t i = 0; i < shape.array_size(); ++i) entry.shape.push_back(whole(shape.at(i)));
  if (offsets.array_size() != 2) offsets.refuse("expected two offsets");
  entry.begin = static_cast<uint64_t>(whole(offsets.at(size_t{0})));
  entry.end = static_cast<uint64_t>(whole(offsets.at(size_t{1})));
  return entry;
}

std::map<std::string, std::string> metadata_of(const JsonNode& node) {
  std::map<std::string, std::string> metadata;
  if (!node.value().is_object()) node.refuse("expected an object of strings");
  for (const auto& [key, value] : node.value().items()) metadata[key] = node.at(key.c_str()).text();
  return metadata;
}

void check_size(const Entry& entry, const std::string& where) {
  const auto needed = bytes_of(entry.dtype, entry.shape);
  if (!needed) refuse(str("the tensor ", quoted(entry.name), " is too large, or fills no whole bytes"), where);
  if (entry.end - entry.begin != *needed)
    refuse(str("the tensor ", quoted(entry.name), " has ", entry.end - entry.begin, " bytes; its shape needs ",
               *needed), where);
}

/// The tensors lie one after another, from the first byte of the data to the last.
void check_tiling(const Header& header, uint64_t data_bytes, const std::string& where) {
  uint64_t at = 0;
  for (const Entry& entry : header.tensors) {
    if (entry.begin != at || entry.end < entry.begin)
      refuse(str("the tensor ", quoted(entry.name), " should begin at byte ", at, " of the data, but has bytes ",
                 entry.begin, " to ", entry.end), where);
    check_size(entry, where);
    at = entry.end;
  }
  if (at != data_bytes)
    refuse(str("the tensors take ", at, " bytes; the file has ", data_bytes, " behind its header"), where);
}

}  // namespace

std::optional<uint64_t> bytes_of(Dtype dtype, std::span<const int64_t> shape) {
  uint64_t bits = 1;
  for (const int64_t size : shape)
    if (size < 0 || __builtin_mul_overflow(bits, static_cast<uint64_t>(size), &bits)) return {};
  if (__builtin_mul_overflow(bits, static_cast<uint64_t>(bits_of(dtype)), &bits) || bits % 8 != 0) return {};
  return bits / 8;
}

Header read_header(std::span<const std::byte> file, const std::string& where) {
  const std::string_view text = text_of(file, where);
  const nlohmann::json document = parse_json(std::string{text}, where);
  const JsonNode root{document, where};
  if (!document.is_object()) root.refuse("the header is no object", kDamaged);
  Header header;
  header.data_begin = sizeof(uint64_t) + text.size();
  for (const auto& [name, value] : document.items()) {
    if (name == "__metadata__")
      header.metadata = metadata_of(root.at("__metadata__"));
    else
      header.tensors.push_back(entry_of(name, {value, where, str("$.", quoted(name))}));
  }
  std::ranges::stable_sort(header.tensors, {}, [](const Entry& e) { return std::pair{e.begin, e.end}; });
  check_tiling(header, file.size() - header.data_begin, where);
  return header;
}

std::string header_text(std::span<const Entry> tensors, const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json document = nlohmann::ordered_json::object();
  if (!metadata.empty()) document["__metadata__"] = metadata;
  for (const Entry& entry : tensors)
    document[entry.name] = {{"dtype", dtype_name(entry.dtype)},
                            {"shape", entry.shape},
                            {"data_offsets", {entry.begin, entry.end}}};
  std::string text = document.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + text;
}

}  // namespace snug::safetensors
