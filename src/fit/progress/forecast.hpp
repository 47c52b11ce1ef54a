#pragma once

#include <string>
#include <vector>

#include "fit/progress/stage_clock.hpp"
#include "snug/fit_request.hpp"
#include "snug/model.hpp"

namespace snug {

/// What a fit will go through and take, before it starts. Seconds are those that the same stage took of this model
/// before, where it was run, else of a core of 2023: right to a factor of two or three.
struct Forecast {
  struct Stage {
    std::string name;
    double seconds = 0;  // 0 where all is known
    bool is_known = false;
    int64_t times = 1;          // it is gone through
    bool of_each_size = false;
  };
  std::vector<Stage> stages;
  bool is_measured = false;  // seconds rest on an earlier run on this machine
  int64_t memory_bytes = 0;  // at the peak, the model's mapped pages included
  bool maps_model = true;    // or not: a model that does not stay in memory
  int64_t disk_bytes = 0;    // beside the state and the outputs: what is collected

  double seconds() const;
};

/// Of all sizes together. The state that the request names may be missing.
Forecast forecast(const FitRequest& request, const ModelSource& model);

/// Two or three lines.
std::string to_text(const Forecast& forecast);

}  // namespace snug
