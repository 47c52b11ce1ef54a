#include "base/files/mapped_scratch.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>

#include "base/files/scratch_file.hpp"
#include "snug/error.hpp"

namespace snug {

MappedScratch::MappedScratch(int64_t bytes) : size_{static_cast<size_t>(bytes)} {
  if (size_ == 0) return;
  const ScratchFile file;
  // All of it now: a disk that turns out to be full under a mapping ends the program.
  if (const int failure = posix_fallocate(file.descriptor(), 0, bytes); failure != 0) {
    errno = failure;
    throw io_error("make room in a scratch file", ScratchFile::scratch_folder().string(),
                   "free some space there, name another folder in TMPDIR, or allow more memory");
  }
  void* data = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, file.descriptor(), 0);
  if (data == MAP_FAILED) throw io_error("map a scratch file", ScratchFile::scratch_folder().string());
  data_ = static_cast<std::byte*>(data);
}

MappedScratch::~MappedScratch() {
  if (data_) munmap(data_, size_);
}

}  // namespace snug
