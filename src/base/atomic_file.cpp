#include "base/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <system_error>
#include <utility>

#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr const char* kDiskRemedy = "free some space, or write to another disk";

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path, Existing existing, int64_t expected_bytes)
    : path_(std::move(path)), existing_(existing) {
  std::error_code ignored;
  if (existing == Existing::refuse && std::filesystem::exists(path_, ignored))
    throw Error{"the output exists already", path_.string(), "name another output, or replace it with --force", Fault::io};
  fd_ = open(folder_of(path_).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
  if (fd_ < 0) open_named();
  const int reserved = expected_bytes > 0 ? posix_fallocate(fd_, 0, expected_bytes) : 0;
  if (reserved == ENOSPC || reserved == EFBIG) {  // other failures: the filesystem cannot reserve; writing will tell
    discard();
    throw Error{str("the disk has no room for ", expected_bytes, " bytes"), path_.string(), kDiskRemedy, Fault::io};
  }
}

AtomicFile::~AtomicFile() { discard(); }

/// Where a filesystem has no nameless files: a killed process then leaves <name>.part-XXXXXX behind.
void AtomicFile::open_named() {
  std::string name = str(path_.string(), ".part-XXXXXX");
  fd_ = mkostemp(name.data(), O_CLOEXEC);
  if (fd_ < 0) throw io_error("create the output", path_.string(), "check that the folder exists and can be written");
  part_ = name;
}

void AtomicFile::discard() noexcept {
  if (fd_ >= 0) close(std::exchange(fd_, -1));
  if (!part_.empty()) unlink(part_.c_str());
  part_.clear();
}

void AtomicFile::write_at(int64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = pwrite(fd_, bytes.data(), bytes.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw io_error("write the output", path_.string(), kDiskRemedy);
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += n;
  }
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  write_at(end_, bytes);
  end_ += static_cast<int64_t>(bytes.size());
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span{text.data(), text.size()})); }

void AtomicFile::sync() {
  if (fchmod(fd_, 0644) != 0 || fsync(fd_) != 0) throw io_error("sync the output", path_.string(), kDiskRemedy);
}

/// Gives a nameless file a name: its own where that must be free, else one beside it that rename() can move over.
bool AtomicFile::give_name() {
  const std::string self = str("/proc/self/fd/", fd_);
  const std::string name = existing_ == Existing::refuse ? path_.string() : str(path_.string(), ".part-", getpid());
  if (linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) != 0) return false;
  if (existing_ == Existing::replace) part_ = name;
  return true;
}

bool AtomicFile::put_in_place() {
  if (part_.empty() && !give_name()) return false;
  if (part_.empty()) return true;
  const unsigned flags = existing_ == Existing::refuse ? RENAME_NOREPLACE : 0;
  if (renameat2(AT_FDCWD, part_.c_str(), AT_FDCWD, path_.c_str(), flags) != 0) return false;
  part_.clear();
  return true;
}

void AtomicFile::commit() {
  sync();
  if (!put_in_place()) {
    const Error error = io_error("put the output in place", path_.string());
    discard();
    throw error;
  }
  discard();
  sync_directory(folder_of(path_));
}

void write_file(const std::filesystem::path& path, std::string_view text, Existing existing) {
  AtomicFile file{path, existing};
  file.write(text);
  file.commit();
}

void check_no_input(const std::filesystem::path& out, std::span<const std::filesystem::path> inputs) {
  std::error_code ignored;
  for (const std::filesystem::path& input : inputs)
    if (std::filesystem::equivalent(out, input, ignored))
      throw Error{"the output is one of the inputs, which would be lost", out.string(), "name another output",
                  Fault::usage};
}

void check_no_input(const std::filesystem::path& out, std::initializer_list<std::filesystem::path> inputs) {
  check_no_input(out, std::span{inputs.begin(), inputs.size()});
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path{"."};
}

void sync_directory(const std::filesystem::path& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throw io_error("open the folder", folder.string());
  fsync(fd);  // some filesystems refuse to sync a folder; the rename itself has happened
  close(fd);
}

}  // namespace snug
