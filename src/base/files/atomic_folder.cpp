#include "base/files/atomic_folder.hpp"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <random>
#include <system_error>
#include <utility>

#include "base/files/atomic_file.hpp"
#include "base/files/output_path.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPartMark = ".snug-part-";
constexpr size_t kPartDigits = 6;

/// An open folder with its lock, or -1 where somebody else has it.
int lock_folder(const fs::path& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    close(fd);
    return -1;
  }
  return fd;
}

void remove_unless_written(const fs::path& part) {
  const int fd = lock_folder(part);
  if (fd < 0) return;
  std::error_code ignored;
  fs::remove_all(part, ignored);
  close(fd);
}

bool is_part_of(const fs::path& path, const fs::path& other) {
  const std::string start = path.filename().string() + std::string{kPartMark}, name = other.filename().string();
  return name.starts_with(start) && name.size() == start.size() + kPartDigits;
}

}  // namespace

fs::path output_folder(const fs::path& given, Existing existing, const MayReplace& may_replace) {
  const fs::path path = without_last_slash(given), target = follow_links(path);
  if (target.filename() == "." || target.filename() == ".." || !target.has_filename())
    throw Error{"the output cannot be the folder one is in, or one above it", given.string(), "name a new folder", Fault::io};
  std::error_code failed;
  const fs::file_status status = fs::status(target, failed);
  if (fs::exists(status) && !fs::is_directory(status))
    throw Error{"the output is a folder, and there is a file of that name", given.string(), "name another output", Fault::io};
  if (fs::is_directory(status) && !fs::is_empty(target, failed)) {
    if (existing == Existing::refuse)
      throw Error{"the output exists already", given.string(), "name another output, or ask for it to be replaced", Fault::io};
    if (!may_replace(target))
      throw Error{"the output is a folder with other things in it, which is not replaced", given.string(),
                  "name a new folder, or remove that one yourself", Fault::io};
  }
  check_folder_of(target);
  return target;
}

AtomicFolder::AtomicFolder(const fs::path& path, Existing existing, const MayReplace& may_replace)
    : path_(output_folder(path, existing, may_replace)), existing_(existing), may_replace_(may_replace) {
  remove_leftovers();
  make_part();
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  if (!part_.empty()) fs::remove_all(part_, ignored);
  if (lock_ >= 0) close(lock_);
}

void AtomicFolder::make_part() {
  std::random_device random;
  for (;;) {
    part_ = part_name(path_, random());
    if (mkdir(part_.c_str(), 0777) == 0) break;
    if (errno == EEXIST) continue;
    part_.clear();
    throw io_error("create the output", path_.string(), "check that the folder around it can be written");
  }
  lock_ = lock_folder(part_);
}

void AtomicFolder::remove_leftovers() const {
  std::error_code failed;
  for (fs::directory_iterator at{folder_of(path_), failed}, end; !failed && at != end; at.increment(failed))
    if (is_part_of(path_, at->path()) && at->is_directory(failed)) remove_unless_written(at->path());
}

/// An older one changes places with the new one, so that at every instant one of them is there.
void AtomicFolder::commit() {
  output_folder(path_, existing_, may_replace_);
  sync_directory(part_);
  std::error_code failed;
  const bool replaces = fs::exists(path_, failed) && !fs::is_empty(path_, failed);
  const int moved = replaces ? renameat2(AT_FDCWD, part_.c_str(), AT_FDCWD, path_.c_str(), RENAME_EXCHANGE)
                             : rename(part_.c_str(), path_.c_str());
  if (moved != 0) throw io_error("put the output in place", path_.string(), "name another output");
  if (replaces) fs::remove_all(part_, failed);
  part_.clear();
  sync_directory(folder_of(path_));
}

}  // namespace snug
