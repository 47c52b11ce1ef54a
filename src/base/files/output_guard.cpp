#include "base/files/output_guard.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <compare>
#include <map>
#include <set>
#include <string>
#include <system_error>
#include <utility>

#include "base/str.hpp"
#include "base/units.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;

/// What a path stands for: a file, or where there is none yet its folder and the name in it.
struct Identity {
  uint64_t device = 0, inode = 0;
  std::string name;
  auto operator<=>(const Identity&) const = default;
};

Identity identity_of(const fs::path& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) == 0) return {info.st_dev, info.st_ino, ""};
  const fs::path target = follow_links(path);
  if (stat(folder_of(target).c_str(), &info) != 0) return {0, 0, target.lexically_normal().string()};
  return {info.st_dev, info.st_ino, target.filename().string()};
}

/// A store that is there already must be a file that can be written; whether it is a store, opening it says.
void check_kept(const fs::path& store) {
  struct stat info {};
  if (stat(store.c_str(), &info) != 0) return check_folder_of(follow_links(store));
  if (!S_ISREG(info.st_mode))
    throw Error{"not a regular file", store.string(), "name a file, not a folder or a device", Fault::io};
  if (faccessat(AT_FDCWD, store.c_str(), R_OK | W_OK, AT_EACCESS) != 0)
    throw io_error("open the state store for writing", store.string(), "name another store");
}

}  // namespace

OutputGuard& OutputGuard::reads(std::span<const path> inputs) {
  for (const path& input : inputs)
    if (!input.empty()) inputs_.push_back(input);
  return *this;
}

OutputGuard& OutputGuard::reads(std::initializer_list<path> inputs) {
  return reads(std::span{inputs.begin(), inputs.size()});
}

OutputGuard& OutputGuard::writes(const path& output, int64_t bytes) {
  if (!output.empty()) outputs_.push_back({output, bytes, false, existing_, {}});
  return *this;
}

OutputGuard& OutputGuard::writes(const path& output, Existing existing) {
  if (!output.empty()) outputs_.push_back({output, 0, false, existing, {}});
  return *this;
}

OutputGuard& OutputGuard::writes(std::span<const path> outputs) {
  for (const path& output : outputs) writes(output);
  return *this;
}

OutputGuard& OutputGuard::writes_folder(const path& output, MayReplace may_replace) {
  if (!output.empty()) outputs_.push_back({output, 0, false, existing_, std::move(may_replace)});
  return *this;
}

OutputGuard& OutputGuard::keeps(const path& store) {
  if (!store.empty()) outputs_.push_back({store, 0, true, existing_, {}});
  return *this;
}

void OutputGuard::check() const {
  check_identities();
  check_contents();
  check_places();
  check_room();
}

void OutputGuard::check_identities() const {
  std::set<Identity> inputs, outputs;
  for (const path& input : inputs_) inputs.insert(identity_of(input));
  for (const Output& output : outputs_) {
    const Identity identity = identity_of(output.file);
    if (inputs.contains(identity))
      throw Error{"the output is one of the inputs, which would be lost", output.file.string(),
                  "name another output", Fault::usage};
    if (!outputs.insert(identity).second)
      throw Error{"two outputs are the same file, of which one would be lost", output.file.string(),
                  "name another output", Fault::usage};
  }
}

/// A folder that is replaced loses what is in it.
void OutputGuard::check_contents() const {
  std::set<Identity> folders;
  for (const path& input : inputs_) folders.insert(identity_of(folder_of(follow_links(input))));
  for (const Output& output : outputs_)
    if (std::error_code ignored; output.may_replace && fs::exists(output.file, ignored) && folders.contains(identity_of(output.file)))
      throw Error{"one of the inputs lies in the folder of the output, and would be lost", output.file.string(),
                  "name another output", Fault::usage};
}

void OutputGuard::check_places() const {
  for (const Output& output : outputs_)
    if (output.is_kept)
      check_kept(output.file);
    else if (output.may_replace)
      output_folder(output.file, output.existing, output.may_replace);
    else
      output_path(output.file, output.existing);
}

void OutputGuard::check_room() const {
  std::map<uint64_t, int64_t> wanted;  // of each disk
  for (const Output& output : outputs_) {
    if (output.bytes == 0) continue;
    const path folder = folder_of(follow_links(output.file));
    struct stat info {};
    struct statvfs disk {};
    if (stat(folder.c_str(), &info) != 0 || statvfs(folder.c_str(), &disk) != 0) continue;
    const int64_t needed = wanted[info.st_dev] += output.bytes;
    const uint64_t blocks =
        std::min<uint64_t>(disk.f_bavail, INT64_MAX / std::max<uint64_t>(disk.f_frsize, 1));
    const auto available = static_cast<int64_t>(blocks * disk.f_frsize);
    if (needed > available)
      throw Error{
          str("the disk has ", show_size(available), " left, ", show_size(needed), " are to be written"),
          output.file.string(), "free some space, or write to another disk", Fault::io};
  }
}

}  // namespace snug
