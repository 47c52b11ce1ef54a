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
  std::string name = str(path_.string(), ".part-XXXXXX");
  fd_ = mkostemp(name.data(), O_CLOEXEC);
  if (fd_ < 0) throw io_error("create the output", path_.string(), "check that the folder exists and can be written");
  part_ = name;
  const int reserved = expected_bytes > 0 ? posix_fallocate(fd_, 0, expected_bytes) : 0;
  if (reserved == ENOSPC || reserved == EFBIG) {  // other failures: the filesystem cannot reserve; writing will tell
    close(fd_);
    unlink(part_.c_str());
    throw Error{str("the disk has no room for ", expected_bytes, " bytes"), path_.string(), kDiskRemedy, Fault::io};
  }
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(part_.c_str());
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

void AtomicFile::commit() {
  sync();
  const int closed = close(std::exchange(fd_, -1));
  const bool placed = closed == 0 && (existing_ == Existing::replace ? rename(part_.c_str(), path_.c_str())
                                                                     : link(part_.c_str(), path_.c_str())) == 0;
  if (!placed) {
    const Error error = io_error("put the output in place", path_.string());
    unlink(part_.c_str());
    throw error;
  }
  if (existing_ == Existing::refuse) unlink(part_.c_str());
  sync_directory(folder_of(path_));
}

void write_file(const std::filesystem::path& path, std::string_view text, Existing existing) {
  AtomicFile file{path, existing};
  file.write(text);
  file.commit();
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
