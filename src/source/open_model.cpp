#include "base/events.hpp"
#include "gguf/reader.hpp"
#include "hf/checkpoint.hpp"
#include "snug/model.hpp"

namespace snug {

ModelSource open_model(const std::filesystem::path& path) {
  ModelSource model = hf::is_checkpoint(path) ? hf::open_checkpoint(path) : gguf::read_model(path);
  for (const std::string& remark : model.remarks()) log_line(remark);
  return model;
}

}  // namespace snug
