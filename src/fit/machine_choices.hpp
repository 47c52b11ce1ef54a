#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>

#include "snug/evidence_options.hpp"
#include "snug/model.hpp"
#include "snug/state.hpp"

namespace snug {

/// What a fit does as far as the memory and the disk decide it that are free when it starts. Those of the
/// first start that has its text are a record of the state, so that a fit that was stopped ends in the same bytes with
/// more room or less.
struct MachineChoices {
  bool runs_model = false;    // over the calibration text
  bool judges = false;        // runs whole recipes against the original
  int64_t hessian_width = 0;  // Hessians are collected of inputs up to this width; 0: none
  bool built_in_text = false;  // it runs over the text that comes with the program: writing its own would read a model
                               // that does not stay in memory for every token

  bool operator==(const MachineChoices&) const = default;
};

/// Bytes that are free.
struct Room {
  int64_t memory = 0;    // for the model
  int64_t hessians = 0;  // for all Hessians, in the folder they are collected to
  int64_t hessian = std::numeric_limits<int64_t>::max();  // for one, in memory
};
Room room_now(const std::filesystem::path& folder);

/// What the choices depend on besides the room. They are kept apart for each.
struct ChoiceRequest {
  bool may_run = true;                // the model, where that is possible
  bool text_is_named = false;         // by a person: it is run even where that is slow
  Feedback feedback = Feedback::off;  // off, too, where Hessians are at hand already
  int64_t output_bytes = 0;           // of the output to be judged; 0: none is
};

/// Error feedback may take so long unasked, of one core however many there are: the same model gets the same recipe
/// on every machine that has room.
inline constexpr double kFeedbackPatience = 16 * 3600;  // seconds

/// The widest inputs that feedback takes in that time, or at all where it was asked for; 0: none.
int64_t hessian_width_in_time(const ModelSource& model, Feedback feedback);

/// And in the room too: the width of MachineChoices.
int64_t hessian_width(const ModelSource& model, Feedback feedback, const Room& room);

/// Of the inputs that error feedback has Hessians of, with these choices; files that were `given` may have any. 0: none.
int64_t moments_width(const MachineChoices& choices, bool given);

MachineChoices choices_for(const ModelSource& model, const ChoiceRequest& request, const Room& room);

/// Nothing where the state has none for that model and request, or none that makes sense.
std::optional<MachineChoices> kept_choices(const Store& state, const ModelSource& model, const ChoiceRequest& request);
void keep_choices(Store& state, const ModelSource& model, const ChoiceRequest& request, const MachineChoices& choices);

}  // namespace snug
