#include "gguf/reader.hpp"
#include "hf/checkpoint.hpp"
#include "snug/model.hpp"

namespace snug {

ModelSource open_model(const std::filesystem::path& path) {
  return hf::is_checkpoint(path) ? hf::open_checkpoint(path) : gguf::read_model(path);
}

}  // namespace snug
