#include "hf/layer_types.hpp"

#include <algorithm>

namespace snug::hf {
namespace {

bool has_period(const std::vector<std::string>& types, int64_t period) {
  for (size_t layer = 0; layer < types.size(); ++layer)
    if ((types[layer] == "full_attention") != ((static_cast<int64_t>(layer) + 1) % period == 0)) return false;
  return true;
}

}  // namespace

int64_t period_of(const std::vector<std::string>& layer_types, int64_t usual) {
  if (has_period(layer_types, usual)) return usual;
  const int64_t period = std::ranges::find(layer_types, "full_attention") - layer_types.begin() + 1;  // if any
  return has_period(layer_types, period) ? period : 0;
}

void add_window_period(const Config& config, int64_t usual, int64_t said, Keys& keys) {
  const std::vector<std::string> types = config.strings({"layer_types"});
  const int64_t period = types.empty() ? said : period_of(types, usual);
  if (period < 1)
    config.cannot_be_said("layers with full attention and with a window follow each other without a period, which GGUF cannot "
                  "say of this architecture");
  if (period != usual) keys.number("attention.sliding_window_pattern", period);
}

}  // namespace snug::hf
