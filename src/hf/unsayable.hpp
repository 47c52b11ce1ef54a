#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hf/config.hpp"

namespace snug::hf {

/// What config.json may say that GGUF has no words for. Error where every text would be computed otherwise than
/// transformers does; a remark where only some are.
void check_sayable(const Config& config, std::string_view architecture, std::vector<std::string>& remarks);

}  // namespace snug::hf
