#include "snug/format.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "quant/encode_row.hpp"
#include "quant/format_rows.hpp"
#include "quant/gain.hpp"
#include "quant/kernels/kernels.hpp"

namespace snug {
namespace {

constexpr size_t kCount = kFormatRows.size();

/// What one row of the table is to the rest of snug. The kernels' codecs are in the order of the table.
template <size_t i>
void encode(std::span<const float> row, const ColumnWeights& weights, Effort effort, std::byte* blocks) {
  const Kernels& isa = kernels();
  encode_row(isa.row, isa.codecs[i].codec, kFormatRows[i].shape, row, weights, effort, blocks);
  if (weights.along_row > 1) restore_gain(all_formats()[i], row, weights, blocks);
}

template <size_t i>
void decode(const std::byte* blocks, std::span<float> row) {
  kernels().codecs[i].codec.decode(blocks, static_cast<int64_t>(row.size()), row.data());
}

template <size_t i>
constexpr Format format_of_row() {
  const FormatRow& row = kFormatRows[i];
  const auto id = static_cast<uint32_t>(row.id);
  return {row.id,
          row.name,
          row.family,
          row.family == Family::gguf ? std::optional{id} : std::nullopt,
          row.shape.block_weights,
          row.shape.block_bytes,
          row.planes,
          row.importance,
          row.encoder_version,
          encode<i>,
          decode<i>,
          row.rmse_ceiling};
}

constexpr std::array<Format, kCount> kFormats = []<size_t... i>(std::index_sequence<i...>) {
  return std::array{format_of_row<i>()...};
}(std::make_index_sequence<kCount>());
static_assert(std::ranges::is_sorted(kFormats, {}, &Format::id));
static_assert(std::ranges::is_sorted(kFormats, {}, &Format::family));

/// Tensor types of GGUF that are only copied.
struct IntegerType {
  FormatId id;
  std::string_view name;
  uint32_t bytes;
};
constexpr IntegerType kIntegers[] = {{FormatId::i8, "i8", 1},   {FormatId::i16, "i16", 2},
                                     {FormatId::i32, "i32", 4}, {FormatId::i64, "i64", 8},
                                     {FormatId::f64, "f64", 8}};

const IntegerType* find_integer(FormatId id) {
  const auto* found = std::ranges::find(kIntegers, id, &IntegerType::id);
  return found != std::end(kIntegers) ? found : nullptr;
}

bool same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::ranges::equal(a, b, {}, lower, lower);
}

}  // namespace

std::span<const Format> all_formats() {
  return kFormats;
}

std::span<const Format> formats(Family family) {
  const auto* first = std::ranges::lower_bound(kFormats, family, {}, &Format::family);
  const auto* last = std::ranges::upper_bound(kFormats, family, {}, &Format::family);
  return {first, last};
}

const Format* find_format(FormatId id) {
  const auto* found = std::ranges::lower_bound(kFormats, id, {}, &Format::id);
  return found != kFormats.end() && found->id == id ? found : nullptr;
}

const Format* find_format(std::string_view name) {
  const auto* found = std::ranges::find_if(kFormats, [&](const Format& f) { return same_name(f.name, name); });
  return found != kFormats.end() ? found : nullptr;
}

const BlockFields* find_block_fields(FormatId format) {
  const auto found = std::ranges::lower_bound(kFormatRows, format, {}, &FormatRow::id);
  return found != kFormatRows.end() && found->id == format ? &found->fields : nullptr;
}

BlockShape block_shape(FormatId id) {
  if (const Format* format = find_format(id)) return {format->block_weights, format->block_bytes};
  const IntegerType* type = find_integer(id);
  return type ? BlockShape{1, type->bytes} : BlockShape{};
}

std::string_view format_name(FormatId id) {
  if (const Format* format = find_format(id)) return format->name;
  const IntegerType* type = find_integer(id);
  return type ? type->name : "?";
}

std::optional<FormatId> find_tensor_type(std::string_view name) {
  if (const Format* format = find_format(name)) return format->id;
  for (const IntegerType& type : kIntegers)
    if (same_name(type.name, name)) return type.id;
  return std::nullopt;
}

bool is_gguf_type(FormatId id) {
  const Format* format = find_format(id);
  return format ? format->gguf_type.has_value() : find_integer(id) != nullptr;
}

}  // namespace snug
