#include "safetensors/checkpoint.hpp"

#include <algorithm>
#include <cstring>
#include <set>

#include "base/files/read_file.hpp"
#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "safetensors/header.hpp"
#include "snug/error.hpp"

namespace snug::safetensors {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr std::string_view kPointer = "version https://git-lfs";

bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of(std::string{"/\\\0", 3}) == name.npos;
}

/// model*.safetensors, sorted by name.
std::vector<fs::path> weight_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator{folder, ignored}) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("model") && name.ends_with(".safetensors")) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

std::vector<fs::path> files_of_index(const fs::path& folder, const std::map<std::string, std::string>& file_of) {
  std::set<std::string> names;
  for (const auto& [tensor, file] : file_of) names.insert(file);
  std::vector<fs::path> files;
  for (const std::string& name : names) files.push_back(folder / name);
  return files;
}

/// What a folder has that holds no model*.safetensors.
[[noreturn]] void refuse_folder(const fs::path& folder) {
  const auto any = [&](std::string_view begin) {
    std::error_code ignored;
    for (const fs::directory_entry& entry : fs::directory_iterator{folder, ignored})
      if (entry.path().filename().string().starts_with(begin)) return true;
    return false;
  };
  if (any("pytorch_model"))
    throw Error{"the weights are PyTorch files, which hold program code", folder.string(),
                "load the folder with transformers and save it with save_pretrained(safe_serialization=True)"};
  if (any("consolidated"))
    throw Error{"the weights are in Mistral's own layout (consolidated*.safetensors)", folder.string(),
                "fetch the files model*.safetensors of the same checkpoint"};
  throw Error{"no file model*.safetensors is in the folder", folder.string(),
              "name the folder that holds config.json and the weights"};
}

void refuse_pointer(const MappedFile& map, const std::string& where) {
  const auto bytes = map.bytes();
  if (bytes.size() >= kPointer.size() && std::memcmp(bytes.data(), kPointer.data(), kPointer.size()) == 0)
    throw Error{"the file is a pointer of Git LFS, not the weights", where, "fetch the weights: git lfs pull"};
}

}  // namespace

std::map<std::string, std::string> read_index(const std::string& text, const std::string& where) {
  const nlohmann::json document = parse_json(text, where);
  const JsonNode map = JsonNode{document, where}.at("weight_map");
  if (!map.value().is_object()) map.refuse("expected an object");
  std::map<std::string, std::string> file_of;
  for (const auto& [tensor, file] : map.value().items()) {
    const JsonNode node{file, where, str("$.weight_map.", quoted(tensor))};
    file_of[tensor] = node.text();
    if (!is_plain_file_name(file_of[tensor]))
      node.refuse(str(quoted(file_of[tensor]), " is no name of a file in the same folder"),
                  "the index is damaged or hostile; fetch it again");
  }
  return file_of;
}

bool has_weights(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / kIndexName, ignored) || !weight_files(folder).empty();
}

Checkpoint::Checkpoint(const fs::path& folder) {
  const fs::path index = folder / kIndexName;
  if (fs::exists(index)) {
    const auto file_of = read_index(read_file(index), index.string());
    for (const fs::path& file : files_of_index(folder, file_of)) add_file(file);
    check_index(file_of, index.string());
  } else {
    for (const fs::path& file : weight_files(folder)) add_file(file);
  }
  if (files_.empty()) refuse_folder(folder);
}

Checkpoint Checkpoint::of_file(const fs::path& file) {
  Checkpoint checkpoint;
  checkpoint.add_file(file);
  return checkpoint;
}

void Checkpoint::add_file(const fs::path& file) {
  if (!fs::exists(file))
    throw Error{"a file of the checkpoint is missing", file.string(), "fetch all files of the checkpoint",
                Fault::io};
  const auto map = std::make_shared<const MappedFile>(file);
  const auto name = std::make_shared<const std::string>(file.string());
  refuse_pointer(*map, *name);
  Header header = read_header(map->bytes(), *name);
  if (files_.empty()) metadata_ = std::move(header.metadata);
  std::ranges::sort(header.tensors, {}, &Entry::name);
  for (Entry& entry : header.tensors) {
    if (!index_.emplace(entry.name, tensors_.size()).second)
      throw Error{str("the tensor ", quoted(entry.name), " is in two files"), *name,
                  "remove the file that does not belong to the checkpoint"};
    tensors_.push_back({std::move(entry.name), entry.dtype, std::move(entry.shape),
                        map->bytes().subspan(header.data_begin + entry.begin, entry.end - entry.begin), *name});
  }
  files_.push_back(file);
  maps_.push_back(map);
  names_.push_back(name);
  bytes_ += static_cast<int64_t>(map->bytes().size());
}

/// The index and the files name the same tensors, and every one lies where the index says.
void Checkpoint::check_index(const std::map<std::string, std::string>& file_of, const std::string& where) const {
  for (const auto& [name, file] : file_of) {
    const Tensor* tensor = find(name);
    if (!tensor || fs::path{tensor->file}.filename() != file)
      throw Error{str("the tensor ", quoted(name), " is not in ", quoted(file), ", where the index puts it"), where,
                  "files of two checkpoints are mixed, or one is out of date; fetch them again"};
  }
  for (const Tensor& tensor : tensors_)
    if (!file_of.contains(tensor.name))
      throw Error{str("the index does not list the tensor ", quoted(tensor.name), " of ", tensor.file), where,
                  "files of two checkpoints are mixed, or one is out of date; fetch them again"};
}

const Tensor* Checkpoint::find(std::string_view name) const {
  const auto found = index_.find(std::string{name});
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace snug::safetensors
