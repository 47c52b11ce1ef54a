#include "base/files/atomic_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <system_error>
#include <utility>

#include "base/files/mapped_faults.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr const char* kDiskRemedy = "free some space, or write to another disk";
constexpr const char* kPartMark = ".snug-part-";
constexpr size_t kPartDigits = 6;

/// Takes the lock by which a writer marks its file, unless another process has it. No locks, no others.
bool lock(int fd) {
  return flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

bool has_a_name(int fd) {
  struct stat now {};
  return fstat(fd, &now) == 0 && now.st_nlink > 0;
}

void remove_unless_written(const std::filesystem::path& part) {
  const int fd = open(part.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return;
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) unlink(part.c_str());
  close(fd);
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path, Existing existing, int64_t expected_bytes)
    : path_(output_path(path, existing)), existing_(existing) {
  remove_leftovers(path_);
  open_temporary();
  take_permissions();
  const int reserved = expected_bytes > 0 ? posix_fallocate(fd_, 0, expected_bytes) : 0;
  // Other failures: the filesystem cannot reserve; writing will tell.
  if (reserved == ENOSPC || reserved == EFBIG) {
    discard();
    throw Error{str("the disk has no room for ", expected_bytes, " bytes"), path_.string(), kDiskRemedy,
                Fault::io};
  }
}

AtomicFile::~AtomicFile() {
  discard();
}

void AtomicFile::open_temporary() {
  fd_ = open(folder_of(path_).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
  if (fd_ >= 0)
    lock(fd_);
  else if (errno == EMFILE || errno == ENFILE)
    throw io_error("create the output", path_.string(),
                   "allow more open files (ulimit -n), or write larger files");
  else
    open_named();
}

/// Where a filesystem has no nameless files. What is not yet locked may be taken for a leftover.
void AtomicFile::open_named() {
  std::random_device random;
  for (;;) {
    part_ = part_name(path_, random());
    fd_ = open(part_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd_ < 0 && errno == EEXIST) continue;
    if (fd_ < 0) {
      part_.clear();
      throw io_error("create the output", path_.string(), "check that the folder exists and can be written");
    }
    if (lock(fd_) && has_a_name(fd_)) return;
    discard();
  }
}

/// A file that others may not read stays so when it is replaced.
void AtomicFile::take_permissions() {
  struct stat older {};
  if (existing_ == Existing::replace && stat(path_.c_str(), &older) == 0) fchmod(fd_, older.st_mode & 0777);
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
    if (n < 0 && errno == EFAULT) touch(bytes);
    if (n <= 0) throw io_error("write the output", path_.string(), kDiskRemedy);
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += n;
  }
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  write_at(end_, bytes);
  end_ += static_cast<int64_t>(bytes.size());
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span{text.data(), text.size()}));
}

void AtomicFile::sync() {
  if (fsync(fd_) != 0) throw io_error("sync the output", path_.string(), kDiskRemedy);
}

/// Gives a nameless file a name: its own where that must be free, else one beside it, to be renamed.
bool AtomicFile::give_name() {
  const std::string self = str("/proc/self/fd/", fd_);
  const auto link_as = [&](const std::string& name) {
    return linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
  };
  if (existing_ == Existing::refuse) return link_as(path_.string());
  for (uint32_t n = static_cast<uint32_t>(getpid());; ++n) {
    const std::string name = part_name(path_, n).string();
    if (link_as(name)) {
      part_ = name;
      return true;
    }
    if (errno != EEXIST) return false;
  }
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
  commit_unsynced();
  sync_directory(folder_of(path_));
}

void AtomicFile::commit_unsynced() {
  if (!put_in_place()) {
    const Error error = io_error("put the output in place", path_.string());
    discard();
    throw error;
  }
  discard();
}

void write_file(const std::filesystem::path& path, std::string_view text, Existing existing) {
  AtomicFile file{path, existing};
  file.write(text);
  file.commit();
}

std::filesystem::path part_name(const std::filesystem::path& path, uint32_t number) {
  const std::string digits = std::to_string(number % 1'000'000);
  return str(path.string(), kPartMark, std::string(kPartDigits - digits.size(), '0'), digits);
}

void remove_leftovers(const std::filesystem::path& path) {
  const std::string begin = path.filename().string() + kPartMark;
  std::error_code failed;
  std::filesystem::directory_iterator at{folder_of(path), failed}, end;
  for (; !failed && at != end; at.increment(failed)) {
    const std::string name = at->path().filename().string();
    if (name.starts_with(begin) && name.size() == begin.size() + kPartDigits)
      remove_unless_written(at->path());
  }
}

void sync_directory(const std::filesystem::path& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throw io_error("open the folder", folder.string());
  fsync(fd);  // some filesystems refuse to sync a folder; the rename itself has happened
  close(fd);
}

}  // namespace snug
