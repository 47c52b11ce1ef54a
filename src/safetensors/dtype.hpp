#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "snug/format.hpp"

namespace snug::safetensors {

/// The element types of the container, in the order its own writer sorts tensors by (the last first).
enum class Dtype : uint8_t {
  boolean, f4, f6_e2m3, f6_e3m2, u8, i8, f8_e5m2, f8_e4m3, f8_e8m0, f8_e4m3fnuz, f8_e5m2fnuz,
  i16, u16, f16, bf16, i32, u32, f32, c64, f64, i64, u64,
};

std::string_view dtype_name(Dtype dtype);                   // as in a header: "BF16"
std::optional<Dtype> find_dtype(std::string_view name);     // nothing if unknown
int bits_of(Dtype dtype);                                   // of one element: 4 to 64

/// The format of a tensor whose elements are stored alike: f32, f16, bf16, f64 and the signed integers.
std::optional<FormatId> format_of(Dtype dtype);
std::optional<Dtype> dtype_of(FormatId format);

}  // namespace snug::safetensors
