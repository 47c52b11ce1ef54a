#pragma once

#include <optional>

#include "gguf/reader.hpp"

namespace snug::gguf {

/// The value as a whole number (any integer type, or bool) or as a number; nothing if it is of another kind,
/// or an integer beyond int64.
std::optional<int64_t> as_integer(const Value& value);
std::optional<double> as_real(const Value& value);

}  // namespace snug::gguf
