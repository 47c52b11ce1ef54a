#include "gguf/value.hpp"

#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "base/str.hpp"
#include "base/cursor.hpp"
#include "gguf/layout.hpp"
#include "base/printable.hpp"
#include "snug/error.hpp"

namespace snug::gguf {
namespace {

template <class T, class To>
std::vector<To> converted(const Array& array) {
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

}  // namespace

std::vector<std::string_view> Array::strings() const {
  if (element != ValueType::string) throw Error{str("an array of ", type_name(element), ", not of strings")};
  std::vector<std::string_view> values;
  values.reserve(count);
  Cursor in{bytes, "an array"};
  for (uint64_t i = 0; i < count; ++i) values.push_back(in.string("a string"));
  return values;
}

std::vector<int64_t> Array::integers() const {
  switch (element) {
    case ValueType::u8:
    case ValueType::boolean:
      return converted<uint8_t, int64_t>(*this);
    case ValueType::i8:
      return converted<int8_t, int64_t>(*this);
    case ValueType::u16:
      return converted<uint16_t, int64_t>(*this);
    case ValueType::i16:
      return converted<int16_t, int64_t>(*this);
    case ValueType::u32:
      return converted<uint32_t, int64_t>(*this);
    case ValueType::i32:
      return converted<int32_t, int64_t>(*this);
    case ValueType::u64:
      return converted<uint64_t, int64_t>(*this);
    case ValueType::i64:
      return converted<int64_t, int64_t>(*this);
    default:
      throw Error{str("an array of ", type_name(element), ", not of integers")};
  }
}

std::vector<double> Array::reals() const {
  if (element == ValueType::f32) return converted<float, double>(*this);
  if (element == ValueType::f64) return converted<double, double>(*this);
  if (element == ValueType::u64) return converted<uint64_t, double>(*this);
  if (element == ValueType::string) throw Error{"an array of strings, not of numbers"};
  const std::vector<int64_t> whole = integers();
  return {whole.begin(), whole.end()};
}

namespace {

template <class Elements>
auto elements_of(const Reader& file, std::string_view key, const char* wanted, const Elements& elements)
    -> decltype(elements(std::declval<const Array&>())) {
  const Array* array = file.array(key);
  if (!array) return {};
  try {
    return elements(*array);
  } catch (const Error& error) {
    throw Error{str("the key '", printable(key), "' is not ", wanted, ": ", error.problem()),
                file.path().string(), "the file was written by a faulty tool; convert the model again"};
  }
}

}  // namespace

std::vector<std::string_view> strings_of(const Reader& file, std::string_view key) {
  return elements_of(file, key, "an array of strings", [](const Array& a) { return a.strings(); });
}

std::vector<int64_t> integers_of(const Reader& file, std::string_view key) {
  return elements_of(file, key, "an array of integers", [](const Array& a) { return a.integers(); });
}

std::vector<double> reals_of(const Reader& file, std::string_view key) {
  return elements_of(file, key, "an array of numbers", [](const Array& a) { return a.reals(); });
}

std::optional<int64_t> as_integer(const Value& value) {
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

std::optional<double> as_real(const Value& value) {
  return std::visit(
      [](const auto& v) -> std::optional<double> {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) return static_cast<double>(v);
        return {};
      },
      value);
}

}  // namespace snug::gguf
