#include "fit/machine_choices.hpp"

#include <algorithm>
#include <span>
#include <sstream>
#include <string>
#include <string_view>

#include "base/digest.hpp"
#include "base/memory.hpp"
#include "base/str.hpp"
#include "calibrate/hessian_budget.hpp"
#include "fit/calibration_run.hpp"
#include "infer/tokenizer/tokenizer.hpp"

namespace snug {
namespace {

constexpr std::string_view kNote = "snug_machine_choices\n";

Digest key_of(const ModelSource& model, const ChoiceRequest& request) {
  Hasher hasher;
  hasher.add("machine choices").add_array<uint8_t>(model.shape_digest().bytes);
  for (const int64_t number : {int64_t{request.may_run}, int64_t{request.text_is_named},
                               static_cast<int64_t>(request.feedback), request.output_bytes})
    hasher.add(static_cast<uint64_t>(number));
  return hasher.finish();
}

}  // namespace

Room room_now(const std::filesystem::path& folder) {
  constexpr int64_t kShare = 4;   // of the disk
  constexpr int64_t kAtOnce = 2;  // matrices as large: a mean, and the factor that is made of it
  Room room{memory_for(MemoryUse::all), INT64_MAX, memory_for(MemoryUse::hessians) / kAtOnce};
  std::error_code unknown;
  const auto disk = std::filesystem::space(folder.empty() ? "." : folder, unknown).available / kShare;
  if (!unknown) room.hessians = static_cast<int64_t>(std::min<uintmax_t>(disk, INT64_MAX));
  return room;
}

int64_t hessian_width_in_time(const ModelSource& model, Feedback feedback) {
  constexpr double kEncodings = 4;  // of the whole model, to judge and to write
  if (feedback == Feedback::off) return 0;
  if (feedback == Feedback::on) return max_hessian_width(model, {});
  return max_hessian_width(model, {.seconds = kFeedbackPatience / kEncodings});
}

int64_t hessian_width(const ModelSource& model, Feedback feedback, const Room& room) {
  return std::min(hessian_width_in_time(model, feedback),
                  max_hessian_width(model, {.bytes = room.hessians, .matrix_bytes = room.hessian}));
}

int64_t moments_width(const MachineChoices& choices, bool given) {
  if (choices.hessian_width > 0) return choices.hessian_width;
  return given ? std::numeric_limits<int64_t>::max() : 0;
}

MachineChoices choices_for(const ModelSource& model, const ChoiceRequest& request, const Room& room) {
  MachineChoices choices;
  if (!request.may_run || !is_runnable(model)) return choices;
  const bool writes = model.bytes() <= room.memory;
  choices.built_in_text = !request.text_is_named && !writes && infer::tokenizer_if_usable(model).has_value();
  choices.runs_model = request.text_is_named || writes || choices.built_in_text;
  if (!choices.runs_model) return choices;
  choices.judges = request.output_bytes > 0;  // layer by layer where the output does not stay in memory
  choices.hessian_width = hessian_width(model, request.feedback, room);
  return choices;
}

std::optional<MachineChoices> kept_choices(const Store& state, const ModelSource& model, const ChoiceRequest& request) {
  const auto payload = state.get(RecordKind::note, key_of(model, request));
  if (!payload) return std::nullopt;
  const std::string_view text{reinterpret_cast<const char*>(payload->data()), payload->size()};
  if (!text.starts_with(kNote)) return std::nullopt;
  std::istringstream in{std::string{text.substr(kNote.size())}};
  MachineChoices kept;
  if (!(in >> kept.runs_model >> kept.judges >> kept.hessian_width) || kept.hessian_width < 0) return std::nullopt;
  in >> kept.built_in_text;  // which earlier versions did not know of
  if (kept.runs_model && !(request.may_run && is_runnable(model))) return std::nullopt;
  return kept;
}

void keep_choices(Store& state, const ModelSource& model, const ChoiceRequest& request, const MachineChoices& choices) {
  const std::string text = str(kNote, int{choices.runs_model}, " ", int{choices.judges}, " ", choices.hessian_width,
                               " ", int{choices.built_in_text}, "\n");
  state.put(RecordKind::note, key_of(model, request), std::as_bytes(std::span{text}));
  state.sync();
}

}  // namespace snug
