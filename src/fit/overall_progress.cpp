#include "fit/overall_progress.hpp"

#include <algorithm>

namespace snug {
namespace {

/// By its own speed; nothing where it has none yet.
double left_of(const StageProgress& now) {
  const auto fresh = static_cast<double>(now.done - now.known);
  return fresh > 0 ? now.seconds * static_cast<double>(std::max<int64_t>(0, now.total - now.done)) / fresh : 0;
}

}  // namespace

std::string_view stage_name(const StageProgress& progress) {
  return progress.stage.substr(0, progress.stage.find(','));
}

double OverallProgress::left(const StageProgress& now) {
  const auto at = std::ranges::find(stages_, stage_name(now), &Stage::name);
  if (at == stages_.end()) return left_of(now);
  const auto current = static_cast<size_t>(at - stages_.begin());
  if (now.ended) taken_[current] += now.seconds;
  const double spent = taken_[current] + (now.ended ? 0 : now.seconds);
  double left = std::max(now.ended ? 0 : left_of(now), at->seconds - spent);  // a stage may be run again
  for (size_t i = current + 1; i < stages_.size(); ++i) left += std::max(0.0, stages_[i].seconds - taken_[i]);
  return std::max(0.0, left);
}

}  // namespace snug
