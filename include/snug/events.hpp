#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace snug {

/// How far one long stage of the work is.
struct StageProgress {
  enum class Unit { items, bytes, weights };

  std::string_view stage;  // "measuring"
  Unit unit = Unit::items;
  int64_t total = 1, done = 0;  // in units
  int64_t known = 0;            // of those done, what was known before and cost nothing
  double seconds = 0;           // since the stage began
  std::string_view what;        // is under way now, e.g. a tensor's name; may be empty
  bool ended = false;           // the last word of this stage, finished or not
  double overall = -1;          // of all the work, 0 to 1; negative where nobody knows
  double overall_seconds_left = -1;
};

/// What a stage has read of the model's weights.
struct StageRead {
  std::string stage;
  int64_t bytes = 0;
};

/// What the library says while it works, and how it is told to stop: whoever calls it overrides what interests
/// him. All members may be called from several threads at once.
class Events {
 public:
  virtual ~Events() = default;
  /// Something a person should know: what was chosen, left out or taken for granted. One line, no control
  /// characters of its own.
  virtual void log(std::string_view line) { (void)line; }
  /// Many times a second: showing it as often as it helps is up to the receiver.
  virtual void progress(const StageProgress& progress) { (void)progress; }
  /// Asked between units of work; once true, the work ends with an Error of Fault::interrupted, and what is
  /// finished is saved.
  virtual bool cancelled() const { return false; }
};

}  // namespace snug
