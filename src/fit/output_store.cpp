#include "fit/output_store.hpp"

#include <sstream>

#include "base/digest.hpp"
#include "base/files/mapped_file.hpp"
#include "base/files/output_path.hpp"
#include "base/str.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "snug output";

Digest key_of(const Digest& request, const fs::path& output) {
  std::error_code unknown;
  const fs::path whole = fs::absolute(output, unknown).lexically_normal();
  return Hasher{}.add(kMagic).add_array<uint8_t>(request.bytes).add(whole.string()).finish();
}

Digest digest_of_file(const fs::path& file) {
  return digest_of(MappedFile{file}.bytes());
}

int64_t size_of(const fs::path& file) {
  std::error_code missing;
  const auto bytes = fs::file_size(file, missing);
  return missing ? -1 : static_cast<int64_t>(bytes);
}

void put(Store& state, const Digest& key, const std::string& text) {
  state.put(RecordKind::note, key, std::as_bytes(std::span{text}));
  state.sync();
}

/// Files that are read beside the model stand for their contents by size and time: they may be as large as it is.
void add_file(Hasher& hasher, const fs::path& file) {
  std::error_code missing;
  hasher.add(file.filename().string()).add(static_cast<uint64_t>(size_of(file)));
  const auto time = fs::last_write_time(file, missing);
  hasher.add(missing ? 0 : static_cast<uint64_t>(time.time_since_epoch().count()));
}

void add_rules(Hasher& hasher, const PlanOptions& plan) {
  for (const auto* rules : {&plan.rules.pins, &plan.rules.mins, &plan.rules.maxs, &plan.rules.groups, &plan.caps}) {
    hasher.add(static_cast<uint64_t>(rules->size()));
    for (const std::string& rule : *rules) hasher.add(rule);
  }
  hasher.add(static_cast<uint64_t>(plan.max_formats)).add(static_cast<uint64_t>(plan.active_bytes.value_or(-1)));
  hasher.add(static_cast<uint64_t>(plan.split_bytes)).add(str(plan.seconds)).add(uint64_t{plan.notes});
}

/// Where the files of an output lie that is a folder, or the file itself and others beside it.
fs::path folder_with(const fs::path& output) {
  return fs::is_directory(output) ? output : folder_of(output);
}

fs::path file_of(const fs::path& output, const std::string& name) {
  const fs::path folder = folder_with(output);
  return folder == output || output.has_parent_path() ? folder / name : fs::path{name};
}

/// "1234 out.gguf\n...": sizes and names of files.
KnownOutput begun(std::istream& note, const fs::path& output, int64_t bytes) {
  KnownOutput known{OutputState::begun, {bytes, {}, {}}};
  int64_t size = 0;
  for (std::string name; note >> size && std::getline(note >> std::ws, name);) {
    const fs::path file = file_of(output, name);
    if (const int64_t there = size_of(file); there == size)
      known.written.files.push_back(file);
    else if (there < 0)
      known.is = OutputState::partly;
    else
      return {};
  }
  return known.written.files.empty() ? KnownOutput{} : known;
}

/// "1234 <digest> out.gguf\n...".
KnownOutput finished(std::istream& note, const fs::path& output, int64_t bytes) {
  KnownOutput known{OutputState::finished, {bytes, {}, {}}};
  int64_t size = 0;
  std::string digest, name;
  while (note >> size >> digest && std::getline(note >> std::ws, name)) {
    const fs::path file = file_of(output, name);
    if (size_of(file) != size || digest_of_file(file).hex() != digest) return {};
    known.written.files.push_back(file);
  }
  return known.written.files.empty() ? KnownOutput{} : known;
}

}  // namespace

Digest request_digest(const FitRequest& request, const ModelSource& model) {
  Hasher hasher;
  hasher.add("request").add(SNUG_VERSION).add_array<uint8_t>(model.contents_digest().bytes);
  const Budget& budget = request.plan.budget;
  hasher.add(static_cast<uint64_t>(budget.kind())).add(static_cast<uint64_t>(budget.bytes(1'000'000'000'000)));
  add_rules(hasher, request.plan);
  hasher.add(str(request.measuring.precision)).add(static_cast<uint64_t>(request.measuring.effort));
  hasher.add(request.measuring.formats).add(request.measuring.runtime).add(uint64_t{request.measuring.allow_requantize});
  const CalibrationRequest& run = request.calibration;
  hasher.add(uint64_t{run.run}).add(static_cast<uint64_t>(run.chunks)).add(static_cast<uint64_t>(run.context));
  hasher.add(static_cast<uint64_t>(run.probing)).add(static_cast<uint64_t>(request.feedback));
  if (request.fold) hasher.add("fold");
  for (const fs::path& file : {request.inputs.imatrix, request.inputs.moments, fs::path{run.text}}) add_file(hasher, file);
  return hasher.finish();
}

void keep_begun(Store& state, const Digest& request, const fs::path& output, std::span<const OutputFile> files) {
  int64_t bytes = 0;
  std::string lines;
  for (const OutputFile& file : files) {
    bytes += file.bytes;
    lines += str(file.bytes, " ", file.path.filename().string(), "\n");
  }
  put(state, key_of(request, output), str(kMagic, "\nbegun ", bytes, "\n", lines));
}

void keep_finished(Store& state, const Digest& request, const fs::path& output, const WrittenModel& written) {
  std::string text = str(kMagic, "\nfinished ", written.bytes, "\n");
  for (const fs::path& file : written.files)
    text += str(size_of(file), " ", digest_of_file(file).hex(), " ", file.filename().string(), "\n");
  put(state, key_of(request, output), text);
}

KnownOutput known_output(const Store& state, const Digest& request, const fs::path& output) {
  const auto note = state.get(RecordKind::note, key_of(request, output));
  if (!note) return {};
  std::istringstream text{std::string(reinterpret_cast<const char*>(note->data()), note->size())};
  std::string magic, word;
  int64_t bytes = 0;
  if (!std::getline(text, magic) || magic != kMagic || !(text >> word >> bytes)) return {};
  return word == "begun" ? begun(text, output, bytes) : finished(text, output, bytes);
}

}  // namespace snug
