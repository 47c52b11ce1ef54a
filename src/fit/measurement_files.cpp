#include "fit/measurement_files.hpp"

#include <algorithm>
#include <chrono>
#include <map>

#include "base/files/atomic_file.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"
#include "snug/state.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kState = ".snug-state", kImatrix = ".imatrix.gguf";

/// "model" of model-0123456789abcdef.snug-state and model.0123456789ab.imatrix.gguf.
std::string model_of(std::string name, std::string_view ending, char before_digits) {
  name.resize(name.size() - ending.size());
  const size_t end = name.rfind(before_digits);
  return end == name.npos ? name : name.substr(0, end);
}

int64_t change_of(const fs::path& file) {
  std::error_code missing;
  const auto time = std::chrono::file_clock::to_sys(fs::last_write_time(file, missing));
  return missing ? 0 : std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

int64_t bytes_of(const fs::path& file) {
  std::error_code missing;
  const auto bytes = fs::file_size(file, missing);
  return missing ? 0 : static_cast<int64_t>(bytes);
}

/// What stands behind the name of a state or of what was collected: ".status", ".snug-part-000001".
std::string without_tail(const std::string& name) {
  for (const std::string_view ending : {kState, kImatrix})
    if (const size_t at = name.find(ending); at != name.npos) return name.substr(0, at + ending.size());
  return {};
}

void add_file(std::map<std::string, KeptModel>& models, const fs::path& file) {
  const std::string whole = file.filename().string(), name = without_tail(whole);
  if (name.empty()) return;  // not ours
  const bool is_state = name.ends_with(kState);
  KeptModel& model = models[is_state ? model_of(name, kState, '-') : model_of(name, kImatrix, '.')];
  const bool is_other = name != whole;
  (is_other ? model.others : is_state ? model.states : model.collected).push_back(file);
  (is_other ? model.other_bytes : is_state ? model.state_bytes : model.collected_bytes) += bytes_of(file);
  if (is_other) return;
  model.last_used = std::max(model.last_used, change_of(file));
}

int64_t remove_files(const std::vector<fs::path>& files) {
  int64_t bytes = 0;
  for (const fs::path& file : files) {
    std::error_code failed;
    const int64_t size = bytes_of(file);
    fs::remove(file, failed);
    if (failed) throw Error{str("cannot remove the file: ", failed.message()), file.string(), "", Fault::io};
    bytes += size;
  }
  return bytes;
}

}  // namespace

std::vector<KeptModel> kept_models(const fs::path& folder) {
  std::map<std::string, KeptModel> models;
  std::error_code unreadable;
  for (const auto& entry : fs::directory_iterator{folder, unreadable})
    if (entry.is_regular_file(unreadable)) add_file(models, entry.path());
  std::vector<KeptModel> list;
  for (auto& [name, model] : models) {
    model.name = name;
    for (auto* files : {&model.states, &model.collected, &model.others}) std::ranges::sort(*files);
    list.push_back(std::move(model));
  }
  std::ranges::stable_sort(list, std::ranges::greater{}, &KeptModel::bytes);
  return list;
}

int64_t remove_kept(const KeptModel& model, Remove what) {
  std::vector<Store> held;  // so that nobody begins to write meanwhile; opening says who does
  for (const fs::path& state : model.states) held.push_back(Store::open(state, Access::write));
  int64_t bytes = remove_files(model.collected);
  if (what == Remove::all) bytes += remove_files(model.states) + remove_files(model.others);
  return bytes;
}

}  // namespace snug
