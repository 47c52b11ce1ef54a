#include "quant/encode_as_mlx.hpp"

#include "base/str.hpp"
#include "quant/kernels/kernels.hpp"
#include "snug/error.hpp"

namespace snug {

void encode_as_mlx(const Format& format, std::span<const float> row, const MlxRule& rule, std::byte* blocks) {
  const auto index = static_cast<size_t>(&format - all_formats().data());
  const EncodeStock stock = kernels().codecs[index].codec.stock;
  if (!stock)
    throw Error{str("MLX has no format ", format.name), "", "choose a format of MLX, such as mlx_q4_g64"};
  stock({row.data(), static_cast<int64_t>(row.size()), rule, blocks});
}

}  // namespace snug
