#include "base/files/scratch_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <system_error>

#include "snug/error.hpp"

namespace snug {
namespace {

constexpr const char* kRemedy = "free some space there, name another folder in TMPDIR, or allow more memory";

/// Where a filesystem has no nameless files, one whose name is taken away at once.
int open_and_unlink(const std::filesystem::path& folder) {
  std::string name = (folder / "snug-XXXXXX").string();
  const int fd = mkostemp(name.data(), O_CLOEXEC);
  if (fd >= 0) unlink(name.c_str());
  return fd;
}

}  // namespace

std::filesystem::path ScratchFile::scratch_folder() {
  if (const char* named = std::getenv("TMPDIR"); named && *named) return named;
  std::error_code unknown;
  return std::filesystem::is_directory("/var/tmp", unknown) ? "/var/tmp" : "/tmp";
}

ScratchFile::ScratchFile(const std::filesystem::path& folder) : folder_(folder) {
  fd_ = open(folder_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd_ < 0) fd_ = open_and_unlink(folder_);
  if (fd_ < 0) throw io_error("create a scratch file", folder_.string(), kRemedy);
}

ScratchFile::~ScratchFile() {
  close(fd_);
}

void ScratchFile::write(int64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t some = pwrite(fd_, bytes.data(), bytes.size(), offset);
    if (some < 0 && errno == EINTR) continue;
    if (some <= 0) throw io_error("write to a scratch file", folder_.string(), kRemedy);
    offset += some;
    bytes = bytes.subspan(static_cast<size_t>(some));
  }
}

void ScratchFile::read(int64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t some = pread(fd_, bytes.data(), bytes.size(), offset);
    if (some < 0 && errno == EINTR) continue;
    if (some <= 0) throw io_error("read from a scratch file", folder_.string(), "check the disk");
    offset += some;
    bytes = bytes.subspan(static_cast<size_t>(some));
  }
}

}  // namespace snug
