#pragma once

#include <span>
#include <string>
#include <string_view>

namespace snug {

/// The one of `known` that a person most likely meant by `word`: a slip or two away, whatever the case of
/// letters; empty where none is.
std::string_view closest(std::string_view word, std::span<const std::string_view> known);

/// "did you mean 'q4_K'?" for a remedy, or `otherwise` where nothing is close.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> known,
                         std::string otherwise);

}  // namespace snug
