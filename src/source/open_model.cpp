#include "gguf/reader.hpp"
#include "snug/model.hpp"

namespace snug {

ModelSource open_model(const std::filesystem::path& path) {
  return gguf::read_model(path);
}

}  // namespace snug
