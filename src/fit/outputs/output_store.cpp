#include "fit/outputs/output_store.hpp"

#include "base/digest.hpp"
#include "base/files/output_path.hpp"
#include "base/str.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;

Digest key_of(const Digest& request, const fs::path& output) {
  std::error_code unknown;
  const fs::path whole = without_last_slash(fs::absolute(output, unknown).lexically_normal());
  return Hasher{}.add("snug output").add_array<uint8_t>(request.bytes).add(whole.string()).finish();
}

void put(Store& state, const Digest& key, const std::string& text) {
  state.put(RecordKind::note, key, std::as_bytes(std::span{text}));
  state.sync();
}

void add_rules(Hasher& hasher, const PlanOptions& plan) {
  for (const auto* rules : {&plan.rules.pins, &plan.rules.mins, &plan.rules.maxs, &plan.rules.groups, &plan.caps}) {
    hasher.add(static_cast<uint64_t>(rules->size()));
    for (const std::string& rule : *rules) hasher.add(rule);
  }
  hasher.add(static_cast<uint64_t>(plan.max_formats)).add(static_cast<uint64_t>(plan.active_bytes.value_or(-1)));
  hasher.add(static_cast<uint64_t>(plan.split_bytes)).add(str(plan.seconds)).add(uint64_t{plan.notes});
}

}  // namespace

Digest request_digest(const ModelSource& model, const PlanOptions& plan, const EvidenceOptions& evidence) {
  Hasher hasher;
  hasher.add("request").add(SNUG_VERSION).add_array<uint8_t>(model.contents_digest().bytes);
  const Budget& budget = plan.budget;
  hasher.add(static_cast<uint64_t>(budget.kind())).add(static_cast<uint64_t>(budget.bytes(1'000'000'000'000)));
  add_rules(hasher, plan);
  const MeasureOptions& measuring = evidence.measuring;
  hasher.add(str(measuring.precision)).add(static_cast<uint64_t>(measuring.effort));
  hasher.add(measuring.formats).add(measuring.runtime).add(uint64_t{measuring.allow_requantize});
  const CalibrationRequest& run = evidence.calibration;
  hasher.add(uint64_t{run.run}).add(static_cast<uint64_t>(run.chunks)).add(static_cast<uint64_t>(run.context));
  hasher.add(static_cast<uint64_t>(run.probing)).add(static_cast<uint64_t>(evidence.feedback));
  if (evidence.fold) hasher.add("fold");
  for (const fs::path& file : {evidence.inputs.imatrix, evidence.inputs.moments, fs::path{run.text}})
    add_file(hasher, file);
  return hasher.finish();
}

void keep_begun(Store& state, const Digest& request, const fs::path& output, std::span<const OutputFile> files) {
  put(state, key_of(request, output), begun_note(files));
}

void keep_finished(Store& state, const Digest& request, const fs::path& output, const WrittenModel& written) {
  put(state, key_of(request, output), finished_note(written));
}

KnownOutput known_output(const Store& state, const Digest& request, const fs::path& output) {
  const auto note = state.get(RecordKind::note, key_of(request, output));
  if (!note) return {};
  return read_output_note({reinterpret_cast<const char*>(note->data()), note->size()}, output);
}

}  // namespace snug
