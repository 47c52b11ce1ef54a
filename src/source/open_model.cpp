#include "source/open_model.hpp"

#include <system_error>

#include "base/events.hpp"
#include "gguf/reader.hpp"
#include "gguf/split.hpp"
#include "hf/checkpoint.hpp"
#include "hf/projector.hpp"

namespace snug {

namespace {

ModelSource with_remarks_logged(ModelSource model) {
  for (const std::string& remark : model.remarks()) log_line(remark);
  return model;
}

}  // namespace

ModelSource open_model(const std::filesystem::path& path) {
  return with_remarks_logged(hf::is_checkpoint(path) ? hf::open_checkpoint(path) : gguf::read_model(path));
}

ModelSource open_projector(const std::filesystem::path& folder) {
  return with_remarks_logged(hf::open_projector(folder));
}

std::vector<std::filesystem::path> model_files(const std::filesystem::path& model) {
  std::error_code failed;
  std::filesystem::directory_iterator at{model, failed};
  if (failed) return gguf::split_files(model);
  std::vector<std::filesystem::path> files;
  for (; !failed && at != std::filesystem::directory_iterator{}; at.increment(failed)) files.push_back(at->path());
  return files;
}

}  // namespace snug
