#include "base/files/mapped_file.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "base/files/mapped_faults.hpp"
#include "base/files/read_file.hpp"
#include "base/printable.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

/// Advice goes by whole pages inside the part: a page shared with a neighbour is left alone.
void advise(std::span<const std::byte> part, int advice) noexcept {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<uintptr_t>(part.data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<uintptr_t>(part.data() + part.size()) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, advice);
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const int fd = open_regular_file(path, "check the path and its permissions");
  struct stat info {};
  fstat(fd, &info);
  size_ = static_cast<size_t>(info.st_size);
  void* data = size_ ? mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd, 0) : nullptr;
  const int failure = errno;
  close(fd);
  errno = failure;
  if (data == MAP_FAILED)
    throw io_error("map the file", path.string(),
                   failure == ENOMEM ? "the program may not use so many addresses: raise its limit (ulimit -v)" : "");
  data_ = static_cast<const std::byte*>(data);
  name_ = std::make_unique<const std::string>(terminal_text(path.string()));
  remember_mapping(bytes(), name_->c_str());
}

MappedFile::~MappedFile() {
  if (!data_) return;
  forget_mapping(data_);
  munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      name_(std::move(other.name_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(name_, other.name_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::will_need(std::span<const std::byte> part) noexcept { advise(part, MADV_WILLNEED); }
void MappedFile::done_with(std::span<const std::byte> part) noexcept { advise(part, MADV_DONTNEED); }

}  // namespace snug
