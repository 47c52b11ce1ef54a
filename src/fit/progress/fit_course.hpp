#pragma once

#include <vector>

#include "base/events.hpp"
#include "fit/progress/forecast.hpp"
#include "fit/progress/job_progress.hpp"
#include "fit/progress/stage_clock.hpp"
#include "snug/error.hpp"
#include "snug/events.hpp"
#include "snug/fit_request.hpp"
#include "snug/state.hpp"

namespace snug {

/// Tells the receiver, and whoever asks for the status, of a fit from here on: what it will take, how far it is, how
/// it ended. What stages took is kept in the state for the next forecast.
class FitCourse {
 public:
  /// Both outlive it. The request names its state.
  FitCourse(Events& receiver, const FitRequest& request, const Forecast& expected);

  /// Of the request's sizes, from 0.
  void begin_size(size_t size);
  void finish(Store& state);
  /// To be called when nobody has the state open.
  void stop(const Error& error) noexcept;

  std::vector<StageRead> reads() const { return clock_.reads(); }

 private:
  const FitRequest& request_;
  JobProgress job_;
  StageClock clock_{job_};
  const EventScope scope_{clock_};
};

}  // namespace snug
