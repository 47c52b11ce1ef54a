#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "snug/profile.hpp"
#include "snug/recipe.hpp"

namespace snug::cli {

constexpr size_t kReportWidth = 100;  // no line is longer

/// Tensors, weights, size, bits per weight, share of the predicted loss and formats: a line per role, a line
/// per layer.
std::string role_table(const Recipe& recipe);
std::string layer_table(const Recipe& recipe);

/// Planned size, bits per weight, budget and what is unused of it, predicted loss with its bound and gap,
/// what was left out. With a profile also what the losses rest on. A few lines.
std::string summary_lines(const Recipe& recipe, const Profile* profile = nullptr);

/// What was left out and why, as one line.
std::string left_out_line(const Recipe& recipe);

/// All of it: by role, by layer, summary.
std::string report_table(const Recipe& recipe);
std::string report_table(const Profile& profile, const Recipe& recipe);

/// The same as JSON: {"summary": {...}, "roles": [...], "layers": [...]}, sizes in bytes, losses in nats per
/// token.
nlohmann::ordered_json report_json(const Recipe& recipe, const Profile* profile = nullptr);

}  // namespace snug::cli
