#include "report/headline.hpp"

#include <algorithm>

#include "base/str.hpp"

namespace snug::report {
namespace {

constexpr std::string_view kPreset = "preset ";  // as fit() labels what it ran

bool is_better(const std::optional<ComparedPreset>& best, double loss) {
  return !best || loss < best->loss.value;
}

double bits_of(const Report& report, const std::string& preset, int64_t bytes) {
  for (const PresetPoint& known : report.presets)
    if (str(", ", known.name, ",").find(str(", ", preset, ",")) != std::string::npos) return known.bits_per_weight;
  const int64_t tensors = bytes - (report.file_bytes - report.tensor_bytes);
  return report.weights > 0 ? 8.0 * static_cast<double>(tensors) / static_cast<double>(report.weights) : 0;
}

std::optional<ComparedPreset> measured_preset(const Report& report) {
  std::optional<ComparedPreset> best;
  for (const MeasuredPoint& point : report.measured) {
    if (!point.label.starts_with(kPreset) || point.bytes == 0 || point.bytes > report.file_bytes) continue;
    if (!is_better(best, point.measured)) continue;
    const std::string name = point.label.substr(kPreset.size());
    best = {name, point.bytes, bits_of(report, name, point.bytes), {point.measured, point.error, true},
            point.same_top, point.perplexity};
  }
  return best;
}

std::optional<ComparedPreset> predicted_preset(const Report& report) {
  const PresetPoint* preset = best_preset_within(report);
  if (!preset || !(preset->loss > 0)) return std::nullopt;
  return ComparedPreset{preset->name, preset->file_bytes, preset->bits_per_weight, {preset->loss, 0, false}, 0, 0};
}

}  // namespace

std::optional<Loss> own_loss(const Report& report) {
  if (report.measured_recipe)
    return Loss{report.measured_recipe->kl, report.measured_recipe->standard_error, true};
  if (report.loss_known) return Loss{report.predicted_loss, report.certainty.loss_error, false};
  return std::nullopt;
}

std::optional<ComparedPreset> compared_preset(const Report& report) {
  const auto own = own_loss(report);
  if (!own) return std::nullopt;
  return own->is_measured ? measured_preset(report) : predicted_preset(report);
}

}  // namespace snug::report
