#include "source/open_model.hpp"

#include <iterator>
#include <system_error>

#include "base/events.hpp"
#include "gguf/reader.hpp"
#include "gguf/split.hpp"
#include "hf/checkpoint.hpp"
#include "hf/projector.hpp"
#include "snug/error.hpp"

namespace snug {

namespace fs = std::filesystem;

namespace {

ModelSource with_remarks_logged(ModelSource model) {
  for (const std::string& remark : model.remarks()) log_line(remark);
  return model;
}

/// "owner/name", as model hubs name what nobody has fetched yet.
bool names_a_hub(const fs::path& path) {
  std::error_code unknown;
  return path.is_relative() && std::distance(path.begin(), path.end()) == 2 && *path.begin() != "." && *path.begin() != ".." &&
         path.extension() != ".gguf" && !fs::exists(path.parent_path(), unknown);
}

void check_is_there(const fs::path& path) {
  std::error_code unknown;
  if (fs::exists(path, unknown) || unknown) return;
  throw Error{"there is no such file or folder", path.string(),
              names_a_hub(path) ? "nothing is downloaded: fetch it with the hub's own program, and name the folder it lies in"
                                : "check the path",
              Fault::io};
}

}  // namespace

ModelSource open_model(const fs::path& path) {
  check_is_there(path);
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
