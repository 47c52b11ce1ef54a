#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/files/mapped_file.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"
#include "snug/model.hpp"

namespace snug {

int64_t Tensor::row_bytes() const {
  const BlockShape block = block_shape(format);
  return block.block_weights ? cols() / block.block_weights * block.block_bytes : 0;
}

int64_t Tensor::run_rows() const {
  return places ? places->run_rows : rows();
}

std::span<const std::byte> Tensor::contiguous() const {
  if (!data) return {};
  return {data, static_cast<size_t>(bytes())};
}

std::span<const std::byte> Tensor::row(int64_t r) const {
  const auto size = static_cast<size_t>(row_bytes());
  if (data) return {data + r * row_bytes(), size};
  if (!places->run) return {};
  return {places->run(r / places->run_rows) + r % places->run_rows * row_bytes(), size};
}

std::span<const std::byte> Tensor::run(int64_t first_row) const {
  if (data) return contiguous().subspan(static_cast<size_t>(first_row * row_bytes()));
  if (!places->run) return {};
  return {places->run(first_row / places->run_rows), static_cast<size_t>(places->run_rows * row_bytes())};
}

void Tensor::read_blocks(int64_t first_row, int64_t count, std::span<std::byte> out) const {
  const auto size = static_cast<size_t>(row_bytes());
  if (data) {
    std::memcpy(out.data(), row(first_row).data(), static_cast<size_t>(count) * size);
    return;
  }
  for (int64_t r = 0; r < count; ++r) {
    const auto to = out.subspan(static_cast<size_t>(r) * size, size);
    if (places->make)
      places->make(first_row + r, to);
    else
      std::ranges::copy(row(first_row + r), to.begin());
  }
}

void Tensor::read_row(int64_t r, std::span<float> out) const {
  const Format* from = find_format(format);
  if (!from)
    throw Error{str("tensor '", printable(name), "' is in the format ", format_name(format),
                    ", which snug cannot decode"),
                std::string{file}, "start from the model in F32, F16 or BF16"};
  if (data || places->run) {
    from->decode(row(r).data(), out);
  } else {
    thread_local std::vector<std::byte> made;
    made.resize(static_cast<size_t>(row_bytes()));
    places->make(r, made);
    from->decode(made.data(), out);
  }
  const auto bad = std::ranges::find_if_not(out, [](float w) { return std::isfinite(w); });
  if (bad == out.end()) return;
  throw Error{str("tensor '", printable(name), "' holds ", *bad, " at row ", r, ", column ", bad - out.begin()),
              std::string{file}, "the source is damaged or was converted wrongly; convert it again"};
}

void Tensor::done_with() const {
  constexpr int64_t kWorthwhile = 1 << 16;  // bytes: shorter runs share their pages with others
  if ((places && !places->run) || run_rows() * row_bytes() < kWorthwhile) return;
  for (int64_t r = 0; r < rows(); r += run_rows()) MappedFile::done_with(run(r));
}

std::vector<float> Tensor::values() const {
  std::vector<float> all(static_cast<size_t>(weights()));
  std::vector<std::byte> blocks(static_cast<size_t>(bytes()));
  read_blocks(0, rows(), blocks);
  find_format(format)->decode(blocks.data(), all);
  return all;
}

}  // namespace snug
