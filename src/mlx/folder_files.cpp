#include "mlx/folder_files.hpp"

#include <algorithm>
#include <initializer_list>
#include <string>

namespace snug::mlx {
namespace {

namespace fs = std::filesystem;

bool has_ending(const fs::path& file, std::initializer_list<const char*> endings) {
  return std::ranges::any_of(endings, [&](const char* ending) { return file.extension() == ending; });
}

bool is_weights(const std::string& name) {
  return name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json");
}

bool is_companion(const fs::path& file) {
  const std::string name = file.filename().string();
  return has_ending(file, {".json", ".jinja", ".txt", ".model", ".tiktoken", ".py"}) && !is_weights(name) &&
         name != "config.json" && name != "hf_quant_config.json" && name != "quantize_config.json" &&
         !name.ends_with(".index.json");
}

std::vector<fs::directory_entry> entries_of(const fs::path& folder) {
  std::vector<fs::directory_entry> entries;
  for (const auto& entry : fs::directory_iterator{folder}) entries.push_back(entry);
  return entries;
}

}  // namespace

std::vector<fs::path> companion_files(const fs::path& source) {
  std::vector<fs::path> files;
  for (const auto& entry : entries_of(source))
    if (entry.is_regular_file() && is_companion(entry.path())) files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

bool is_model_folder(const fs::path& folder) {
  std::error_code failed;
  return fs::exists(folder / "config.json", failed) && std::ranges::all_of(entries_of(folder), [](const auto& entry) {
           const std::string name = entry.path().filename().string();
           return entry.is_regular_file() && (name == "config.json" || name == "README.md" || is_weights(name) || is_companion(entry.path()));
         });
}

}  // namespace snug::mlx
