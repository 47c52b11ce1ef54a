#include "fit/progress/job_progress.hpp"

#include <algorithm>
#include <utility>

#include "fit/progress/stage_clock.hpp"

namespace snug {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kBetween{1};  // two words on the disk
constexpr double kFastest = 0.2, kSlowest = 20;  // against the forecast: early figures are rough
constexpr double kTelling = 0.02;  // of the work, before which its speed tells nothing

double share_of(const StageProgress& p) {
  return std::clamp(static_cast<double>(p.done) / static_cast<double>(std::max<int64_t>(p.total, 1)), 0.0, 1.0);
}

/// Of the stage alone, as fast as it has gone so far; negative before that tells anything.
double seconds_left_of(const StageProgress& p) {
  const int64_t done = p.done - p.known;
  return done > 0 ? p.seconds / static_cast<double>(done) * static_cast<double>(std::max<int64_t>(0, p.total - p.done)) : -1;
}

}  // namespace

JobProgress::JobProgress(Events& receiver, const Forecast& forecast, std::filesystem::path state, JobStatus about)
    : receiver_(receiver), file_(std::move(state)), status_(std::move(about)) {
  for (const Forecast::Stage& stage : forecast.stages) {
    parts_.push_back({stage.name, stage.seconds, stage.seconds / static_cast<double>(std::max<int64_t>(stage.times, 1)),
                      stage.of_each_size});
    expected_ += stage.seconds;
  }
}

JobProgress::JobProgress(Events& receiver, std::filesystem::path place, JobStatus about)
    : JobProgress(receiver, Forecast{}, std::move(place), std::move(about)) {
  status_.overall = -1;
}

JobProgress::~JobProgress() {
  if (status_.phase == JobStatus::Phase::running) end(JobStatus::Phase::stopped, "");
}

JobProgress::Part* JobProgress::find(std::string_view stage) {
  const auto found = std::ranges::find(parts_, stage_name(stage), &Part::name);
  return found == parts_.end() ? nullptr : &*found;
}

/// What comes once and was to come before this is known, or was not needed.
void JobProgress::skip_before(const Part& part) {
  for (Part& before : parts_) {
    if (&before == &part) return;
    if (!before.of_each_size) before.done = before.expected;
  }
}

void JobProgress::advance(Part& part, const StageProgress& p) {
  const bool is_over = p.ended && !is_cut(p);
  skip_before(part);
  const double now = part.once * share_of(p);
  const double before = part.done;
  if (is_over) {
    part.done = std::min(part.expected, part.done + (part.of_each_size ? part.once : part.expected));
    if (p.known < p.done) part.ran += part.done - before;
  }
  const double known = part.once * static_cast<double>(p.known) / static_cast<double>(std::max<int64_t>(p.total, 1));
  running_ = is_over ? 0 : std::max(0.0, now - known);
  double done = is_over ? 0 : std::min(now, part.expected - part.done);
  for (const Part& each : parts_) done += each.done;
  if (expected_ > 0) status_.overall = std::max(status_.overall, std::min(1.0, done / expected_));
}

double JobProgress::seconds_left() const {
  double ran = running_;
  for (const Part& part : parts_) ran += part.ran;
  const double spent = std::chrono::duration<double>(Clock::now() - start_).count();
  const double pace = ran > kTelling * expected_ ? std::clamp(spent / ran, kFastest, kSlowest) : 1;
  return (1 - status_.overall) * expected_ * pace;
}

void JobProgress::progress(const StageProgress& given) {
  StageProgress told = given;
  {
    const std::lock_guard lock{mutex_};
    if (Part* part = find(given.stage)) advance(*part, given);
    status_.stage = given.stage;
    status_.stage_share = share_of(given);
    status_.seconds_left = parts_.empty() ? seconds_left_of(given) : seconds_left();
    told.overall = status_.overall;
    told.overall_seconds_left = status_.seconds_left;
    keep(false);
  }
  receiver_.progress(told);
}

void JobProgress::begin_size(int64_t size, const std::string& output) {
  const std::lock_guard lock{mutex_};
  status_.size = size;
  status_.output = output;
  for (Part& part : parts_)
    if (part.of_each_size)
      part.done = std::max(part.done, part.expected * static_cast<double>(size - 1) / static_cast<double>(status_.sizes));
  keep(true);
}

void JobProgress::keep(bool now) {
  if (!now && Clock::now() - kept_ < kBetween) return;
  kept_ = Clock::now();
  status_.updated = own_status().updated;
  keep_status(file_, status_);
}

void JobProgress::end(JobStatus::Phase phase, const std::string& error) {
  const std::lock_guard lock{mutex_};
  status_.phase = phase;
  status_.error = error;
  status_.seconds_left = 0;
  if (kept_ != Clock::time_point{}) keep(true);  // what was refused at once has no status
}

void JobProgress::finish() {
  status_.overall = status_.stage_share = 1;
  end(JobStatus::Phase::finished, "");
}

void JobProgress::stop(const std::string& error) {
  end(JobStatus::Phase::stopped, error);
}

}  // namespace snug
