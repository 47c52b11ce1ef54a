#include "base/files/slot_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/digest.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr const char* kRemedy = "free some space there";

struct Header {
  uint64_t magic;
  Digest key;
  int64_t slot_bytes;
};
static_assert(sizeof(Header) == 32);

constexpr uint64_t kMagic = 0x3173746f6c736773;  // "sgslots1", the 1 being the version

void write_at(int fd, int64_t offset, std::span<const std::byte> bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t some = pwrite(fd, bytes.data(), bytes.size(), offset);
    if (some < 0 && errno == EINTR) continue;
    if (some <= 0) throw io_error("write", path.string(), kRemedy);
    offset += some;
    bytes = bytes.subspan(static_cast<size_t>(some));
  }
}

/// False where the file ends before.
bool read_at(int fd, int64_t offset, std::span<std::byte> bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t some = pread(fd, bytes.data(), bytes.size(), offset);
    if (some < 0 && errno == EINTR) continue;
    if (some < 0) throw io_error("read", path.string(), "check the disk");
    if (some == 0) return false;
    offset += some;
    bytes = bytes.subspan(static_cast<size_t>(some));
  }
  return true;
}

}  // namespace

SlotFile::SlotFile(const std::filesystem::path& path, const Digest& key, int64_t slot_bytes)
    : path_{path},
      key_{key},
      slot_bytes_{slot_bytes},
      fd_{open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)} {
  if (fd_ < 0) throw io_error("open", path.string(), "move what lies there away");
  try {
    if (!is_mine()) begin();
  } catch (...) {
    close(fd_);
    throw;
  }
}

SlotFile::~SlotFile() {
  close(fd_);
}

int64_t SlotFile::place_of(int64_t slot) const {
  return static_cast<int64_t>(sizeof(Header)) + slot * (static_cast<int64_t>(sizeof(Digest)) + slot_bytes_);
}

bool SlotFile::is_mine() const {
  Header found{};
  if (!read_at(fd_, 0, std::as_writable_bytes(std::span{&found, 1}), path_)) return false;
  return found.magic == kMagic && found.key == key_ && found.slot_bytes == slot_bytes_;
}

void SlotFile::begin() const {
  if (ftruncate(fd_, 0) != 0) throw io_error("empty", path_.string(), kRemedy);
  const Header header{kMagic, key_, slot_bytes_};
  write_at(fd_, 0, std::as_bytes(std::span{&header, 1}), path_);
}

void SlotFile::put(int64_t slot, std::span<const std::byte> bytes) {
  const Digest digest = digest_of(bytes);
  write_at(fd_, place_of(slot), std::as_bytes(std::span{&digest, 1}), path_);
  write_at(fd_, place_of(slot) + static_cast<int64_t>(sizeof digest), bytes, path_);
}

bool SlotFile::get(int64_t slot, std::span<std::byte> bytes) const {
  Digest digest{};
  return read_at(fd_, place_of(slot), std::as_writable_bytes(std::span{&digest, 1}), path_) &&
         read_at(fd_, place_of(slot) + static_cast<int64_t>(sizeof digest), bytes, path_) && digest_of(bytes) == digest;
}

}  // namespace snug
