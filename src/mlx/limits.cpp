#include "mlx/limits.hpp"

#include <algorithm>

namespace snug::mlx {

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
  const Format* known = find_format(format);
  if (!known || known->planes.empty()) return true;
  const auto found = modules_.find(tensor);
  return found != modules_.end() &&
         std::ranges::all_of(found->second, [&](const Module* module) { return module->takes(*known); });
}

}  // namespace snug::mlx
