#include "mlx/limits.hpp"

#include <algorithm>

#include "quant/lossless.hpp"

namespace snug::mlx {
namespace {

/// What holds the blocks of a GGUF format; nullptr where nothing does.
const Format* find_lossless(FormatId format) {
  const auto same = lossless_in_mlx(format);
  return same ? find_format(*same) : nullptr;
}

}  // namespace

Limits::Limits(std::span<const Module> modules) {
  for (size_t i = 0; i < modules.size(); ++i) {
    const Module& module = modules[i];
    modules_[module.tensor->name].push_back(&module);
    if (!continues(modules, i)) continue;
    const std::string first{modules[i - 1].tensor->name}, second{module.tensor->name};
    if (joined_.empty() || joined_.back().back() != first) joined_.push_back({first});
    joined_.back().push_back(second);
  }
}

bool Limits::allow(std::string_view tensor, FormatId format) const {
  const auto found = modules_.find(tensor);
  const Format* known = find_format(format);
  if (!known || block_shape(format).block_weights == 1) return true;
  if (found == modules_.end()) return known->planes.empty();  // it is not stored
  if (known->planes.empty()) known = find_lossless(format);
  return known &&
         std::ranges::all_of(found->second, [&](const Module* module) { return module->takes(*known); });
}

}  // namespace snug::mlx
