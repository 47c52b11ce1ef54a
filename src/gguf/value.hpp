#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "gguf/reader.hpp"

namespace snug::gguf {

/// The value as a whole number (any integer type, or bool) or as a number; nothing if it is of another kind,
/// or an integer beyond int64.
std::optional<int64_t> as_integer(const Value& value);
std::optional<double> as_real(const Value& value);

/// The elements of the array under `key`; none if it is missing. Throws Error naming file and key if it, or
/// an element, is of another kind.
std::vector<std::string_view> strings_of(const Reader& file, std::string_view key);
std::vector<int64_t> integers_of(const Reader& file, std::string_view key);
std::vector<double> reals_of(const Reader& file, std::string_view key);

}  // namespace snug::gguf
