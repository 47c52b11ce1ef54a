#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/files/atomic_file.hpp"
#include "gguf/reader.hpp"
#include "gguf/writer.hpp"

// What an imatrix is kept in is a GGUF file: said here alone.
namespace snug {

using ContainerKey = OutputKey;
using ContainerTensor = gguf::OutputTensor;
using ContainerWriter = gguf::Writer;

inline ModelSource read_container(const std::filesystem::path& path) { return gguf::read_model(path); }
inline ModelSource read_container(std::span<const std::byte> bytes, const std::string& name) {
  return gguf::read_model(bytes, name);
}

inline ContainerWriter open_container(const std::filesystem::path& path, std::vector<ContainerKey> keys,
                                      std::vector<ContainerTensor> tensors, Existing existing) {
  return ContainerWriter{gguf::plan_layout(path, std::move(keys), std::move(tensors)), existing};
}

}  // namespace snug
