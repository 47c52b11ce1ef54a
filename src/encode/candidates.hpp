#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "snug/model.hpp"
#include "snug/format.hpp"

namespace snug {

/// The formats of --formats ("q4_K,q6_K", all if empty) that the target named `runtime` loads, sorted by id. Throws
/// Error on a name that is not known, with the list of those that are.
std::vector<const Format*> wanted_formats(std::string_view list, std::string_view runtime);

/// Those of `wanted` that fit the tensor's row length and are smaller than its source, with scales of the source's type where MLX has two; the source format itself comes
/// last, as the lossless choice.
std::vector<const Format*> candidates_of(const Tensor& tensor, const std::vector<const Format*>& wanted);

/// Throws Error if the tensor cannot be a source: a type that is already quantized (unless allowed) or not decodable.
void check_source(const Tensor& tensor, const std::filesystem::path& path, bool allow_requantize);

}  // namespace snug
