#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/files/mapped_file.hpp"
#include "safetensors/dtype.hpp"

namespace snug::safetensors {

/// A tensor in place. Its bytes need not be aligned to its elements.
struct Tensor {
  std::string name;
  Dtype dtype{};
  std::vector<int64_t> shape;  // row-major: the last dimension is contiguous; none for a scalar
  std::span<const std::byte> bytes;
  std::string_view file;       // that holds it, for messages
};

/// Whether a folder holds weights that Checkpoint can open: an index, or model*.safetensors.
bool has_weights(const std::filesystem::path& folder);

/// All tensors of a folder: of the files that model.safetensors.index.json lists, or, without one, of all
/// files model*.safetensors. Mapped; nothing is copied.
class Checkpoint {
 public:
  /// Throws Error where a file is missing, breaks a rule of the container, or disagrees with the index.
  explicit Checkpoint(const std::filesystem::path& folder);
  /// One file by itself.
  static Checkpoint of_file(const std::filesystem::path& file);

  std::span<const Tensor> tensors() const { return tensors_; }  // file by file, by name in each
  const Tensor* find(std::string_view name) const;              // nullptr if missing
  std::span<const std::filesystem::path> files() const { return files_; }
  int64_t bytes() const { return bytes_; }  // of all files
  const std::map<std::string, std::string>& metadata() const { return metadata_; }  // of the first file

 private:
  Checkpoint() = default;
  void add_file(const std::filesystem::path& file);
  void check_index(const std::map<std::string, std::string>& file_of, const std::string& where) const;

  std::vector<std::filesystem::path> files_;
  std::vector<std::shared_ptr<const MappedFile>> maps_;
  std::vector<Tensor> tensors_;
  std::unordered_map<std::string, size_t> index_;
  std::map<std::string, std::string> metadata_;
  std::vector<std::shared_ptr<const std::string>> names_;  // of the files, that Tensor::file points into
  int64_t bytes_ = 0;
};

/// The weight_map of an index's JSON text: the file of every tensor. Throws Error on anything else, and on
/// a file name that leads out of the folder.
std::map<std::string, std::string> read_index(const std::string& text, const std::string& where);

}  // namespace snug::safetensors
