#pragma once

#include <string>

#include "report/report.hpp"

namespace snug::report {

/// A model card in Markdown, as model hubs show it: front matter, size and measured divergence, presets of llama.cpp of
/// the size, which formats the tensors have, how it was made.
std::string to_card(const Report& report);

}  // namespace snug::report
