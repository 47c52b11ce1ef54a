#include "base/atomic_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
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
    : path_(std::move(path)), existing_(existing) {
  std::error_code ignored;
  if (existing == Existing::refuse && std::filesystem::exists(path_, ignored))
    throw Error{"the output exists already", path_.string(),
                "name another output, or replace it with --force", Fault::io};
  remove_leftovers(path_);
  fd_ = open(folder_of(path_).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
  if (fd_ < 0)
    open_named();
  else
    lock(fd_);
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

/// Where a filesystem has no nameless files. What is not yet locked may be taken for a leftover.
void AtomicFile::open_named() {
  for (;;) {
    std::string name = str(path_.string(), kPartMark, std::string(kPartDigits, 'X'));
    fd_ = mkostemp(name.data(), O_CLOEXEC);
    if (fd_ < 0)
      throw io_error("create the output", path_.string(), "check that the folder exists and can be written");
    part_ = name;
    if (lock(fd_) && has_a_name(fd_)) return;
    discard();
  }
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

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span{text.data(), text.size()}));
}

void AtomicFile::sync() {
  if (fchmod(fd_, 0644) != 0 || fsync(fd_) != 0)
    throw io_error("sync the output", path_.string(), kDiskRemedy);
}

/// Gives a nameless file a name: its own where that must be free, else one beside it, to be renamed.
bool AtomicFile::give_name() {
  const std::string self = str("/proc/self/fd/", fd_);
  const auto link_as = [&](const std::string& name) {
    return linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
  };
  if (existing_ == Existing::refuse) return link_as(path_.string());
  for (uint32_t n = static_cast<uint32_t>(getpid());; ++n) {
    const std::string digits = std::to_string(n % 1'000'000);
    const std::string name =
        str(path_.string(), kPartMark, std::string(kPartDigits - digits.size(), '0'), digits);
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
