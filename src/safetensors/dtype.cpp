#include "safetensors/dtype.hpp"

#include <algorithm>
#include <iterator>

namespace snug::safetensors {
namespace {

struct Row {
  Dtype dtype;
  std::string_view name;
  int bits;
  std::optional<FormatId> format = {};
};

constexpr Row kRows[] = {
    {Dtype::boolean, "BOOL", 8},
    {Dtype::f4, "F4", 4},
    {Dtype::f6_e2m3, "F6_E2M3", 6},
    {Dtype::f6_e3m2, "F6_E3M2", 6},
    {Dtype::u8, "U8", 8},
    {Dtype::i8, "I8", 8, FormatId::i8},
    {Dtype::f8_e5m2, "F8_E5M2", 8},
    {Dtype::f8_e4m3, "F8_E4M3", 8},
    {Dtype::f8_e8m0, "F8_E8M0", 8},
    {Dtype::f8_e4m3fnuz, "F8_E4M3FNUZ", 8},
    {Dtype::f8_e5m2fnuz, "F8_E5M2FNUZ", 8},
    {Dtype::i16, "I16", 16, FormatId::i16},
    {Dtype::u16, "U16", 16},
    {Dtype::f16, "F16", 16, FormatId::f16},
    {Dtype::bf16, "BF16", 16, FormatId::bf16},
    {Dtype::i32, "I32", 32, FormatId::i32},
    {Dtype::u32, "U32", 32},
    {Dtype::f32, "F32", 32, FormatId::f32},
    {Dtype::c64, "C64", 64},
    {Dtype::f64, "F64", 64, FormatId::f64},
    {Dtype::i64, "I64", 64, FormatId::i64},
    {Dtype::u64, "U64", 64},
};

constexpr bool rows_are_in_order() {
  for (size_t i = 0; i < std::size(kRows); ++i)
    if (kRows[i].dtype != static_cast<Dtype>(i)) return false;
  return true;
}
static_assert(rows_are_in_order());

const Row& row_of(Dtype dtype) { return kRows[static_cast<size_t>(dtype)]; }

}  // namespace

std::string_view dtype_name(Dtype dtype) { return row_of(dtype).name; }

std::optional<Dtype> find_dtype(std::string_view name) {
  const auto found = std::ranges::find(kRows, name, &Row::name);
  return found == std::end(kRows) ? std::nullopt : std::optional{found->dtype};
}

int bits_of(Dtype dtype) { return row_of(dtype).bits; }

std::optional<FormatId> format_of(Dtype dtype) { return row_of(dtype).format; }

std::optional<Dtype> dtype_of(FormatId format) {
  const auto found = std::ranges::find(kRows, std::optional{format}, &Row::format);
  return found == std::end(kRows) ? std::nullopt : std::optional{found->dtype};
}

}  // namespace snug::safetensors
