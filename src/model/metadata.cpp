#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "base/cursor.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"
#include "snug/model.hpp"

namespace snug {
namespace {

constexpr const char* kFaulty = "the file was written by a faulty tool; convert the model again";

template <class T, class To>
std::vector<To> converted(const MetadataArray& array) {
  std::vector<To> values;
  values.reserve(array.count);
  for (size_t i = 0; i < array.count; ++i) {
    T value;
    std::memcpy(&value, array.bytes.data() + i * sizeof(T), sizeof(T));
    if (std::is_same_v<T, uint64_t> && std::is_same_v<To, int64_t> && static_cast<uint64_t>(value) >> 63)
      throw Error{str("element ", i, " of an array of u64 is too large")};
    values.push_back(static_cast<To>(value));
  }
  return values;
}

[[noreturn]] void wrong_kind(const std::string& where, std::string_view key, const std::string& wanted) {
  throw Error{str("the key '", printable(key), "' is not ", wanted), where, kFaulty};
}

/// What `read` makes of the array under `key`, nothing where it is missing.
template <class Read>
auto elements_of(const Metadata& metadata, std::string_view key, const char* wanted, const Read& read)
    -> decltype(read(std::declval<const MetadataArray&>())) {
  const MetadataArray* array = metadata.array(key);
  if (!array) return {};
  try {
    return read(*array);
  } catch (const Error& error) {
    wrong_kind(metadata.where(), key, str(wanted, ": ", error.problem()));
  }
}

}  // namespace

const char* type_name(MetadataType type) {
  constexpr const char* names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                   "bool", "string", "array", "u64", "i64", "f64"};
  return names[static_cast<size_t>(type)];
}

std::vector<std::string_view> MetadataArray::strings() const {
  if (element != MetadataType::string)
    throw Error{str("an array of ", type_name(element), ", not of strings")};
  std::vector<std::string_view> values;
  values.reserve(count);
  Cursor in{bytes, "an array"};
  for (uint64_t i = 0; i < count; ++i) values.push_back(in.string("a string"));
  return values;
}

std::vector<int64_t> MetadataArray::integers() const {
  switch (element) {
    case MetadataType::u8:
    case MetadataType::boolean:
      return converted<uint8_t, int64_t>(*this);
    case MetadataType::i8:
      return converted<int8_t, int64_t>(*this);
    case MetadataType::u16:
      return converted<uint16_t, int64_t>(*this);
    case MetadataType::i16:
      return converted<int16_t, int64_t>(*this);
    case MetadataType::u32:
      return converted<uint32_t, int64_t>(*this);
    case MetadataType::i32:
      return converted<int32_t, int64_t>(*this);
    case MetadataType::u64:
      return converted<uint64_t, int64_t>(*this);
    case MetadataType::i64:
      return converted<int64_t, int64_t>(*this);
    default:
      throw Error{str("an array of ", type_name(element), ", not of integers")};
  }
}

std::vector<double> MetadataArray::reals() const {
  if (element == MetadataType::f32) return converted<float, double>(*this);
  if (element == MetadataType::f64) return converted<double, double>(*this);
  if (element == MetadataType::u64) return converted<uint64_t, double>(*this);
  if (element == MetadataType::string) throw Error{"an array of strings, not of numbers"};
  const std::vector<int64_t> whole = integers();
  return {whole.begin(), whole.end()};
}

std::optional<int64_t> as_integer(const MetadataValue& value) {
  return std::visit(
      [](const auto& v) -> std::optional<int64_t> {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, uint64_t>) {
          if (v > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return {};
        }
        if constexpr (std::is_integral_v<T>) return static_cast<int64_t>(v);
        return {};
      },
      value);
}

std::optional<double> as_real(const MetadataValue& value) {
  return std::visit(
      [](const auto& v) -> std::optional<double> {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) return static_cast<double>(v);
        return {};
      },
      value);
}

Metadata::Metadata(std::vector<MetadataEntry> entries, std::string where)
    : entries_(std::move(entries)), where_(std::move(where)) {
  for (size_t i = 0; i < entries_.size(); ++i) index_.emplace(entries_[i].key, i);
}

const MetadataValue* Metadata::find(std::string_view key) const {
  const auto found = index_.find(key);
  return found == index_.end() ? nullptr : &entries_[found->second].value;
}

std::optional<int64_t> Metadata::integer(std::string_view key) const {
  const MetadataValue* value = find(key);
  if (!value) return {};
  const auto number = as_integer(*value);
  if (!number) wrong_kind(where_, key, "an integer");
  return number;
}

std::optional<double> Metadata::real(std::string_view key) const {
  const MetadataValue* value = find(key);
  if (!value) return {};
  const auto number = as_real(*value);
  if (!number) wrong_kind(where_, key, "a number");
  return number;
}

std::optional<bool> Metadata::boolean(std::string_view key) const {
  const MetadataValue* value = find(key);
  if (!value) return {};
  if (!std::holds_alternative<bool>(*value)) wrong_kind(where_, key, "a boolean");
  return std::get<bool>(*value);
}

std::optional<std::string_view> Metadata::text(std::string_view key) const {
  const MetadataValue* value = find(key);
  if (!value) return {};
  if (!std::holds_alternative<std::string_view>(*value)) wrong_kind(where_, key, "a string");
  return std::get<std::string_view>(*value);
}

const MetadataArray* Metadata::array(std::string_view key) const {
  const MetadataValue* value = find(key);
  if (!value) return nullptr;
  if (!std::holds_alternative<MetadataArray>(*value)) wrong_kind(where_, key, "an array");
  return &std::get<MetadataArray>(*value);
}

std::vector<std::string_view> Metadata::strings(std::string_view key) const {
  return elements_of(*this, key, "an array of strings", [](const MetadataArray& a) { return a.strings(); });
}

std::vector<int64_t> Metadata::integers(std::string_view key) const {
  return elements_of(*this, key, "an array of integers", [](const MetadataArray& a) { return a.integers(); });
}

std::vector<double> Metadata::reals(std::string_view key) const {
  return elements_of(*this, key, "an array of numbers", [](const MetadataArray& a) { return a.reals(); });
}

}  // namespace snug
